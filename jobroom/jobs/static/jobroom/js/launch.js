// The launch form: shows only what the chosen time needs, asks again for fields that depend on others, finds rows.

import { Fields } from "./fields.js";
import { Preview } from "./preview.js";

const form = document.querySelector("form.launch");

/** Hides the questions of the times that were not chosen. */
function followTime() {
  const chosen = form.querySelector("[name='launch-when']");
  if (!chosen) return;
  const needs = { run_after: "later", cron: "repeat", schedule_name: "repeat", priority: "now" };
  for (const [name, when] of Object.entries(needs)) {
    const field = form.querySelector(`[name='launch-${name}']`)?.closest(".field");
    if (field) field.hidden = chosen.value !== when;
  }
  for (const field of form.querySelectorAll("[data-field^='launch-repeat_']")) field.hidden = chosen.value !== "repeat";
  const button = form.querySelector("button.primary");
  if (button) button.textContent = { now: "Launch", later: "Launch at that time", repeat: "Set the schedule" }[chosen.value];
}

/** Says in the folded line when and where the job would run. */
function sayWhen() {
  const line = form.querySelector("[data-when-line]");
  if (!line) return;
  const value = (name) => form.querySelector(`[name='launch-${name}']`)?.value ?? "";
  const times = { now: "now", later: value("run_after") ? `at ${value("run_after").replace("T", " ")}` : "at a time", repeat: value("cron") ? `repeatedly: ${value("cron")}` : "repeatedly" };
  const parts = [times[value("when")] ?? "now", `in the queue ${value("queue") || "of the task"}`];
  if (value("note")) parts.push(`with the note “${value("note")}”`);
  if (value("tags")) parts.push(`tagged ${value("tags")}`);
  line.textContent = parts.join(", ");
}

/** Returns what says while one types what a schedule means, and when it would run next; null on a form without one. */
function previewOfSchedule() {
  const box = form.querySelector("[name='launch-cron']");
  const address = form.querySelector(".when")?.dataset.preview;
  if (!box || !address) return null;
  const shown = document.createElement("div");
  shown.dataset.nextRuns = "";
  shown.setAttribute("role", "status");
  box.closest(".field").append(shown);
  const question = () => {
    if (!box.value.trim()) return null;
    const query = new URLSearchParams({ "schedule-kind": "cron", "schedule-cron": box.value });
    for (const [name, value] of new FormData(form)) {
      if (name.startsWith("launch-repeat_")) query.append(name.replace("launch-repeat_", "schedule-"), value);
    }
    return query;
  };
  return new Preview(shown, address, question, () => [...shown.querySelectorAll("li")].slice(3).forEach((run) => run.remove()));
}

const place = form?.querySelector("#fields");
const fields = place && new Fields(place, (field) => field.querySelectorAll("[data-search]").forEach(offerRows));
let asking = null;

/** Says beside the fields that choices may be out of date, or takes that back. */
function sayOld(old) {
  const line = form.querySelector("[data-choices-old]");
  if (line) line.hidden = !old;
}

/** Asks for the fields that depend on the answers; an answer that a later question has overtaken is dropped. */
async function askAgain() {
  asking?.abort();
  const mine = new AbortController();
  asking = mine;
  const data = new FormData(form);
  const follows = fields.untouched();
  data.set("launch-refresh", "1");
  for (const [name, value] of [...data.entries()]) if (value instanceof File) data.delete(name);
  for (const name of follows) data.append("launch-suggested", name);
  try {
    const answer = await fetch(form.getAttribute("action"), { method: "POST", body: data, headers: { Accept: "text/html" }, signal: mine.signal });
    if (!answer.ok || answer.redirected) throw new Error(`The server answered ${answer.status}`);
    const html = await answer.text();
    if (asking !== mine) return;
    fields.take(html, follows);
    sayOld(false);
  } catch {
    if (asking === mine) sayOld(true);
  }
}

/** Gives a field for one of very many rows a box that searches them. */
function offerRows(area) {
  const box = document.createElement("input");
  box.type = "search";
  box.placeholder = "Search…";
  box.setAttribute("aria-label", `Search ${area.dataset.search}`);
  const list = document.createElement("ul");
  list.className = "offers";
  area.before(box, list);
  let latest = 0;
  box.addEventListener("input", async () => {
    const mine = ++latest;
    const address = `${form.dataset.options}${encodeURIComponent(area.dataset.search)}/?q=${encodeURIComponent(box.value)}`;
    const answer = await fetch(address, { headers: { Accept: "application/json" } });
    if (!answer.ok || mine !== latest) return;
    const { options } = await answer.json();
    list.replaceChildren(
      ...options.map(({ value, label }) => {
        const item = document.createElement("li");
        const button = document.createElement("button");
        button.type = "button";
        button.textContent = `${label} (${value})`;
        button.addEventListener("click", () => {
          area.value = area.placeholder.startsWith("ids") && area.value ? `${area.value}\n${value}` : value;
          list.replaceChildren();
          area.dispatchEvent(new Event("change", { bubbles: true }));
        });
        item.append(button);
        return item;
      }),
    );
  });
}

if (form) {
  followTime();
  sayWhen();
  const preview = previewOfSchedule();
  preview?.ask();
  form.addEventListener("input", (event) => {
    if (!event.target.name?.startsWith("launch-")) return;
    sayWhen();
    if (/^launch-(cron$|repeat_)/.test(event.target.name)) preview?.soon();
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "launch-when") followTime();
    else if ("depends" in form.dataset && event.target.name && place.contains(event.target)) askAgain();
  });
  addEventListener("online", () => form.querySelector("[data-choices-old]")?.hidden === false && askAgain());
  form.querySelectorAll("[data-search]").forEach(offerRows);
}
