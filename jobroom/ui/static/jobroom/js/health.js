// One sentence on every page about how Jobroom is doing, and one state of the connection: the server is here, away,
// or has logged this browser out. Forms ask for it before they send anything, so nothing typed is lost.

import { timeOfDay } from "./times.js";
import { unsettled } from "./typed.js";

const line = document.querySelector("[data-health]");
const dot = document.querySelector("[data-health-dot]");
const PAUSE = 15000;
const PATIENCE = 5000;
const PATIENCE_OF_A_FORM = 30000; // what someone has sent waits longer for a slow server than what the page asks by itself
let state = "here";
let since = null;
const sure = new WeakSet(); // forms that may go
let wanted = false; // whether a form was not sent, because the server was not there
let waits = false; // whether a form waits for a server that is slow

const WORDS = {
  here: "All is well",
  trouble: "Something is wrong",
  away: "The server does not answer",
  out: "You are logged out in this browser",
};

/** Shows the state in the dot, the line and, by the style sheet, in every line about freshness. */
function show(next, html = "") {
  if (next !== state) since = new Date();
  state = next;
  document.documentElement.dataset.server = next;
  dot.title = WORDS[next];
  dot.querySelector(".hidden-label").textContent = `Health: ${WORDS[next]}`;
  const text = next === "away" || next === "out" ? own(next) : html;
  if (line.dataset.text !== text) {
    line.dataset.text = text;
    line.innerHTML = text;
  }
  line.hidden = !text;
}

/** Returns the sentence for what only the browser knows. */
function own(next) {
  const unsent = waits ? " What you have just sent waits for it." : wanted ? " Nothing was sent; what you typed is still here." : "";
  const at = `<time datetime="${since.toISOString()}">${timeOfDay(since)}</time>`;
  if (next === "away") return `<strong>The server does not answer</strong> since ${at}: what you see may be old.${unsent} This page tries again by itself.`;
  const back = encodeURIComponent(location.pathname + location.search);
  // A page with answers that were not sent stays: one logs in beside it.
  const beside = wanted || unsettled(document).length > 0;
  return `<strong>You are logged out in this browser.</strong>${unsent} <a href="${line.dataset.login}?next=${back}"${beside ? ' target="_blank"' : ""}>Log in</a>`;
}

/** Gives the forms of the page the token of the session that there is now: a login in another tab has made theirs worthless. */
function renew(token) {
  if (!token) return;
  for (const field of document.querySelectorAll("input[name=csrfmiddlewaretoken]")) field.value = token;
}

async function ask(method, patience = PATIENCE) {
  const answer = await fetch(line.dataset.health, { method, redirect: "manual", signal: AbortSignal.timeout(patience), cache: "no-store" });
  if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) return ["out", ""];
  if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
  renew(answer.headers.get("X-CSRFToken"));
  const html = method === "HEAD" ? "" : (await answer.text()).trim();
  return [html ? "trouble" : "here", html];
}

/** Asks how Jobroom is doing. */
export async function look() {
  if (!line) return;
  try {
    show(...(await ask("GET")));
    if (state === "here" || state === "trouble") wanted = false;
  } catch {
    show("away");
  }
}

/** Lets a form that changes something wait until the server is known to be there, and this browser to be logged in. */
async function first(event) {
  const form = event.target;
  // Not `form.method`: an argument of a task may be called so, and its field hides the form's own.
  const posts = form.getAttribute("method")?.toLowerCase() === "post";
  if (!posts || event.defaultPrevented || sure.delete(form)) return;
  event.preventDefault();
  if (form.hasAttribute("data-asking")) return; // it is on its way: the second click is no second launch
  const button = event.submitter;
  form.toggleAttribute("data-asking", true); // a refresh of the page would take it away before it is sent
  const slow = setTimeout(() => {
    waits = true;
    show("away");
  }, PATIENCE);
  try {
    const [found] = await ask("HEAD", PATIENCE_OF_A_FORM);
    waits = false;
    if (found === "out") {
      wanted = true;
      show("out");
      return;
    }
    sure.add(form);
    HTMLFormElement.prototype.requestSubmit.call(form, button);
  } catch {
    waits = false;
    wanted = true;
    since ??= new Date();
    show("away");
  } finally {
    clearTimeout(slow);
    form.toggleAttribute("data-asking", false);
  }
}

let pause;
async function turn() {
  clearTimeout(pause);
  if (!document.hidden) await look();
  pause = setTimeout(turn, state === "away" ? 3000 : PAUSE);
}

if (line) {
  turn();
  document.addEventListener("visibilitychange", () => document.hidden || turn());
  addEventListener("online", turn);
  addEventListener("offline", () => show("away"));
  addEventListener("server", (event) => (event.detail === "away" ? turn() : state === "away" && turn()));
  // On the window, so that what the page itself does with a form comes first.
  addEventListener("submit", first);
}
