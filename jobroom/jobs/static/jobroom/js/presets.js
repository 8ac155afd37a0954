// The dialog in which answers are kept as a preset. The launch form stays as it is: nothing typed, no secret and no chosen
// file is lost, whatever comes of it.

const form = document.querySelector("form.launch");
const button = form?.querySelector("button[name='preset-dialog']");

/** Shows what the server says in a dialog; the button that opened it has the focus again when it is closed. */
function show(html) {
  const dialog = document.querySelector("dialog.preset") ?? document.createElement("dialog");
  dialog.className = "preset";
  dialog.setAttribute("aria-labelledby", "preset-title");
  dialog.innerHTML = html;
  if (!dialog.isConnected) {
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      button.focus();
    });
  }
  dialog.querySelector("[data-close]")?.addEventListener("click", () => dialog.close());
  const inner = dialog.querySelector("form");
  inner?.addEventListener("submit", (event) => {
    event.preventDefault();
    send(inner.getAttribute("action"), new FormData(inner), () => sayNothingSent(inner));
  });
  if (!dialog.open) dialog.showModal();
  dialog.querySelector("[autofocus]")?.focus();
  return dialog;
}

/** Says in the dialog that the server was not reached. */
function sayNothingSent(inner) {
  const line = inner.querySelector("[data-away]") ?? document.createElement("p");
  line.className = "error-box";
  line.dataset.away = "";
  line.setAttribute("role", "alert");
  line.textContent = "The server does not answer. Nothing was kept and nothing is lost: try again in a moment.";
  inner.prepend(line);
}

async function send(address, data, failed) {
  data.set("preset-part", "1");
  let answer;
  try {
    answer = await fetch(address, { method: "POST", body: data, headers: { Accept: "text/html" }, redirect: "manual" });
  } catch {
    failed();
    return;
  }
  const html = await answer.text();
  if (answer.status === 409) {
    // Another preset has this name: the page of the question says what differs, and goes on from there.
    const page = new DOMParser().parseFromString(html, "text/html");
    show(page.getElementById("content").innerHTML.replace("<h1", '<h1 id="preset-title"'));
    const back = document.querySelector("dialog.preset a.button-like");
    back?.addEventListener("click", (event) => {
      event.preventDefault();
      document.querySelector("dialog.preset").close();
    });
  } else if (html.includes("data-kept")) {
    document.querySelector("dialog.preset")?.close();
    document.querySelector("[data-kept]")?.remove();
    form.insertAdjacentHTML("beforebegin", html);
  } else if (answer.ok || answer.status === 422) show(html);
  else failed();
}

button?.addEventListener("click", (event) => {
  event.preventDefault();
  const data = new FormData(form);
  data.set("preset-dialog", "1");
  send(button.getAttribute("formaction"), data, () => show('<form><h2 id="preset-title">Keep as a preset</h2><p class="actions"><button type="button" data-close>Close</button></p></form>') && sayNothingSent(document.querySelector("dialog.preset form")));
});
