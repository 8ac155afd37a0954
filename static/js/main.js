// Keeps times relative to now, and the parts of a page marked with data-refresh up to date.

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

/** Returns seconds in their largest unit, and minutes below ten with their seconds. */
function short(seconds) {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  const whole = Math.floor(seconds / size);
  const rest = Math.floor((seconds % size) / (size / (size === 86400 ? 24 : 60)));
  if (unit === "s") return `${Math.max(0, Math.round(seconds))} s`;
  if (unit === "h") return `${whole} h ${rest} min`;
  if (whole >= 10) return `${whole} ${unit}`;
  return `${whole} ${unit} ${rest} ${unit === "d" ? "h" : "s"}`;
}

function tellTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (Date.now() - Date.parse(time.dateTime)) / 1000;
    const text = seconds >= 0 ? `${short(seconds)} ago` : `in ${short(-seconds)}`;
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Returns what must survive a refresh: opened details, by id. */
function opened(region) {
  return [...region.querySelectorAll("details[open][id]")].map((details) => details.id);
}

/** Replaces the region by the one of a freshly loaded page, if nobody is using it. */
async function refresh(region) {
  const busy = region.contains(document.activeElement) || String(getSelection() ?? "") !== "";
  if (document.hidden || busy) return region;
  const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "manual" });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById(region.id);
  if (!next) throw new Error("The page has changed");
  if (document.activeElement && region.contains(document.activeElement)) return region;
  for (const id of opened(region)) next.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  region.replaceWith(next);
  tellTimes();
  return next;
}

function sayStale(region, stale) {
  const place = region.querySelector("[data-freshness]");
  if (place) place.classList.toggle("stale", stale);
}

/** Refreshes a region as often as it asks for, more rarely while the server does not answer. */
function keepFresh(region) {
  const seconds = Number(region.dataset.refresh);
  if (!seconds) return;
  let current = region;
  let pause = seconds;
  const turn = async () => {
    try {
      current = await refresh(current);
      pause = seconds;
      sayStale(current, false);
    } catch {
      pause = Math.min(60, pause * 2);
      sayStale(current, true);
    }
    // A job that has finished asks for no more.
    if (Number(current.dataset.refresh)) setTimeout(turn, pause * 1000);
  };
  setTimeout(turn, pause * 1000);
}

tellTimes();
setInterval(tellTimes, 1000);
document.querySelectorAll("[data-refresh]").forEach(keepFresh);
