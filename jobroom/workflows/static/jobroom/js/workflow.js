// The page of a workflow keeps itself up to date: it asks for the states when the socket says that something changed,
// or every few seconds without one, paints the graph, and fetches again only those regions that changed.

import { refreshNow } from "./main.js";
import { STATE } from "./node-states.js";
import { get } from "./request.js";
import { now, percent, timeOfDay } from "./times.js";
import { Graph, paintBar } from "./workflow-graph.js";

const MOST_OFTEN = 330; // milliseconds between two questions
const WITHOUT_SOCKET = 2000;
const WITH_SOCKET = 20000;
const VIEW_AT_MOST = 2000; // between two fetches of a timeline or a table

const page = document.getElementById("workflow");
let graph = null;
let tag = "";
let states = null;
let asked = 0;
let waiting = 0;
let busy = false;
let viewed = Date.now();
let viewLater = 0;

function withPart(part) {
  const address = new URL(location.href);
  address.searchParams.set("part", part);
  address.hash = "";
  return address.href;
}

/** Fetches a region again, if no one is using it. */
function refresh(id, part) {
  const region = document.getElementById(id);
  if (!region) return;
  region.dataset.source = withPart(part);
  refreshNow(id);
}

function say(stale) {
  const at = document.querySelector("#workflow-head .freshness-at time");
  if (at && !stale) at.textContent = timeOfDay(new Date(now()));
  document.querySelector("#workflow-head [data-freshness]")?.classList.toggle("stale", stale);
}

/** Asks how it stands; several wishes within a third of a second are one. */
function ask() {
  if (waiting) return;
  waiting = setTimeout(async () => {
    waiting = 0;
    if (busy) {
      ask();
      return;
    }
    busy = true;
    asked = Date.now();
    try {
      const answer = await get(page.dataset.states, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.status !== 304) {
        if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
        tag = answer.headers.get("ETag") ?? "";
        take(await answer.json());
      }
      say(false);
    } catch {
      say(true);
    } finally {
      busy = false;
    }
  }, Math.max(0, asked + MOST_OFTEN - Date.now()));
}

function take(next) {
  const before = states;
  states = next;
  graph?.paint(next);
  paintHead(next);
  const head = document.getElementById("workflow-head");
  if (head && head.dataset.head !== next.head) refresh("workflow-head", "head");
  if (!before || before.node_states === next.node_states) {
    if (!before || JSON.stringify(before.running) === JSON.stringify(next.running)) return;
  }
  if (!document.getElementById("workflow-panel")?.hidden) refresh("workflow-panel", "panel");
  if (page.dataset.tab !== "graph") view();
}

/** Fetches the timeline or table again, not too often. */
function view() {
  if (viewLater) return;
  viewLater = setTimeout(() => {
    viewLater = 0;
    viewed = Date.now();
    refresh("workflow-view", "view");
  }, Math.max(0, viewed + VIEW_AT_MOST - Date.now()));
}

function text(name, value) {
  const place = document.querySelector(`[data-rollup-${name}]`);
  if (place && place.textContent !== value) place.textContent = value;
}

function paintHead(next) {
  text("share", percent(next.progress));
  text("ended", String(next.ended));
  text("left", next.left);
  text("counts", next.words);
  const bar = document.querySelector("[data-rollup-bar] svg");
  if (!bar) return;
  paintBar(bar, next.bar, [0, 1000], 0, 10);
  bar.setAttribute("aria-label", next.words);
}

// The panel

async function openPanel(href) {
  const address = new URL(href, location.href);
  if (page.dataset.tab !== "graph") address.searchParams.set("tab", page.dataset.tab);
  if (address.href !== location.href) history.pushState({}, "", address);
  await showPanel();
}

const PANEL_AGAIN = 700; // milliseconds
let shown = 0;

/** Returns the panel of the address; what fails once is asked for again, as every other region of the page. */
async function fetchedPanel(again = true) {
  try {
    const answer = await get(withPart("panel"));
    if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
    const panel = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("workflow-panel");
    if (!panel) throw new Error("The page has changed");
    return panel;
  } catch (error) {
    if (!again) throw error;
    await new Promise((resolve) => setTimeout(resolve, PANEL_AGAIN));
    return fetchedPanel(false);
  }
}

/** Shows the node that the address names, or none. */
async function showPanel() {
  const turn = ++shown;
  const named = new URL(location.href).searchParams.has("node");
  const panel = document.getElementById("workflow-panel");
  document.getElementById("stage").classList.toggle("has-panel", named);
  if (!named) {
    panel.hidden = true;
    graph?.select(null);
    return;
  }
  try {
    const found = await fetchedPanel();
    if (turn !== shown) return; // another node was chosen meanwhile, or none
    document.getElementById("workflow-panel").replaceWith(found);
    if (matchMedia("(max-width: 60rem)").matches) found.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (turn !== shown) return;
    console.warn(`The page is loaded again, for its panel could not be: ${error}`);
    location.reload();
  }
}

function closePanel() {
  const address = new URL(location.href);
  for (const name of ["node", "items", "item_state"]) address.searchParams.delete(name);
  history.pushState({}, "", address);
  showPanel();
}

page.addEventListener("click", (event) => {
  if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  const link = event.target.closest("[data-node-link], [data-panel-close]");
  if (!link) return;
  event.preventDefault();
  if ("panelClose" in link.dataset) closePanel();
  else openPanel(link.getAttribute("href"));
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.target.matches("input, textarea") && !document.getElementById("workflow-panel").hidden) closePanel();
});
addEventListener("popstate", showPanel);

// Beginning

const frame = document.querySelector("[data-graph]");
if (frame) graph = new Graph(frame, openPanel);
page.addEventListener("live", ask);
ask();
setInterval(() => {
  // A region in which someone typed was left alone.
  const head = document.getElementById("workflow-head");
  if (states && head && head.dataset.head !== states.head) refresh("workflow-head", "head");
  if (document.hidden || states?.finished) return;
  const live = document.documentElement.dataset.live === "on";
  // How far a running node is, no message says.
  const stale = document.querySelector("#workflow-head [data-freshness].stale");
  const quiet = live && !stale && ![STATE.RUNNING, STATE.EXPANDING].some((one) => states?.node_states.includes(one));
  if (Date.now() - asked >= (quiet ? WITH_SOCKET : WITHOUT_SOCKET)) ask();
}, 500);
document.addEventListener("visibilitychange", () => document.hidden || ask());
