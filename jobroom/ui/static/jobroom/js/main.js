// Keeps times relative to now, and the parts of a page marked with data-refresh up to date.

import { get } from "./request.js";
import { now, withZone } from "./times.js";
import { keepForms } from "./typed.js";

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

/** Returns a length as the server writes it: with a tenth below a minute, which says that it moves. */
const length = (seconds) => (seconds < 60 ? `${Math.max(0, seconds).toFixed(1)} s` : short(seconds));

/** Names the whole moment, with its zone, of the time that is pointed at. */
function nameMoment(event) {
  const time = event.target.closest?.("time[datetime]");
  if (time && !Number.isNaN(Date.parse(time.dateTime))) time.title = withZone(new Date(time.dateTime));
}

function showTimes() {
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const seconds = (now() - Date.parse(time.dateTime)) / 1000;
    const text = seconds >= 0 ? `${short(seconds)} ago` : `in ${short(-seconds)}`;
    if (time.textContent !== text) time.textContent = text;
  }
  // What still goes on: how long it runs, or waits.
  for (const time of document.querySelectorAll("[data-since]")) {
    const text = length((now() - Date.parse(time.dataset.since)) / 1000);
    if (time.textContent !== text) time.textContent = text;
  }
}

/** Returns what must survive a refresh: opened details, by id. */
function opened(region) {
  return [...region.querySelectorAll("details[open][id]")].map((details) => details.id);
}

// What a pointer is pressed on: a press and its release are a click only while both are on the same element.
let pressed = null;
const release = () => setTimeout(() => (pressed = null)); // after its click
addEventListener("pointerdown", (event) => (pressed = event.target), true);
addEventListener("pointerup", release, true);
addEventListener("pointercancel", release, true);
addEventListener("blur", release);

/** Returns a selector by which an element is found again in a page that was loaded afresh, "" where nothing tells it apart. */
function placeOf(element) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  if (element.matches("a[href]")) return `a[href="${CSS.escape(element.getAttribute("href"))}"]`;
  const form = element.matches("button") && element.closest("form[action]");
  return form ? `form[action="${CSS.escape(form.getAttribute("action"))}"] button` : "";
}

/** Replaces the region by the one of a freshly loaded page, unless it is in use; what was typed into it stays. */
async function refresh(region) {
  const typing = document.activeElement?.matches("input, select, textarea") && region.contains(document.activeElement);
  if (document.hidden && !region.dataset.live) return region;
  if (typing || region.querySelector("dialog[open]") || String(getSelection() ?? "") !== "") return region;
  const answer = await get(region.dataset.source ?? location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const next = page.getElementById(region.id);
  if (!next) throw new Error("The page has changed");
  if ((pressed && region.contains(pressed)) || region.querySelector("form[data-asking]")) {
    refreshNow(region.id); // once it is released, and what a click sends is on its way
    return region;
  }
  for (const id of opened(region)) next.querySelector(`#${CSS.escape(id)}`)?.setAttribute("open", "");
  const ticked = new Set([...region.querySelectorAll("[data-bulk] input[type=checkbox]:checked")].map((box) => box.value));
  for (const box of next.querySelectorAll("[data-bulk] input[type=checkbox]")) box.checked = ticked.has(box.value);
  if (!keepForms(region, next)) return region; // what was typed has no place in the new page: it is kept
  const focused = region.contains(document.activeElement) ? placeOf(document.activeElement) : "";
  if (region.dataset.source) next.dataset.source = region.dataset.source;
  region.replaceWith(next);
  if (focused) next.querySelector(focused)?.focus({ preventScroll: true });
  // Who does not see the page hears that its state has changed; the region itself is another element now.
  const said = document.querySelector("[data-said]");
  if (said && document.title !== page.title) said.textContent = page.title;
  document.title = page.title;
  const icon = document.querySelector("link[rel=icon]");
  const newIcon = page.querySelector("link[rel=icon]");
  if (icon && newIcon && icon.href !== newIcon.href) icon.href = newIcon.href;
  showTimes();
  dispatchEvent(new Event("refreshed"));
  return next;
}

function sayStale(region, stale) {
  const place = region.querySelector("[data-freshness]");
  if (place) place.classList.toggle("stale", stale);
  if (stale) dispatchEvent(new CustomEvent("server", { detail: "away" }));
}

let live = false;
const LIVE_PAUSE = 30;

/** Says whether the socket is open: then the page polls only now and then, to be sure. */
export function setLive(open) {
  live = open;
  document.documentElement.dataset.live = open ? "on" : "off";
}

const due = new Map(); // region id → timer

/** Refreshes the region soon; several wishes within half a second are one. */
export function refreshNow(id) {
  if (due.has(id)) return;
  due.set(
    id,
    setTimeout(async () => {
      due.delete(id);
      const region = document.getElementById(id);
      if (!region) return;
      try {
        sayStale(await refresh(region), false);
      } catch {
        sayStale(region, true);
      }
    }, 250),
  );
}

/** Refreshes a region as often as it asks for, more rarely while the server does not answer or a socket is open. */
function keepFresh(region) {
  const id = region.id;
  let pause = Number(region.dataset.refresh);
  if (!pause) return;
  let last = Date.now();
  const turn = async () => {
    const current = document.getElementById(id);
    const seconds = Number(current?.dataset.refresh);
    // A job that has finished asks for no more.
    if (!seconds) return;
    // What could not be refreshed once is tried again, whether the socket is open or not: until then it says nothing of its age.
    const stale = current.querySelector("[data-freshness].stale");
    if (!live || stale || Date.now() - last > LIVE_PAUSE * 1000) {
      try {
        sayStale(await refresh(current), false);
        pause = seconds;
        last = Date.now();
      } catch {
        pause = Math.min(60, pause * 2);
        sayStale(current, true);
      }
    }
    setTimeout(turn, pause * 1000);
  };
  setTimeout(turn, pause * 1000);
}

/** Closes the opened groups of the menu, but the one around `target`. */
function closeMenus(target) {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(target)) menu.open = false;
  }
}

document.addEventListener("click", (event) => closeMenus(event.target));
document.addEventListener("focusin", (event) => closeMenus(event.target));
document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (!menu) return;
  menu.open = false;
  menu.querySelector("summary").focus();
});

document.addEventListener("mouseover", nameMoment);
showTimes();
setInterval(showTimes, 1000);
document.querySelectorAll("[data-refresh]").forEach(keepFresh);
