// The form of a schedule: asks only what the chosen kind needs, and says while one types when it would run.

const form = document.querySelector("form.schedule-form");
const place = document.getElementById("preview");
const NEEDS = { every: "every", period: "every", cron: "cron", event: "solar", latitude: "solar", longitude: "solar", at: "once" };
let asking = null;
let later = 0;

const control = (name) => form.querySelector(`[name="schedule-${name}"]`);

/** Hides the questions of the kinds that were not chosen. */
function follow() {
  for (const [name, kind] of Object.entries(NEEDS)) {
    const field = control(name)?.closest(".field");
    if (field) field.hidden = control("kind").value !== kind;
  }
}

async function preview() {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const query = new URLSearchParams();
  for (const name of ["kind", ...Object.keys(NEEDS)]) query.set(`schedule-${name}`, control(name)?.value ?? "");
  try {
    const answer = await fetch(`${form.dataset.preview}${form.dataset.preview.includes("?") ? "&" : "?"}${query}`, { signal: mine.signal, redirect: "manual" });
    if (answer.ok && asking === mine) place.innerHTML = await answer.text();
  } catch {
    if (asking === mine) place.textContent = "The server does not answer. What you typed is kept.";
  }
}

if (form) {
  follow();
  preview();
  form.addEventListener("input", (event) => {
    if (!event.target.name?.startsWith("schedule-")) return;
    follow();
    clearTimeout(later);
    later = setTimeout(preview, 250);
  });
}
