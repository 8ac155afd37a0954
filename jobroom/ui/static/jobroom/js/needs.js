// Forms in which one choice says what else is asked: hides what it does not need, and names the rest for it.
//   <select data-asks="of"> with <option data-word="Task" data-list="tasks">: the field `of` is called so, and offers those.
//   <label data-needs="what=depth,age">: is asked for these values of `what` alone.

/** Shows of a form what its choices need. */
function follow(form) {
  const value = (name) => form.querySelector(`[name="${CSS.escape(name)}"]`)?.value ?? "";
  for (const label of form.querySelectorAll("[data-needs]")) {
    const [name, values] = label.dataset.needs.split("=");
    label.hidden = !values.split(",").includes(value(name));
  }
  for (const select of form.querySelectorAll("select[data-asks]")) {
    const control = form.querySelector(`[name="${CSS.escape(select.dataset.asks)}"]`);
    const { word = "", list = "" } = select.selectedOptions[0]?.dataset ?? {};
    control.closest("label").hidden = !word;
    control.closest("label").querySelector("[data-word]").textContent = word;
    list ? control.setAttribute("list", list) : control.removeAttribute("list");
  }
}

for (const form of document.querySelectorAll("form:has([data-needs], [data-asks])")) {
  follow(form);
  form.addEventListener("change", () => follow(form));
}
