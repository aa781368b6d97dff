// The rows that are seen, and no others. Law: an element is written to where its text is another, once a frame.

const ROW_PX = 34; // market.css
const SPARE = 4;
const LINE_PX = [120, 24];

export class Rows {
  constructor(box, body) {
    this.box = box;
    this.body = body;
    this.above = gap();
    this.below = gap();
    this.rows = [];
    this.isMoved = true;
    body.replaceChildren(this.above, this.below);
    box.addEventListener("scroll", () => (this.isMoved = true), { passive: true });
    new ResizeObserver(() => (this.isMoved = true)).observe(box);
    this.takeColours();
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.takeColours());
    new MutationObserver(() => this.takeColours()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  }

  takeColours() {
    // Asked for in the next frame: then the colours are the new ones.
    requestAnimationFrame(() => {
      const probe = document.createElement("span");
      this.body.append(probe);
      this.colours = ["up", "down"].map((name) => {
        probe.className = name;
        return getComputedStyle(probe).color;
      });
      probe.remove();
      for (const row of this.rows) row.drawn = -1;
    });
  }

  // `symbols`: all, in their order, as market.js has them.
  draw(symbols) {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_PX) - SPARE);
    const count = Math.min(symbols.length - first, Math.ceil(this.box.clientHeight / ROW_PX) + 2 * SPARE);
    while (this.rows.length < count) this.add();
    this.rows.forEach((row, at) => {
      const symbol = at < count ? symbols[first + at] : undefined;
      if (row.element.hidden !== !symbol) row.element.hidden = !symbol;
      if (symbol) this.fill(row, symbol);
    });
    set(this.above.firstChild.style, "height", `${first * ROW_PX}px`);
    set(this.below.firstChild.style, "height", `${Math.max(0, symbols.length - first - count) * ROW_PX}px`);
  }

  add() {
    const element = document.createElement("tr");
    const cells = ["", "number", "number", "line", "number wide", "number wide"].map((name) => {
      const cell = element.insertCell();
      cell.className = name;
      return cell;
    });
    const canvas = document.createElement("canvas");
    const scale = devicePixelRatio || 1;
    [canvas.width, canvas.height] = LINE_PX.map((size) => size * scale);
    canvas.setAttribute("aria-hidden", "true");
    cells[3].append(canvas);
    const texts = cells.map((cell, at) => (at === 3 ? null : cell.appendChild(new Text(""))));
    const pen = canvas.getContext("2d");
    pen.scale(scale, scale);
    this.body.insertBefore(element, this.below);
    this.rows.push({ element, cells, texts, pen, symbol: null, drawn: -1 });
  }

  fill(row, symbol) {
    const [name, last, change, , changes, age] = row.texts;
    set(name, "data", symbol.name);
    set(last, "data", symbol.text);
    set(change, "data", symbol.changeText);
    set(row.cells[2], "className", symbol.change > 0 ? "number up" : symbol.change < 0 ? "number down" : "number");
    set(changes, "data", symbol.changesText);
    set(age, "data", symbol.ageText);
    if (row.symbol !== symbol || row.drawn !== symbol.line.total) {
      row.symbol = symbol;
      row.drawn = symbol.line.total;
      draw(row.pen, symbol.line, this.colours?.[symbol.change < 0 ? 1 : 0] ?? "gray");
    }
  }
}

function gap() {
  const row = document.createElement("tr");
  row.className = "gap";
  row.setAttribute("aria-hidden", "true");
  row.insertCell();
  return row;
}

function set(owner, name, value) {
  if (owner[name] !== value) owner[name] = value;
}

function draw(pen, line, colour) {
  const [width, height] = LINE_PX;
  pen.clearRect(0, 0, width, height);
  const points = line.points();
  if (points.length < 2) return;
  let low = Infinity;
  let high = -Infinity;
  for (const each of points) {
    low = Math.min(low, each);
    high = Math.max(high, each);
  }
  const scale = high > low ? (height - 4) / (high - low) : 0;
  pen.beginPath();
  points.forEach((value, at) => {
    const x = (at * (width - 2)) / (points.length - 1) + 1;
    const y = scale ? height - 2 - (value - low) * scale : height / 2;
    if (at) pen.lineTo(x, y);
    else pen.moveTo(x, y);
  });
  pen.strokeStyle = colour;
  pen.lineWidth = 1.5;
  pen.lineJoin = "round";
  pen.stroke();
}
