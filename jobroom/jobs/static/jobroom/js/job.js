// The page of a job: its log is searched, wrapped and followed; what failed is copied and shown at its line.

const KEPT = "jobroom.log";
const options = { wrap: true, follow: false, ...JSON.parse(localStorage.getItem(KEPT) ?? "{}") };
let words = "";

/** Shows the lines that hold what is searched for, in the way that was chosen; a refreshed page is painted again. */
function paint() {
  const log = document.querySelector("[data-log]");
  const bar = document.querySelector("[data-log-bar]");
  if (!log || !bar) return;
  bar.hidden = false;
  const box = bar.querySelector("input[type=search]");
  if (box.value !== words && document.activeElement !== box) box.value = words;
  for (const name of ["wrap", "follow"]) bar.querySelector(`[data-log-${name}]`).setAttribute("aria-pressed", String(options[name]));
  log.classList.toggle("log-long", !options.wrap);
  const wanted = words.toLowerCase();
  let number = 0;
  for (const line of log.children) {
    const text = [".log-level", ".log-text"].map((part) => line.querySelector(part)?.textContent ?? "").join(" ");
    const hidden = !text.toLowerCase().includes(wanted);
    if (line.hidden !== hidden) line.hidden = hidden;
    number += !hidden;
  }
  const said = wanted ? `${number} of ${log.children.length} lines` : "";
  const place = bar.querySelector("[data-log-number]");
  if (place.textContent !== said) place.textContent = said;
  if (options.follow) log.scrollTop = log.scrollHeight;
}

/** Brings the failing line of a traceback into its window, without moving the page. */
function showFailing() {
  for (const mark of document.querySelectorAll("pre.code mark")) {
    const frame = mark.closest("pre");
    if (frame.dataset.shown) continue;
    frame.dataset.shown = "yes";
    frame.scrollTop = mark.offsetTop - frame.offsetTop - frame.clientHeight / 3;
  }
}

async function copy(button) {
  const text = document.querySelector(button.dataset.copy).textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    getSelection().selectAllChildren(document.querySelector(button.dataset.copy));
    button.textContent = "Selected: copy it with your keys";
  }
}

addEventListener("input", (event) => {
  if (!event.target.matches?.("[data-log-bar] input[type=search]")) return;
  words = event.target.value;
  paint();
});
addEventListener("click", (event) => {
  const button = event.target.closest?.("button");
  if (!button) return;
  if (button.dataset.copy) copy(button);
  for (const name of ["wrap", "follow"]) {
    if (!button.matches(`[data-log-${name}]`)) continue;
    options[name] = !options[name];
    localStorage.setItem(KEPT, JSON.stringify(options));
    paint();
  }
});
addEventListener("refreshed", () => {
  paint();
  showFailing();
});
new MutationObserver((changes) => changes.some((one) => one.target.matches?.("[data-log]")) && paint()).observe(document.querySelector("main"), { childList: true, subtree: true });
paint();
showFailing();
