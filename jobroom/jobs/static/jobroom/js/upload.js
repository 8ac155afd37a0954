// Files of forms that ask for arguments: dropped or chosen, they are uploaded at once, with the progress shown; the form then sends the id alone.
// It is not sent before they are there: a form that breaks off with a file inside would leave the page, and lose the file.

import { look } from "./health.js";
import { answerOf, size, whyNot } from "./sending.js";

const form = document.querySelector("form.launch[data-upload]");
const done = new Map(); // name of an input → the file that was uploaded from it: id and words
const under = new Map(); // input → its request
const wrong = new Set(); // inputs whose file is not there
let waiting = null; // the button that was pressed while files were missing

const inputs = () => [...(form?.querySelectorAll("input[type=file]") ?? [])];
const fits = (input, file) => !input.accept || input.accept.split(",").some((end) => file.name.toLowerCase().endsWith(end.trim().toLowerCase()));

/** Returns the place below a field that shows its upload. */
function placeOf(input) {
  const field = input.closest(".field");
  let place = field.querySelector("[data-uploaded]");
  if (!place) {
    place = document.createElement("div");
    place.dataset.uploaded = "";
    place.innerHTML = '<progress max="1" value="0" aria-label="Upload" hidden></progress><p class="hint-line" role="status"></p><p class="error-line" role="alert"></p><button type="button" hidden>Upload again</button>';
    input.after(place);
    place.querySelector("button").addEventListener("click", () => upload(input));
  }
  const [words, error] = place.querySelectorAll("p");
  return { field, bar: place.querySelector("progress"), words, error, again: place.querySelector("button") };
}

/** Says how an upload stands. */
function say(input, text, fraction = null) {
  const { field, bar, words, error, again } = placeOf(input);
  wrong.delete(input);
  field.classList.remove("field-wrong");
  input.removeAttribute("aria-invalid");
  error.textContent = "";
  again.hidden = true;
  bar.hidden = fraction === null;
  bar.value = fraction ?? 0;
  words.textContent = text;
}

/** Says at the field why its file is not there, and what helps. */
function complain(input, text, canAgain) {
  say(input, "");
  const { field, error, again } = placeOf(input);
  wrong.add(input);
  field.classList.add("field-wrong");
  input.setAttribute("aria-invalid", "true");
  error.textContent = `${field.querySelector("label").firstChild.textContent.trim()} is not uploaded. ${text}`;
  again.hidden = !canAgain;
}

function upload(input, tries = 2) {
  const before = under.get(input);
  under.delete(input);
  before?.abort();
  done.delete(input.name);
  keep();
  const [file] = input.files;
  say(input, "");
  if (file && !fits(input, file)) complain(input, `Choose a file of type ${input.accept.replaceAll(",", ", ")}.`, false);
  else if (file && file.size > Number(input.dataset.most ?? Infinity)) complain(input, `It has ${size(file.size)}, and ${size(input.dataset.most)} are the most. Choose a smaller one.`, false);
  else if (file) send(input, file, tries);
  if (!under.size) settled(); // what was waited for is taken back
}

function send(input, file, tries) {
  const request = new XMLHttpRequest();
  const address = form.dataset.upload;
  let sent = 0;
  under.set(input, request);
  say(input, "Uploading…", 0);
  request.upload.addEventListener("progress", (event) => {
    if (under.get(input) !== request) return;
    sent = event.loaded;
    say(input, `${size(event.loaded)} of ${size(event.total)}`, event.loaded / (event.total || 1));
  });
  request.addEventListener("loadend", async () => {
    if (under.get(input) !== request) return;
    if (request.status === 403 && tries > 1) {
      await look(); // a login in another tab has changed the token: the page gets the new one by it
      if (under.get(input) === request) send(input, file, tries - 1);
      return;
    }
    under.delete(input);
    const answer = answerOf(request);
    if (request.status === 201 && answer) {
      const taken = { answer, words: `${file.name} is uploaded (${size(file.size)}).` };
      input.dispatchEvent(new CustomEvent("uploaded", { bubbles: true, detail: taken })); // who reads the answer may say it in other words
      if ("id" in answer) done.set(input.name, { id: answer.id, words: taken.words });
      keep();
      say(input, taken.words);
    } else {
      complain(input, whyNot(request, address, sent), true);
      look(); // the line on top of the page says it, too, and has the link to log in again
    }
    settled();
  });
  request.open("POST", address);
  request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  request.setRequestHeader("Accept", "application/json");
  const data = new FormData();
  data.set("file", file);
  request.send(data);
}

/** Sends the form that waited for its files, or shows the first one that is missing. */
function settled() {
  if (under.size || waiting === null) return;
  const { button } = waiting;
  waiting = null;
  const first = inputs().find((input) => wrong.has(input));
  if (!first) HTMLFormElement.prototype.requestSubmit.call(form, button);
  else (placeOf(first).again.hidden ? first : placeOf(first).again).focus();
}

/** Remembers what is uploaded: the page of an error is left by the browser's Back, which empties fields for files. */
function keep() {
  history.replaceState({ ...history.state, uploaded: [...done] }, "");
}

/** Takes again what was uploaded before the page was left for that of an error. */
function takeAgain() {
  const [entry] = performance.getEntriesByType("navigation");
  if (entry?.type !== "back_forward") return;
  for (const [name, file] of history.state?.uploaded ?? []) {
    const input = inputs().find((one) => one.name === name && !one.files.length);
    if (!input) continue;
    done.set(name, file);
    say(input, file.words);
  }
}

if (form) {
  takeAgain();
  form.addEventListener("change", (event) => {
    const target = event.target;
    if (target.matches("input[type=file]")) upload(target);
    // What was chosen last counts: one that is stored already takes the place of one that was uploaded.
    const input = target.value && inputs().find((one) => `${one.name}-stored` === target.name);
    if (input && (input.files.length || done.has(input.name))) {
      input.value = "";
      upload(input);
    }
  });
  form.addEventListener("formdata", (event) => {
    for (const input of inputs()) {
      if (!done.has(input.name)) continue;
      event.formData.delete(input.name);
      event.formData.set(`${input.name}-stored`, done.get(input.name).id);
    }
  });
  // Who launches while a file is on its way waits for it, and sees how far it is; one that broke off is tried again.
  form.addEventListener("submit", (event) => {
    const missing = inputs().filter((input) => input.files.length && !done.has(input.name));
    if (!missing.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    waiting = { button: event.submitter };
    for (const input of missing) if (!under.has(input)) upload(input);
    settled();
  }, true);
  addEventListener("online", () => [...wrong].forEach((input) => !placeOf(input).again.hidden && upload(input)));
  const zone = (event) => event.target.closest?.(".field")?.querySelector("input[type=file]");
  for (const kind of ["dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      const input = zone(event);
      if (!input || !event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      input.closest(".field").classList.toggle("field-over", kind === "dragover");
      if (kind !== "drop" || !event.dataTransfer.files.length) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}
