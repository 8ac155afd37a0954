// The form of a schedule: asks only what the chosen kind needs, and says while one types when it would run.

import { Preview } from "./preview.js";

const form = document.querySelector("form.schedule-form");
const NEEDS = { every: "every", period: "every", cron: "cron", event: "solar", latitude: "solar", longitude: "solar", at: "once" };

const control = (name) => form.querySelector(`[name="schedule-${name}"]`);

/** Hides the questions of the kinds that were not chosen. */
function follow() {
  for (const [name, kind] of Object.entries(NEEDS)) {
    const field = control(name)?.closest(".field");
    if (field) field.hidden = control("kind").value !== kind;
  }
}

function question() {
  const query = new URLSearchParams();
  for (const name of ["kind", "closed", ...Object.keys(NEEDS)]) query.set(`schedule-${name}`, control(name)?.value ?? "");
  for (const name of ["not_on", "only_on"]) {
    for (const box of form.querySelectorAll(`[name="schedule-${name}"]:checked`)) query.append(`schedule-${name}`, box.value);
  }
  return query;
}

if (form) {
  const preview = new Preview(document.getElementById("preview"), form.dataset.preview, question);
  follow();
  preview.ask();
  form.addEventListener("input", (event) => {
    if (!event.target.name?.startsWith("schedule-")) return;
    follow();
    preview.soon();
  });
}
