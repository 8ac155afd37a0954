// The stock admin: names for the fields that have none of their own: halves of a moment, the two lists of a choice of many.

/** Returns the words of the field that an element stands in. */
const fieldOf = (element) => element.closest(".form-row, .fieldBox, td")?.querySelector("label, legend")?.textContent.trim().replace(/:$/, "") ?? "";

function name() {
  for (const input of document.querySelectorAll(".datetime input")) {
    if (!input.labels?.length && !input.ariaLabel) input.ariaLabel = `${fieldOf(input)}: ${input.id.endsWith("_1") ? "time" : "date"}`;
  }
  for (const select of document.querySelectorAll(".selector select")) {
    if (!select.ariaLabel) select.ariaLabel = `${fieldOf(select)}: ${select.id.endsWith("_to") ? "chosen" : "available"}`;
  }
  for (const icon of document.querySelectorAll("span[aria-label]:not([role])")) icon.role = "img";
  for (const link of document.querySelectorAll("#changelist-filter a")) if (!link.textContent.trim()) link.textContent = "(empty)";
}

name();
// The admin's own scripts make some of these fields when the page has loaded.
addEventListener("load", name);
new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
