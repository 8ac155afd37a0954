// One socket a page. Progress numbers and log lines travel in the message; anything else says that something changed,
// and the page fetches its region again. Without a socket the page polls, as main.js does anyway.

import { refreshNow, setLive } from "./main.js";
import { percent, timeOfDay } from "./times.js";

const ESTIMATE_PAUSE = 5000;
let estimated = Date.now();
const OPEN_TOO_LONG = 35000; // three missed signs of life
const LOGGED_OUT = 4401;
const seen = new Map(); // topic → sequence number
const asked = new Set(); // topics that the open socket is subscribed to
let socket = null;
let tries = 0;
let watchdog = 0;

function topics() {
  return [...document.querySelectorAll("[data-live]")].flatMap((region) => region.dataset.live.split(" "));
}

function regionOf(topic) {
  return [...document.querySelectorAll("[data-live]")].find((region) => region.dataset.live.split(" ").includes(topic));
}

function paintProgress(region, message) {
  const bar = region.querySelector("[data-progress]");
  if (!bar) {
    refreshNow(region.id);
    return;
  }
  if (message.fraction === null || message.fraction === undefined) bar.removeAttribute("value");
  else bar.value = message.fraction;
  const share = region.querySelector("[data-progress-share]");
  if (share) share.textContent = message.fraction == null ? "" : percent(message.fraction);
  const text = region.querySelector("[data-progress-text]");
  if (text) text.textContent = [message.stage, message.message].filter(Boolean).join(" · ");
  // When it should end is computed by the server alone, which knows what earlier jobs took.
  if (region.querySelector("[data-progress-rest]") && Date.now() - estimated > ESTIMATE_PAUSE) {
    estimated = Date.now();
    refreshNow(region.id);
  }
}

/** Moves the bar in the row of one of several jobs; asks for the row again while it has none. */
function paintRow(region, message) {
  const row = (kind) => region.querySelector(`[data-progress${kind}-of="${CSS.escape(message.topic)}"]`);
  const bar = row("");
  if (!bar || message.fraction === null || message.fraction === undefined) {
    refreshNow(region.id);
    return;
  }
  bar.value = message.fraction;
  const text = row("-text");
  if (text) text.textContent = [message.stage, message.message].filter(Boolean).join(" · ");
}

function addLine(region, message) {
  const log = region.querySelector("[data-log]");
  if (!log) {
    refreshNow(region.id);
    return;
  }
  const levels = ["debug", "info", "warning", "error"];
  if (log.dataset.level && levels.indexOf(message.level) < levels.indexOf(log.dataset.level)) return;
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 8;
  const line = document.createElement("li");
  line.className = `log-${message.level}`;
  const at = document.createElement("time");
  const moment = new Date((message.at ?? Date.now() / 1000) * 1000);
  at.textContent = timeOfDay(moment);
  at.dateTime = moment.toISOString();
  const level = document.createElement("span");
  level.className = "log-level";
  level.textContent = message.level;
  const text = document.createElement("span");
  text.className = "log-text";
  text.textContent = [message.message, message.obj].filter(Boolean).join(" ");
  line.append(at, level, text);
  log.append(line);
  if (follows) log.scrollTop = log.scrollHeight;
}

function take(message) {
  arm();
  if (message.type === "beat") return;
  const region = regionOf(message.topic);
  if (!region) return;
  const before = seen.get(message.topic);
  // A region that paints itself is never replaced: its script would go on with the old one. One that has not begun will ask by itself.
  region.dispatchEvent(new CustomEvent("live", { detail: message }));
  if ("paintsItself" in region.dataset) return;
  if (message.seq) seen.set(message.topic, Math.max(message.seq, before ?? 0));
  // A region with a sequence number is the page of one job; others have a row for each.
  const alone = region.dataset.seq !== undefined;
  if (message.type === "progress") (alone ? paintProgress : paintRow)(region, message);
  else if (message.type === "log") alone && addLine(region, message);
  else if (message.type === "snapshot") {
    // The first one says what the page already shows; a later one comes after a gap.
    if (before !== undefined || message.seq > Number(region.dataset.seq ?? 0)) refreshNow(region.id);
  } else if (message.type === "state" || message.type === "changed") refreshNow(region.id);
}

/** Says that the socket lives, and gives it up when it stays silent: a half-open connection never says that it is dead. */
function arm() {
  setLive(true);
  clearTimeout(watchdog);
  watchdog = setTimeout(drop, OPEN_TOO_LONG);
}

/** Forgets the socket, says so, and tries again later. */
function lost(code) {
  socket = null;
  clearTimeout(watchdog);
  setLive(false);
  if (code === LOGGED_OUT) return; // the next fetch says so
  tries += 1;
  setTimeout(connect, Math.min(15000, 300 * 2 ** tries) * (0.5 + Math.random()));
}

/** Gives the socket up at once: to close it takes an answer, which does not come where the network is gone. */
function drop() {
  const dead = socket;
  if (!dead) return;
  lost();
  dead.close();
}

/** Subscribes to what the page shows and has not asked for yet: a refreshed region may be about other jobs. */
function ask() {
  if (socket?.readyState !== WebSocket.OPEN) return;
  for (const topic of topics()) {
    if (asked.has(topic)) continue;
    asked.add(topic);
    const shown = Number(regionOf(topic)?.dataset.seq ?? 0);
    socket.send(JSON.stringify({ subscribe: topic, after: seen.get(topic) ?? (shown || null) }));
  }
}

function connect() {
  if (socket || !topics().length) return;
  const address = new URL(document.querySelector("meta[name=live]").content, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const made = new WebSocket(address);
  socket = made;
  // One that was given up may still say something.
  const on = (kind, handler) => made.addEventListener(kind, (event) => made === socket && handler(event));
  on("open", () => {
    tries = 0;
    arm();
    asked.clear();
    ask();
  });
  on("message", (event) => {
    // Several at once come as a list.
    for (const message of [JSON.parse(event.data)].flat()) take(message);
  });
  on("close", (event) => lost(event.code));
}

connect();
addEventListener("refreshed", ask);
// An open socket does not notice that the network is gone. The browser does, and so does a request that gets no answer.
addEventListener("offline", drop);
addEventListener("unreachable", drop);
addEventListener("online", () => {
  if (socket?.readyState !== WebSocket.OPEN) drop();
  connect();
});
