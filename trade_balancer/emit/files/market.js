// The market: what came for each symbol, and which of them are seen in which order. Values are taken as they come and
// shown once a frame of the screen.

import { Feed } from "./feed.js";
import { Rows } from "./rows.js";

// By event: where in a value the prices are whose mean is the last one, and which event counts where there are several.
const LAST = {
  T: [3, [0]], XT: [3, [0]], V: [3, [0]], A: [2, [3]], AM: [2, [3]], FMV: [2, [0]],
  Q: [1, [0, 2]], XQ: [1, [0, 2]], C: [1, [0, 1]],
};
const NANOSECONDS = new Set(["FMV"]);
const POINTS = 60;
const POINT_MS = 500; // of a line: at most one in so long
const SAMPLES = 1024;
const MOST_MS = 99999;

const byId = (id) => document.getElementById(id);

class Line {
  constructor() {
    this.values = new Float64Array(POINTS);
    this.total = 0;
    this.nextMs = 0;
  }

  add(value, nowMs) {
    if (nowMs < this.nextMs) return;
    this.nextMs = nowMs + POINT_MS;
    this.values[this.total % POINTS] = value;
    this.total += 1;
  }

  points() {
    const at = this.total % POINTS;
    if (this.total <= POINTS) return this.values.subarray(0, this.total);
    return Float64Array.of(...this.values.subarray(at), ...this.values.subarray(0, at));
  }
}

class Traded {
  constructor(name) {
    this.name = name;
    this.rank = 0;
    this.changes = 0;
    this.shownMs = 0;
  }

  take(event, value, nowMs) {
    const [rank, places] = LAST[event];
    const prices = places.map((place) => value[place]).filter((price) => price !== null);
    if (rank < this.rank || !prices.length) return;
    if (rank > this.rank) this.line = new Line();
    this.last = prices.reduce((sum, price) => sum + price) / prices.length;
    if (rank > this.rank) this.first = this.last;
    this.rank = rank;
    this.timeMs = value[value.length - 1] / (NANOSECONDS.has(event) ? 1e6 : 1);
    this.changes += 1;
    this.change = this.first ? Math.round(1e4 * (this.last / this.first - 1)) / 1e4 : 0; // as it is shown
    this.line.add(this.last, nowMs);
    this.isNew = true;
  }

  // Texts are made for those that are seen, in the frame in which they are.
  get text() {
    return price(this.last);
  }

  get ageText() {
    return milliseconds(Math.round(this.shownMs - this.timeMs));
  }

  get changesText() {
    return WHOLE.format(this.changes);
  }

  get changeText() {
    return `${this.change > 0 ? "+" : this.change < 0 ? "−" : ""}${Math.abs(100 * this.change).toFixed(2)} %`;
  }
}

// Made once: each costs more than a thousand uses.
const PRICES = [2, 4, 6].map((digits) => new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: digits }));

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function price(value) {
  return PRICES[value >= 1000 ? 0 : value >= 1 ? 1 : 2].format(value);
}

// The newest samples; of these any part.
class Samples {
  constructor() {
    this.values = new Float64Array(SAMPLES);
    this.total = 0;
  }

  add(value) {
    this.values[this.total++ % SAMPLES] = value;
  }

  parts(...wanted) {
    const sorted = this.values.slice(0, Math.min(this.total, SAMPLES)).sort();
    return wanted.map((part) => sorted[Math.floor(part * (sorted.length - 1))]);
  }
}

class Market {
  constructor() {
    this.symbols = new Map();
    this.order = "symbol";
    this.seen = [];
    this.isOrdered = false;
    this.coming = [];
    this.ages = new Samples();
    this.hops = new Samples();
    this.values = this.skipped = this.frames = 0;
    this.rows = new Rows(byId("rows"), byId("market"));
    const topics = new URLSearchParams(location.search).get("topics") || "*";
    this.feed = new Feed(topics, {
      values: (said) => this.coming.push(said),
      state: (word, level) => this.tellState(word, level),
      pong: (pong) => this.tellHops(pong.hops),
      wantsToken: () => (byId("key").hidden = false),
    });
    byId("place").textContent = topics === "*" ? location.host : `${topics} at ${location.host}`;
    requestAnimationFrame((nowMs) => this.frame(nowMs));
    setInterval(() => this.second(), 1000);
  }

  // Takes what has come, and shows it: once a frame, and less where the screen shows less.
  frame(nowMs) {
    requestAnimationFrame((next) => this.frame(next));
    this.frames += 1;
    const serverMs = this.feed.serverMs(performance.now());
    const hasNews = this.coming.length > 0;
    for (const said of this.coming) this.take(said, nowMs, serverMs);
    this.coming.length = 0;
    if (hasNews || this.rows.isMoved || !this.isOrdered) {
      if (!this.isOrdered) this.arrange();
      this.rows.isMoved = false;
      this.rows.draw(this.seen);
    }
  }

  take(said, nowMs, serverMs) {
    this.skipped += said.skipped;
    if (this.feed.clocks.length) this.hops.add(serverMs - said.ms);
    for (const event in LAST) {
      for (const name in said[event]) {
        const value = said[event][name];
        let symbol = this.symbols.get(name);
        if (!symbol) {
          symbol = new Traded(name);
          this.symbols.set(name, symbol);
          this.isOrdered = false;
        }
        symbol.take(event, value, nowMs);
        symbol.shownMs = serverMs;
        this.values += 1;
        if (said.tick > this.firstTick && this.feed.clocks.length) this.ages.add(serverMs - symbol.timeMs);
      }
    }
    this.firstTick ??= said.tick; // what was there before is as old as it is
    document.documentElement.classList.remove("blank");
  }

  arrange() {
    const sought = byId("search").value.trim().toUpperCase();
    this.seen = [...this.symbols.values()].filter((each) => each.line && each.name.toUpperCase().includes(sought));
    if (this.order === "symbol") this.seen.sort((one, other) => (one.name < other.name ? -1 : 1));
    else this.seen.sort((one, other) => Math.abs(other[this.order]) - Math.abs(one[this.order]));
    const all = this.symbols.size.toLocaleString("en");
    byId("count").textContent = sought ? `${this.seen.length.toLocaleString("en")} of ${all}` : all;
    this.isOrdered = true;
  }

  sort(order) {
    this.order = order;
    this.isOrdered = false;
    for (const button of document.querySelectorAll("[data-order]")) {
      const heading = button.closest("th");
      if (button.dataset.order !== order) heading.removeAttribute("aria-sort");
      else heading.setAttribute("aria-sort", order === "symbol" ? "ascending" : "descending");
    }
  }

  second() {
    byId("rate").textContent = this.values.toLocaleString("en");
    byId("frames").textContent = this.frames;
    byId("skipped").textContent = this.skipped.toLocaleString("en");
    this.values = this.frames = 0;
    if (this.ages.total) {
      const [p50, p99] = this.ages.parts(0.5, 0.99);
      byId("age-p50").textContent = milliseconds(p50);
      byId("age-p99").textContent = milliseconds(p99);
    }
    if (this.hops.total) {
      const parts = this.hops.parts(0.5, 0.99);
      byId("hop-screen").textContent = parts.map(milliseconds).join(" · ");
      this.feed.screenMs = Math.max(0, parts[0]);
    }
    if (this.order !== "symbol") this.isOrdered = false;
  }

  tellState(word, level) {
    byId("state-word").textContent = word;
    byId("state").dataset.level = level;
    document.documentElement.classList.toggle("stale", level === "error");
    document.documentElement.classList.remove("blank");
  }

  tellHops(hops) {
    for (const name of ["exchange", "receive", "produce", "consume", "emit", "tick"]) {
      if (!hops[name]) continue;
      const shown = byId(`hop-${name}`);
      shown.textContent = hops[name].map((ms) => `≤ ${milliseconds(ms)}`).join(" · ");
      shown.parentElement.hidden = false; // Kafka's are there where it is
    }
  }
}

function milliseconds(ms) {
  if (ms > MOST_MS) return "> 99,999"; // an old recording: how old it is says nothing of the way
  return Math.max(0, ms).toLocaleString("en", { maximumFractionDigits: ms < 10 ? 1 : 0 });
}

const market = new Market();
byId("search").addEventListener("input", () => (market.isOrdered = false));
for (const button of document.querySelectorAll("[data-order]")) {
  button.addEventListener("click", () => market.sort(button.dataset.order));
}
byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("key").hidden = true;
  market.feed.letIn(byId("token").value);
});
