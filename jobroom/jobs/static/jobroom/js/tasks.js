// The catalogue: shows while one types what matches every word. Without scripts the button asks the server the same.

const box = document.querySelector("[data-filter]");
const place = box && document.querySelector(box.dataset.filter);

function filter() {
  const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
  const seen = new Set();
  const matches = (row) => words.every((word) => row.dataset.words.includes(word));
  for (const row of place.querySelectorAll("[data-words]")) {
    row.hidden = !matches(row);
    if (!row.hidden) seen.add(row.dataset.words);
  }
  // A step that matches shows its bigger task, opened; one whose bigger task matches is there as well, folded.
  for (const fold of place.querySelectorAll("[data-steps]")) {
    const steps = [...fold.querySelectorAll("[data-words]")];
    const bigger = fold.closest("li[data-words]");
    const found = words.length > 0 && steps.some((step) => !step.hidden);
    fold.open = found;
    if (found) bigger.hidden = false;
    else for (const step of steps) step.hidden = false;
  }
  for (const group of place.querySelectorAll("[data-group]")) {
    group.hidden = !group.querySelector(":scope > ul > [data-words]:not([hidden])");  // steps of a hidden task are hidden with it
  }
  place.querySelector("[data-nothing]").hidden = seen.size > 0;
  document.querySelector("[data-found]").textContent = `${seen.size} task${seen.size === 1 ? "" : "s"}`;
}

if (box) {
  box.addEventListener("input", filter);
  document.querySelector("[data-filter-button]").hidden = true;
  addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    box.focus();
  });
}
