// The launch form: shows only what the chosen time needs, asks again for fields that depend on others, finds rows.

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
  const button = form.querySelector("button.primary");
  if (button) button.textContent = { now: "Launch", later: "Launch at that time", repeat: "Set the schedule" }[chosen.value];
}

/** Fetches the fields anew, as some depend on others; keeps the focus where it is. */
async function askAgain() {
  const data = new FormData(form);
  data.set("launch-refresh", "1");
  for (const [name, value] of [...data.entries()]) if (value instanceof File) data.delete(name);
  const answer = await fetch(form.action, { method: "POST", body: data, headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const fields = form.querySelector("#fields");
  const focused = document.activeElement?.name;
  fields.innerHTML = await answer.text();
  form.querySelector(`[name="${CSS.escape(focused ?? "")}"]`)?.focus();
  fields.querySelectorAll("[data-search]").forEach(offerRows);
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
        });
        item.append(button);
        return item;
      }),
    );
  });
}

if (form) {
  followTime();
  form.addEventListener("change", (event) => {
    if (event.target.name === "launch-when") followTime();
    else if ("depends" in form.dataset && !event.target.name?.startsWith("launch-")) askAgain();
  });
  form.querySelectorAll("[data-search]").forEach(offerRows);
}
