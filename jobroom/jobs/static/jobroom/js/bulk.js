// The list's ticks: one for the whole page, and how many there are. The form works without this.

const NUMBER = new Intl.NumberFormat("en");

function boxes(form) {
  return [...form.querySelectorAll("input[name=job]:not(:disabled)")];
}

/** Shows what the buttons would be about; a refreshed list is painted again. */
function paint() {
  for (const form of document.querySelectorAll("form[data-bulk]")) {
    const all = form.querySelector("input[name=all]");
    const page = form.querySelector("#tick-page");
    const ticked = boxes(form).filter((box) => box.checked).length;
    page.closest("[data-tick-page]").hidden = false;
    page.checked = ticked > 0 && ticked === boxes(form).length;
    page.indeterminate = ticked > 0 && !page.checked;
    const text = all.checked || !ticked ? "" : `${NUMBER.format(ticked)} ticked`;
    const place = form.querySelector("[data-bulk-number]");
    if (place.textContent !== text) place.textContent = text;
  }
}

document.addEventListener("change", (event) => {
  const form = event.target.closest?.("form[data-bulk]");
  if (!form) return;
  if (event.target.id === "tick-page") for (const box of boxes(form)) box.checked = event.target.checked;
  paint();
});
new MutationObserver(paint).observe(document.querySelector("main"), { childList: true });
const list = document.getElementById("jobs")?.parentElement;
if (list) new MutationObserver(paint).observe(list, { childList: true });
addEventListener("pageshow", paint); // the browser keeps ticks when one comes back
paint();
