// Lists of tasks: show while one types what matches every word, and keep the search in the address, so that Back finds it again.
// Without scripts the button asks the server the same.

const box = document.querySelector("[data-filter]");
const place = box && document.querySelector(box.dataset.filter);
const jumps = document.querySelector("[data-jumps]");
const hasJumps = jumps?.childElementCount >= 4;
let found = new Set(); // the rows that match, not those that are only around one

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = (row) => words.every((word) => row.dataset.words.includes(word));
  found = new Set([...place.querySelectorAll("[data-words]")].filter(matches));
  for (const row of place.querySelectorAll("[data-words]")) row.hidden = !found.has(row);
  // A step that matches shows its bigger task, opened; one whose bigger task matches is there as well, folded.
  for (const fold of place.querySelectorAll("[data-steps]")) {
    const steps = [...fold.querySelectorAll("[data-words]")];
    const bigger = fold.closest("li[data-words]");
    const some = words.length > 0 && steps.some((step) => !step.hidden);
    fold.open = some;
    if (some) bigger.hidden = false;
    else for (const step of steps) step.hidden = false;
  }
  for (const group of place.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector(":scope > ul > [data-words]:not([hidden])");  // steps of a hidden task are hidden with it
  }
  if (jumps) jumps.hidden = words.length > 0 || !hasJumps;
  place.querySelector("[data-nothing]").hidden = found.size > 0;
  document.querySelector("[data-found]").textContent = `${found.size} task${found.size === 1 ? "" : "s"}`;
}

let soon = 0;

/** Writes the search into the address. */
function keep() {
  clearTimeout(soon);
  const address = new URL(location.href);
  if (box.value.trim()) address.searchParams.set("q", box.value.trim());
  else address.searchParams.delete("q");
  if (address.href !== location.href) history.replaceState(history.state, "", address);
}

/** Pins a task, or lets it go, and stays where one is: its row moves when the page is opened the next time. */
async function pin(form, button) {
  let pinned;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" }, redirect: "error" });
    if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
    ({ pinned } = await answer.json());
  } catch {
    form.dataset.plainly = ""; // the form itself says what is the matter
    form.requestSubmit(button);
    return;
  }
  const words = pinned ? ["Unpin", "Not at the top any more", "★"] : ["Pin", "Keep it at the top", "☆"];
  button.setAttribute("aria-pressed", pinned);
  button.setAttribute("aria-label", button.getAttribute("aria-label").replace(/^\w+/, words[0]));
  button.title = words[1];
  button.textContent = words[2];
}

if (box) {
  box.addEventListener("input", () => {
    filter();
    clearTimeout(soon);
    soon = setTimeout(keep, 400);
  });
  box.addEventListener("change", keep);
  // Enter goes to the first that was found, and from there to its page.
  box.form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep();
    filter();
    [...found].find((row) => !row.closest("[hidden]"))?.querySelector("a[href]").focus();
  });
  place.addEventListener("submit", (event) => {
    if (!event.submitter?.hasAttribute("aria-pressed") || "plainly" in event.target.dataset) return;
    event.preventDefault();
    pin(event.target, event.submitter);
  });
  for (const button of document.querySelectorAll("[data-filter-button]")) button.hidden = true;
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.focus();
  });
}
