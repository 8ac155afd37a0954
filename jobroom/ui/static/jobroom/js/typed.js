// What a person has typed and not sent yet: a page that is refreshed keeps the whole form, with caret, files and version.

const TEXTS = "input:not([type=hidden], [type=checkbox], [type=radio], [type=submit], [type=button]), textarea";

/** Returns the place of the choice that a list shows when no one has touched it. */
function first(list) {
  const chosen = [...list.options].findLastIndex((option) => option.defaultSelected);
  return list.multiple ? chosen : Math.max(0, chosen);
}

function changedChoice(list) {
  if (!list.multiple) return list.options.length > 0 && list.selectedIndex !== first(list);
  return [...list.options].some((option) => option.selected !== option.defaultSelected);
}

/** Returns whether a form holds an answer that the server has not sent. */
function isTyped(form) {
  return [...form.elements].some((control) => {
    if (control.matches(TEXTS)) return control.type === "file" ? control.files.length > 0 : control.value !== control.defaultValue;
    if (control.localName === "select") return changedChoice(control);
    // The ticks of a list are carried by their values: its rows change.
    const isTick = control.type === "checkbox" || control.type === "radio";
    return isTick && !("bulk" in form.dataset) && control.checked !== control.defaultChecked;
  });
}

/** Returns the forms below `place` that hold what was typed and not sent. */
export const unsettled = (place) => [...place.querySelectorAll("form")].filter(isTyped);

/** Returns the form of `next` that sends to the same address. */
function counterpart(form, next) {
  const same = (one) => one.getAttribute("action") === form.getAttribute("action") && one.id === form.id;
  return [...next.querySelectorAll("form")].find(same);
}

/** Moves the forms in use from `region` into `next`; returns false, and moves none, where one has no place there. */
export function keepForms(region, next) {
  const pairs = unsettled(region).map((form) => [form, counterpart(form, next)]);
  if (pairs.some(([, other]) => !other)) return false;
  for (const [form, other] of pairs) other.replaceWith(form);
  return true;
}
