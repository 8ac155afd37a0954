// Files of the launch form: dropped or chosen, they are uploaded at once, with the progress shown; the form then sends the id alone.
// Where that fails the form sends the file itself, as it does without scripts.

const form = document.querySelector("form.launch[data-upload]");
const done = new WeakMap(); // input → id of its uploaded file
const under = new Map(); // input → its request

const inputs = () => [...(form?.querySelectorAll("input[type=file]") ?? [])];
const fits = (input, file) => !input.accept || input.accept.split(",").some((end) => file.name.toLowerCase().endsWith(end.trim().toLowerCase()));

/** Returns the place below a field that shows its upload. */
function placeOf(input) {
  const field = input.closest(".field");
  let place = field.querySelector("[data-uploaded]");
  if (!place) {
    place = document.createElement("div");
    place.dataset.uploaded = "";
    place.innerHTML = '<progress max="1" value="0" aria-label="Upload" hidden></progress><p class="hint-line" role="status"></p>';
    input.after(place);
  }
  return { bar: place.querySelector("progress"), words: place.querySelector("p") };
}

const MEGA = 1024 * 1024;
const size = (bytes) => (bytes < MEGA ? `${Math.ceil(bytes / 1024)} KB` : `${(bytes / MEGA).toFixed(1)} MB`);

function upload(input) {
  under.get(input)?.abort();
  under.delete(input);
  done.delete(input);
  const { bar, words } = placeOf(input);
  const [file] = input.files;
  bar.hidden = true;
  words.textContent = "";
  if (!file) return;
  if (!fits(input, file)) {
    words.textContent = `Choose a file of type ${input.accept.replaceAll(",", ", ")}.`;
    return;
  }
  const request = new XMLHttpRequest();
  under.set(input, request);
  bar.hidden = false;
  bar.value = 0;
  request.upload.addEventListener("progress", (event) => {
    bar.value = event.loaded / (event.total || 1);
    words.textContent = `${size(event.loaded)} of ${size(event.total)}`;
  });
  request.addEventListener("loadend", () => {
    if (under.get(input) !== request) return;
    under.delete(input);
    bar.hidden = true;
    if (request.status === 201) {
      done.set(input, JSON.parse(request.responseText).id);
      words.textContent = `${file.name} is uploaded (${size(file.size)}).`;
    } else words.textContent = `Not uploaded yet: ${reason(request)} It is sent with the form.`;
    form.dispatchEvent(new Event("uploaded"));
  });
  request.open("POST", form.dataset.upload);
  request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
  request.setRequestHeader("Accept", "application/json");
  const data = new FormData();
  data.set("file", file);
  request.send(data);
}

function reason(request) {
  try {
    const answer = JSON.parse(request.responseText);
    return [answer.detail ?? answer.title, ...Object.values(answer.errors ?? {}).flat()].filter(Boolean).join(" ");
  } catch {
    return "the server does not answer.";
  }
}

if (form) {
  form.addEventListener("change", (event) => event.target.matches("input[type=file]") && upload(event.target));
  form.addEventListener("formdata", (event) => {
    for (const input of inputs()) {
      if (!done.has(input)) continue;
      event.formData.delete(input.name);
      event.formData.set(`${input.name}-stored`, done.get(input));
    }
  });
  // Who launches while a file is on its way waits for it, and sees how far it is.
  form.addEventListener("submit", (event) => {
    if (!under.size) return;
    const button = event.submitter;
    event.preventDefault();
    event.stopImmediatePropagation();
    form.addEventListener("uploaded", () => HTMLFormElement.prototype.requestSubmit.call(form, button), { once: true });
  }, true);
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
