// The graph of a workflow: painted again from states, moved, zoomed, and walked through with the arrow keys. The server
// has drawn it; nothing is laid out here.

import { ENDED, STATE } from "./node-states.js";
import { percent } from "./times.js";

const SVG = "http://www.w3.org/2000/svg";
const CLOSEST = 2;
const READABLE = 0.6;
const FAR = 0.45; // below this scale words cannot be read, so boxes are filled with the colour of their state
const BAR = [10, 180];
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

function numbers(text) {
  return text.split(",").flatMap((part) => {
    const [first, last] = part.split("-").map(Number);
    return Array.from({ length: (last ?? first) - first + 1 }, (_, at) => first + at);
  });
}

function count(node_states, nodes) {
  const found = {};
  for (const node of nodes) found[node_states[node]] = (found[node_states[node]] ?? 0) + 1;
  return found;
}

/** Draws a bar of pieces: a list of [class, share of 1]. */
export function paintBar(place, pieces, [begin, whole], top, height) {
  let x = begin;
  const made = [];
  for (const [css, share] of pieces) {
    if (!share) continue;
    const piece = document.createElementNS(SVG, "rect");
    piece.setAttribute("class", `segment state-${css}`);
    for (const [name, value] of Object.entries({ x, y: top, width: whole * share, height })) piece.setAttribute(name, value);
    made.push(piece);
    x += whole * share;
  }
  place.replaceChildren(...made);
}

export class Graph {
  constructor(frame, open) {
    this.frame = frame;
    this.svg = frame.querySelector("svg");
    this.open = open; // is called with the address of a node
    this.looks = JSON.parse(this.svg.dataset.looks);
    this.byImportance = this.svg.dataset.byImportance;
    this.order = this.svg.dataset.order;
    this.boxes = [...this.svg.querySelectorAll("a[data-nodes]")].map((box) => this.box(box));
    this.byId = new Map(this.boxes.map((box) => [box.element.id, box]));
    for (const box of this.boxes) for (const to of box.to) this.byId.get(to)?.from.push(box.element.id);
    this.node_states = "";
    this.following = false;
    this.whole = [this.svg.viewBox.baseVal.width, this.svg.viewBox.baseVal.height];
    this.takeOver();
    this.tools();
    this.pointers();
    this.keys();
    this.begin();
  }

  box(element) {
    const { e: x, f: y } = element.transform.baseVal.consolidate()?.matrix ?? { e: 0, f: 0 };
    return {
      element, x, y, from: [],
      nodes: numbers(element.dataset.nodes),
      to: (element.dataset.to ?? "").split(" ").filter(Boolean),
      isFrame: "frame" in element.dataset,
      several: "several" in element.dataset || "frame" in element.dataset,
    };
  }

  /** From here on the script decides what part of the picture is seen. */
  takeOver() {
    this.svg.removeAttribute("width");
    this.svg.removeAttribute("height");
    this.frame.classList.add("moving");
    this.nodes = this.boxes.filter((box) => !box.isFrame);
    const chosen = this.svg.querySelector(".node.selected") ?? this.nodes[0]?.element;
    for (const box of this.boxes) box.element.setAttribute("tabindex", box.element === chosen ? "0" : "-1");
    let high = 0;
    let hidden = false;
    const tidy = () => {
      // On a phone the list of steps stands in its place, until it is turned.
      if (!this.frame.clientWidth) { hidden = true; return; }
      high ||= this.frame.clientHeight;
      // A small picture needs no large frame.
      const wanted = this.whole[1] * Math.min(1, Math.max(0.75, this.frame.clientWidth / this.whole[0]));
      this.frame.style.height = `${Math.round(Math.min(high, Math.max(220, wanted + 24)))}px`;
      if (this.view && hidden) this.begin();
      else if (this.view) this.show();
      hidden = false;
    };
    tidy();
    new ResizeObserver(tidy).observe(this.frame);
  }

  // Painting

  paint(states) {
    if (this.node_states !== states.node_states || JSON.stringify(states.running) + JSON.stringify(states.items) !== this.details) {
      const before = this.node_states;
      this.node_states = states.node_states;
      this.details = JSON.stringify(states.running) + JSON.stringify(states.items);
      for (const box of this.boxes) {
        const same = before && box.nodes.every((node) => before[node] === states.node_states[node]);
        if (!same || (!box.several && (states.running[box.nodes[0]] !== undefined || states.items[box.nodes[0]]))) this.paintBox(box, states);
      }
    }
    if (this.following) this.follow();
  }

  paintBox(box, states) {
    const counts = count(states.node_states, box.nodes);
    const node_state = box.several ? [...this.byImportance].find((one) => counts[one]) : states.node_states[box.nodes[0]];
    const [word, icon, css] = this.looks[node_state];
    let text = word;
    let pieces = [];
    if (box.several) {
      const ended = ENDED.reduce((sum, one) => sum + (counts[one] ?? 0), 0);
      text = `${ended.toLocaleString("en")} of ${box.nodes.length.toLocaleString("en")} ended`;
      pieces = [...this.order].map((one) => [this.looks[one][2], (counts[one] ?? 0) / box.nodes.length]);
    } else if (states.items[box.nodes[0]]) {
      const [total, ended, bad] = states.items[box.nodes[0]];
      text = `${word} · ${ended.toLocaleString("en")} of ${total.toLocaleString("en")}`;
      if (total) pieces = [["succeeded", (ended - bad) / total], ["failed", bad / total], ["waiting", (total - ended) / total]];
    } else if (node_state === STATE.RUNNING && states.running[box.nodes[0]] !== undefined) {
      const share = states.running[box.nodes[0]];
      text = `${word} · ${percent(share)}`;
      pieces = [["running", share]];
    }
    if (node_state === STATE.WAITING && box.element.dataset.hint) text = `${word} · ${box.element.dataset.hint}`;
    const old = box.element.querySelector(".word");
    if (old.textContent !== text) old.textContent = text;
    if (box.isFrame) return;
    const kept = [...box.element.classList].filter((name) => !name.startsWith("state-"));
    box.element.setAttribute("class", [...kept, `state-${css}`].join(" "));
    box.element.querySelector(".mark").setAttribute("href", `#icon-${icon}`);
    const title = box.element.querySelector("title");
    title.textContent = `${title.textContent.slice(0, title.textContent.lastIndexOf(": "))}: ${text}`;
    const step = document.querySelector(`[data-step="${CSS.escape(box.element.id)}"]`);
    if (step) {
      step.className = `step state-${css}`;
      step.querySelector("use").setAttribute("href", `#icon-${icon}`);
      step.querySelector(".step-word").textContent = text;
    }
    paintBar(box.element.querySelector(".bar"), pieces, BAR, 43, 4);
  }

  // What is seen: `view` is its middle and how many pixels a unit is.

  get size() {
    return [this.frame.clientWidth || this.whole[0], this.frame.clientHeight || this.whole[1]];
  }

  get fitting() {
    const [width, height] = this.size;
    return Math.min(width / this.whole[0], height / this.whole[1], 1);
  }

  begin() {
    const selected = this.svg.querySelector(".node.selected");
    this.fit();
    // Where the whole can be read, all of it is shown, with what stands beside the chosen node.
    if (selected && this.fitting < READABLE) this.look(this.byId.get(selected.id), Math.max(0.8, this.fitting));
    else if (this.fitting < FAR) {
      // Too small to be read: begin at the left, where it begins.
      const [width, height] = this.size;
      const scale = Math.min(0.8, Math.max(FAR, Math.min(width / 900, height / this.whole[1])));
      const first = this.nodes.reduce((least, box) => (box.x < least.x ? box : least), this.nodes[0]);
      this.view = { x: width / scale / 2, y: Math.min(Math.max(first.y + 25, height / scale / 2), this.whole[1] - 25), scale };
      this.show();
    }
  }

  fit() {
    this.view = { x: this.whole[0] / 2, y: this.whole[1] / 2, scale: this.fitting };
    this.show();
  }

  show() {
    const [width, height] = this.size;
    const { x, y, scale } = this.view;
    this.svg.setAttribute("viewBox", `${x - width / scale / 2} ${y - height / scale / 2} ${width / scale} ${height / scale}`);
    this.svg.classList.toggle("far", scale < FAR);
  }

  zoom(factor, at) {
    const [width, height] = this.size;
    const before = this.view.scale;
    const scale = Math.min(CLOSEST, Math.max(Math.min(this.fitting, 0.5) / 1.5, before * factor));
    const [dx, dy] = at ? [at[0] - width / 2, at[1] - height / 2] : [0, 0];
    this.view = { x: this.view.x + dx / before - dx / scale, y: this.view.y + dy / before - dy / scale, scale };
    this.show();
  }

  /** Brings a box into the middle. */
  look(box, scale = this.view.scale) {
    const aim = { x: box.x + 100, y: box.y + 25, scale };
    if (STILL.matches || !this.view) {
      this.view = aim;
      this.show();
      return;
    }
    const from = { ...this.view };
    const started = performance.now();
    const turn = (now) => {
      const share = Math.min(1, Math.max(0, (now - started) / 250)); // a frame may be older than its wish
      const eased = share * (2 - share);
      for (const part of ["x", "y", "scale"]) this.view[part] = from[part] + (aim[part] - from[part]) * eased;
      this.show();
      if (share < 1 && this.moving === turn) requestAnimationFrame(turn);
    };
    this.moving = turn;
    requestAnimationFrame(turn);
  }

  isSeen(box) {
    const [width, height] = this.size;
    const { x, y, scale } = this.view;
    return Math.abs(box.x + 100 - x) < width / scale / 2 - 60 && Math.abs(box.y + 25 - y) < height / scale / 2 - 20;
  }

  // Following what runs

  setFollowing(on) {
    this.following = on;
    const button = document.querySelector("[data-follow]");
    button?.setAttribute("aria-pressed", String(on));
    if (on) this.follow(true);
  }

  follow(closer = false) {
    const runs = this.nodes.filter((box) => box.nodes.some((node) => [STATE.RUNNING, STATE.EXPANDING].includes(this.node_states[node])));
    const wanted = runs.length ? runs : this.nodes.filter((box) => box.nodes.some((node) => [STATE.QUEUED, STATE.APPROVAL].includes(this.node_states[node])));
    if (!wanted.length) return;
    const scale = closer ? Math.max(this.view.scale, 0.8) : this.view.scale;
    if (wanted.some((box) => this.isSeen(box)) && scale === this.view.scale) return;
    this.look(wanted[wanted.length >> 1], scale);
  }

  // Hands

  tools() {
    const tools = document.querySelector("[data-graph-tools]");
    if (!tools) return;
    tools.hidden = false;
    tools.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if ("follow" in button.dataset) this.setFollowing(!this.following);
      else this.moved(() => (button.dataset.zoom === "fit" ? this.fit() : this.zoom(button.dataset.zoom === "in" ? 1.4 : 1 / 1.4)));
    });
  }

  /** A person who moves the picture wants to look where they look. */
  moved(act) {
    this.setFollowing(false);
    this.moving = null;
    act();
  }

  pointers() {
    const down = new Map();
    let dragged = false;
    this.frame.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const edge = this.frame.getBoundingClientRect();
      this.moved(() => this.zoom(Math.exp(-event.deltaY / 300), [event.clientX - edge.left, event.clientY - edge.top]));
    }, { passive: false });
    this.frame.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      if (!down.size) dragged = false;
      down.set(event.pointerId, [event.clientX, event.clientY]);
    });
    addEventListener("pointermove", (event) => {
      const before = down.get(event.pointerId);
      if (!before) return;
      const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
      if (!dragged && Math.hypot(dx, dy) < 5) return;
      dragged = true;
      const others = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      down.set(event.pointerId, [event.clientX, event.clientY]);
      this.moved(() => {
        if (others.length) {
          const [other] = others;
          const edge = this.frame.getBoundingClientRect();
          const far = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]) || 1;
          const now = [event.clientX, event.clientY];
          this.zoom(far(now) / far(before), [(now[0] + other[0]) / 2 - edge.left, (now[1] + other[1]) / 2 - edge.top]);
        } else {
          this.view = { ...this.view, x: this.view.x - dx / this.view.scale, y: this.view.y - dy / this.view.scale };
          this.show();
        }
      });
    });
    for (const kind of ["pointerup", "pointercancel"]) addEventListener(kind, (event) => down.delete(event.pointerId));
    this.svg.addEventListener("dragstart", (event) => event.preventDefault());
    this.svg.addEventListener("click", (event) => {
      const box = event.target.closest("a.node");
      if (dragged) {
        event.preventDefault();
        dragged = false;
      } else if (box && !("several" in box.dataset) && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
        event.preventDefault();
        this.select(this.byId.get(box.id));
        this.open(box.getAttribute("href"));
      }
    });
  }

  keys() {
    this.frame.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const box = this.byId.get(event.target.closest?.("a[data-nodes]")?.id);
      const act = { "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.fit() }[event.key];
      const next = box && event.key.startsWith("Arrow") ? this.beside(box, event.key) : null;
      if (act) this.moved(act);
      else if (next) {
        this.select(next);
        next.element.focus({ preventScroll: true });
        if (!this.isSeen(next)) this.moved(() => this.look(next));
      } else if (!event.key.startsWith("Arrow") || !box) return;
      event.preventDefault();
    });
  }

  /** Returns the box that an arrow leads to: along the edges to left and right, within the column up and down. */
  beside(box, key) {
    const nearest = (ids) => ids.map((id) => this.byId.get(id)).filter(Boolean).sort((a, b) => Math.abs(a.y - box.y) - Math.abs(b.y - box.y))[0];
    if (key === "ArrowRight") return nearest(box.to);
    if (key === "ArrowLeft") return nearest(box.from);
    const sign = key === "ArrowDown" ? 1 : -1;
    const column = this.nodes.filter((other) => Math.abs(other.x - box.x) < 100 && (other.y - box.y) * sign > 0);
    return column.sort((a, b) => (a.y - b.y) * sign)[0];
  }

  select(box) {
    for (const other of this.svg.querySelectorAll(".node.selected")) other.classList.remove("selected");
    for (const other of this.boxes) other.element.setAttribute("tabindex", other === box ? "0" : "-1");
    box?.element.classList.add("selected");
  }
}
