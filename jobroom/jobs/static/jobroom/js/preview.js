// The preview of a schedule: asks while one types, and never shows the runs of what was typed before as those of what is there now.

const PATIENCE = 10000;

export class Preview {
  /** `place` shows it; `address` answers with its HTML; `question` returns what to ask, null for nothing to show. */
  constructor(place, address, question, shown = () => {}) {
    Object.assign(this, { place, address, question, shown, asking: null, later: 0, failed: false });
    addEventListener("online", () => this.failed && this.ask());
  }

  /** Asks a moment after the last letter; until the answer is there, what is shown counts as old. */
  soon() {
    clearTimeout(this.later);
    this.place.setAttribute("aria-busy", "true");
    this.later = setTimeout(() => this.ask(), 250);
  }

  async ask() {
    this.asking?.abort();
    const mine = new AbortController();
    this.asking = mine;
    const query = this.question();
    if (!query) return this.show(mine, () => this.place.replaceChildren());
    this.place.setAttribute("aria-busy", "true");
    const end = setTimeout(() => mine.abort(), PATIENCE);
    try {
      const answer = await fetch(`${this.address}${this.address.includes("?") ? "&" : "?"}${query}`, { signal: mine.signal, redirect: "manual" });
      if (answer.type === "opaqueredirect") return this.show(mine, () => this.say("You are logged out. What you typed is kept: log in in another tab, then type on."), true);
      if (!answer.ok) throw new Error(`The server answered ${answer.status}`);
      const html = await answer.text();
      this.show(mine, () => (this.place.innerHTML = html));
    } catch {
      this.show(mine, () => this.say("The server does not answer. What you typed is kept, and asked about again when the connection is back."), true);
    } finally {
      clearTimeout(end);
    }
  }

  /** Shows an answer, unless a later question has overtaken it. */
  show(mine, change, failed = false) {
    if (this.asking !== mine) return;
    this.failed = failed;
    change();
    this.place.removeAttribute("aria-busy");
    this.shown();
  }

  say(text) {
    const words = document.createElement("p");
    words.className = "hint-line";
    words.textContent = text;
    this.place.replaceChildren(words);
  }
}
