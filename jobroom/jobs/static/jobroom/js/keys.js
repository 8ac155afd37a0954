// Keys of a list: `/` to the search, `j` and `k` down and up, Enter opens, `?` shows the keys. A row opens where it is clicked.

const HELP = { "/": "search", j: "next row", k: "row before", Enter: "open the row", "?": "these keys" };
let at = "";

const rows = () => [...document.querySelectorAll("main .rows tbody tr")].filter((row) => row.querySelector(".job-link"));
const linkOf = (row) => row.querySelector(".job-link");

/** Marks a row, and keeps the mark when the list is refreshed. */
function mark(row) {
  for (const one of rows()) one.classList.toggle("marked", one === row);
  if (!row) return;
  at = linkOf(row).getAttribute("href");
  linkOf(row).focus();
}

function move(step) {
  const all = rows();
  const here = all.findIndex((row) => linkOf(row).getAttribute("href") === at);
  mark(all[here < 0 ? (step > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, here + step))]);
}

function help() {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "keys-title");
  const words = Object.entries(HELP).map(([key, word]) => `<dt><kbd>${key}</kbd></dt><dd>${word}</dd>`);
  dialog.innerHTML = `<h2 id="keys-title">Keys</h2><dl class="facts">${words.join("")}</dl><form method="dialog" class="actions"><button>Close</button></form>`;
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  dialog.showModal();
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches?.("input, select, textarea")) return;
  const search = document.querySelector("main input[type=search]");
  if (event.key === "/" && search) search.focus();
  else if (event.key === "j" || event.key === "k") move(event.key === "j" ? 1 : -1);
  else if (event.key === "?") help();
  else return;
  event.preventDefault();
});
addEventListener("refreshed", () => {
  for (const row of rows()) row.classList.toggle("marked", linkOf(row).getAttribute("href") === at);
});
addEventListener("click", (event) => {
  const row = event.target.closest?.("main .rows tbody tr");
  if (!row || event.target.closest("a, button, input, label, summary") || String(getSelection() ?? "") !== "") return;
  linkOf(row)?.click();
});
