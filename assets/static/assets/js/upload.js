// The upload of a mesh: dropped or chosen, and sent with its progress shown. What breaks off leaves the file chosen and says why.
// Without scripts the browser sends the form as any other.

import { answerOf, size, whyNot } from "../../jobroom/js/sending.js";

const form = document.querySelector("form.upload");
const input = form?.querySelector("input[type=file]");
const place = form?.querySelector("[data-sending]");
const [bar, words, stop] = place ? [place.querySelector("progress"), place.querySelector("[role=status]"), place.querySelector("button")] : [];
let under = null;

/** Shows how it stands: while something is on its way with a bar and without the buttons. */
function say(text, sending = false) {
  place.hidden = !text;
  bar.hidden = stop.hidden = !sending;
  for (const button of form.querySelectorAll("button[type=submit]")) button.disabled = sending;
  words.textContent = text;
}

/** Shows what is wrong with a field as the page of the server does. */
function complain(texts) {
  for (const old of form.querySelectorAll(".error-box")) old.remove();
  for (const text of texts) {
    const box = document.createElement("p");
    box.className = "error-box";
    box.setAttribute("role", "alert");
    box.textContent = text;
    form.append(box);
  }
}

function send(data) {
  const request = new XMLHttpRequest();
  let sent = 0;
  under = request;
  bar.value = 0;
  complain([]);
  say("Uploading…", true);
  request.upload.addEventListener("progress", (event) => {
    sent = event.loaded;
    bar.value = event.loaded / (event.total || 1);
    say(event.loaded < event.total ? `${size(event.loaded)} of ${size(event.total)}` : "Uploaded; it is looked at…", true);
  });
  request.addEventListener("loadend", () => {
    if (under !== request) return;
    under = null;
    const answer = answerOf(request);
    if (request.status === 201 && answer) {
      location.assign(answer.to);
      return;
    }
    if (request.status === 422 && answer) {
      say("");
      complain(answer.errors);
    } else say(whyNot(request, form.action, sent));
  });
  request.open("POST", form.action);
  request.setRequestHeader("Accept", "application/json");
  request.send(data);
}

if (place) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (!under) send(new FormData(form, event.submitter));
  });
  stop.addEventListener("click", () => {
    const request = under;
    under = null;
    request?.abort();
    say("Stopped. The file is still chosen.");
  });
  input.addEventListener("change", () => !under && say(""));
  for (const kind of ["dragover", "dragleave", "drop"]) {
    form.addEventListener(kind, (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      form.classList.toggle("upload-over", kind === "dragover");
      if (kind !== "drop" || !event.dataTransfer.files.length || under) return;
      input.files = event.dataTransfer.files;
      input.dispatchEvent(new Event("change", { bubbles: true }));
    });
  }
}
