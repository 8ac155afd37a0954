// Puts fields that the server has rendered again into a form without touching what does not depend on the answers:
// a field that is still the same keeps its element, and with it value, caret, selection, chosen files, scroll and focus.

const CONTROLS = "input[name], select[name], textarea[name]";

/** Returns the name of the argument that a field asks for. */
const nameOf = (field) => field.dataset.field;

const fieldsOf = (place) => [...place.querySelectorAll("[data-field]")];

/** Returns how a field looks, without answers and without what a check has said about them. */
function shapeOf(field) {
  const copy = field.cloneNode(true);
  copy.classList.remove("field-wrong");
  for (const line of copy.querySelectorAll(".error-line")) line.remove();
  for (const part of copy.querySelectorAll("*")) {
    const always = ["aria-invalid", "aria-describedby", "selected", "checked"];
    const isChoice = part.localName === "option" || part.type === "checkbox" || part.type === "radio";
    for (const name of isChoice ? always : [...always, "value"]) part.removeAttribute(name);
    if (part.localName === "textarea") part.textContent = "";
  }
  return copy.outerHTML.replace(/\s+/g, " ");
}

/** Returns the answer in a field, as text that can be compared. */
function answerOf(field) {
  return JSON.stringify(
    [...field.querySelectorAll(CONTROLS)].map((control) => {
      if (control.type === "checkbox" || control.type === "radio") return [control.value, control.checked];
      if (control.type === "file") return [...control.files].map((file) => file.name);
      return control.multiple ? [...control.selectedOptions].map((option) => option.value) : control.value;
    }),
  );
}

/** Gives the choices of `fresh` to the list in the page, keeping what is chosen as long as it is offered. */
function offer(list, fresh, follows) {
  const chosen = new Set([...list.selectedOptions].map((option) => option.value));
  const kept = [...fresh.options].some((option) => chosen.has(option.value));
  list.replaceChildren(...fresh.options);
  if (kept && !follows) for (const option of list.options) option.selected = chosen.has(option.value);
}

/** Carries the answers in `old` over to the controls of the same name in `fresh`. */
function carry(old, fresh) {
  for (const control of old.querySelectorAll(CONTROLS)) {
    const others = [...fresh.querySelectorAll(`[name="${CSS.escape(control.name)}"]`)];
    if (control.type === "checkbox" || control.type === "radio") {
      for (const other of others) if (other.value === control.value) other.checked = control.checked;
    } else if (control.type === "file") others[0]?.replaceWith(control);
    else if (others[0] && (others[0].localName !== "select" || hasOption(others[0], control.value))) others[0].value = control.value;
  }
}

const hasOption = (list, value) => [...list.options].some((option) => option.value === value);

/** Keeps the fields of a form as the server last rendered them, and takes its next renderings. */
export class Fields {
  /** `place` holds the fields; `prepare` is called with each element that comes into it. */
  constructor(place, prepare) {
    this.place = place;
    this.prepare = prepare;
    this.shapes = new Map();
    this.suggested = new Map(); // argument → the answer that the server suggested
    this.gone = new Map(); // argument → a field that is not asked now, with what was typed into it
    for (const field of fieldsOf(place)) this.remember(field, shapeOf(field));
  }

  remember(field, shape) {
    this.shapes.set(nameOf(field), shape);
    if ("suggested" in field.dataset) this.suggested.set(nameOf(field), answerOf(field));
  }

  /** Returns the arguments whose answer is still the one that the server suggested: it may suggest another. */
  untouched() {
    return fieldsOf(this.place)
      .filter((field) => "suggested" in field.dataset && this.suggested.get(nameOf(field)) === answerOf(field))
      .map(nameOf);
  }

  /** Takes the fields as rendered for the answers that were sent; `follows` names those that take a new suggestion. */
  take(html, follows) {
    const fresh = document.createElement("div");
    fresh.innerHTML = html;
    const used = document.activeElement;
    const live = new Map(fieldsOf(this.place).map((field) => [nameOf(field), field]));
    const still = new Set(follows.filter((name) => this.untouched().includes(name)));
    for (const field of fieldsOf(fresh)) this.settle(fresh, field, live, still);
    for (const field of live.values()) this.leave(field);
    this.arrange(this.place, fresh);
    if (used?.name && !used.isConnected) this.place.querySelector(`[name="${CSS.escape(used.name)}"]`)?.focus();
  }

  /** Puts the element that the page should show in the place of the fresh one. */
  settle(fresh, field, live, still) {
    const name = nameOf(field);
    const shape = shapeOf(field);
    const old = live.get(name) ?? this.gone.get(name);
    const known = this.shapes.get(name);
    live.delete(name);
    this.gone.delete(name);
    field.shown = !old ? field : this.merged(old, field, shape === known, still.has(name));
    if (!old) this.prepare(field);
    this.remember(field.shown, shape);
  }

  merged(old, field, same, follows) {
    if (same && follows) carry(field, old);
    if (same) return old;
    const [list, ...more] = old.querySelectorAll(CONTROLS);
    const other = field.querySelector(CONTROLS);
    if (!more.length && list?.localName === "select" && other?.localName === "select") {
      offer(list, other, follows);
      return old;
    }
    if (!follows) carry(old, field);
    this.prepare(field);
    return field;
  }

  /** Takes a field out of the page that is not asked any more; what was typed comes back with it. */
  leave(field) {
    this.gone.set(nameOf(field), field);
    field.remove();
  }

  /** Makes the children of `live` those of `fresh`, in its order, moving nothing that is in its place. */
  arrange(live, fresh) {
    const wanted = [...fresh.children].map((child) => child.shown ?? this.group(live, child));
    for (const child of [...live.children]) if (!wanted.includes(child)) child.remove();
    wanted.forEach((child, at) => {
      if (live.children[at] !== child) live.insertBefore(child, live.children[at] ?? null);
    });
  }

  /** Returns the element of the page for a group of fields, or for what is no field. */
  group(live, child) {
    const title = child.querySelector(":scope > legend")?.textContent;
    if (title === undefined) {
      return [...live.children].find((one) => one.outerHTML === child.outerHTML) ?? child;
    }
    const present = [...live.children].find((one) => one.querySelector(":scope > legend")?.textContent === title);
    if (!present) {
      child.replaceChildren(child.querySelector(":scope > legend"), ...fieldsOf(child).map((field) => field.shown));
      return child;
    }
    this.arrange(present, child);
    return present;
  }
}
