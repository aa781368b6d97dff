// The page: what the server's events tell, put into the document. Law: whatever is told is text, never markup; nodes stay
// where they are and change, so that nothing jumps and a screen reader is not told the same again.
"use strict";

const KEPT_S = 600;
const HOUR_MS = 3600e3;
const SVG = "http://www.w3.org/2000/svg";

const $ = (id) => document.getElementById(id);
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));
const plain = (value) => String(+value.toPrecision(3));
const milliseconds = (value) => (value === null || value === undefined ? "–" : Math.abs(value) < 100 ? fine.format(value) : whole.format(value));

function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit && value < 100 ? fine.format(value) : whole.format(value)} ${units[unit]}`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(Math.floor(seconds % 60)).padStart(2, "0")} s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${String(Math.floor((seconds % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor((seconds % 86400) / 3600)} h`;
}

const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function level(node, word) {
  if (node.dataset.level !== word) node.dataset.level = word;
}

function element(name, className, ...children) {
  const node = document.createElement(name);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

/** As many children as there are items, each filled with its own. */
function fill(parent, items, make, change) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, at) => change(parent.children[at], item));
}

// ---- what there is to see

function showPicture(picture) {
  const { lb, session, balance } = picture;
  const isOpen = session.state === "open";
  put($("url"), session.url);
  put($("state-word"), lb.state !== "running" ? lb.state : isOpen ? "session open" : `session ${session.state}`);
  level($("state"), lb.state === "running" && isOpen ? "good" : "error");
  put($("rate"), count(picture.rate));
  put($("lag-p50"), milliseconds(picture.lag_p50_ms));
  put($("lag-p99"), milliseconds(picture.lag_p99_ms));
  put($("workers-running"), count(picture.workers_running));
  put($("workers-total"), count(picture.workers_total));
  put($("uptime"), span(lb.uptime_s));
  for (const name of ["received", "recovered", "written", "waiting", "spilled", "dropped"]) put($(name), count(balance[name]));
  put($("exact"), balance.exact ? "every record accounted for" : "NOT EXACT");
  put($("version"), `lb ${lb.version}, pid ${lb.pid}`);
  document.title = `${picture.alarms.some((alarm) => alarm.level === "error") ? "(!) " : ""}${count(picture.rate)}/s – lb`;
  showAlarms(picture.alarms);
  showPipes(picture);
  showWorkers(picture);
  showReaders(picture.readers);
  showHour(picture);
  showLog(picture.lines);
}

const narrow = matchMedia("(max-width: 860px)");
let announced = new Set();

/** An alarm is read out when it is new, and not when its numbers change. */
function showAlarms(alarms) {
  const fresh = alarms.filter((alarm) => !announced.has(alarm.key));
  if (fresh.length) put($("announcement"), fresh.map((alarm) => alarm.text).join(". "));
  else if (!alarms.length && announced.size) put($("announcement"), "All is well again");
  announced = new Set(alarms.map((alarm) => alarm.key));
  const most = narrow.matches ? 1 : 3; // the row has one height, however many there are
  const shown = alarms.length ? alarms.slice(0, most) : [{ level: "good", text: "All is well" }];
  const more = alarms.length > most ? `  +${alarms.length - most} more` : "";
  fill($("alarms"), shown, () => element("li", "alarm", element("span"), element("span", "more")), (node, alarm) => {
    level(node, alarm.level);
    node.title = alarm.text;
    put(node.firstElementChild, alarm.text);
    put(node.lastElementChild, alarm === shown[shown.length - 1] ? more : "");
  });
}

function forecast(pipe) {
  const left = pipe.full_in_s;
  const word = pipe.share >= 0.9 ? "error" : pipe.share >= 0.5 ? "warning" : "good";
  if (pipe.is_dropping) return ["error", "full: drops"];
  if (pipe.is_stopping || pipe.share >= 1) return ["error", "full"];
  if (left !== null && left < 10) return ["error", `full in ${Math.max(Math.round(left), 1)} s`];
  if (left !== null && left < 120) return [word === "good" ? "warning" : word, `full in ${Math.round(left)} s`];
  if (left !== null && left < 3600) return [word, `full in ${Math.round(left / 60)} min`];
  return [word, bytes(pipe.held_bytes)];
}

function makePipe() {
  const bar = element("div", "bar", element("div"));
  bar.setAttribute("role", "meter");
  bar.setAttribute("aria-valuemin", "0");
  bar.setAttribute("aria-valuemax", "100");
  return element("li", "pipe", element("span"), bar, element("span", "what"));
}

function showPipes({ pipes, pipes_total: total }) {
  const capacity = pipes.length ? bytes(Math.max(...pipes.map((pipe) => pipe.capacity_bytes))) : "";
  put($("pipes-note"), total > pipes.length ? `the ${pipes.length} fullest of ${count(total)}; each holds up to ${capacity}` : capacity && `each holds up to ${capacity}`);
  fill($("pipes"), pipes, makePipe, (node, pipe) => {
    const [name, bar, what] = node.children;
    const [word, text] = forecast(pipe);
    const percent = Math.round(pipe.share * 100);
    level(node, word);
    put(name, `pipe ${pipe.pipe}`);
    bar.firstElementChild.style.transform = `scaleX(${pipe.share})`;
    bar.setAttribute("aria-label", `pipe ${pipe.pipe}`);
    bar.setAttribute("aria-valuenow", String(percent));
    bar.setAttribute("aria-valuetext", `${percent} percent full, ${text}`);
    node.title = `${bytes(pipe.held_bytes)} of ${bytes(pipe.capacity_bytes)}; written ${count(pipe.written)}, waiting ${count(pipe.waiting)}, spilled ${count(pipe.spilled)}, dropped ${count(pipe.dropped)} records`;
    put(what, pipe.spilled ? `${text}, ${count(pipe.spilled)} on disk` : text);
  });
}

function makeRow(classes, first) {
  const row = element("tr");
  for (const name of classes) row.append(element("td", name));
  if (first) row.children[1].append(element("span", "word", element("span", "dot"), element("span")));
  return row;
}

const LEVELS = { running: "good", starting: "warning", paused: "warning", stuck: "error", empty: "error", leaving: "error" };
const WORDS = { empty: "no process", leaving: "ended", stuck: "does not read" };

function showWorkers({ workers, workers_total: total }) {
  put($("workers-note"), total > workers.length ? `${workers.length} of ${count(total)}, those in trouble first` : total ? "" : "none: records go to readers alone");
  fill($("workers"), workers, () => makeRow(["number", "", "number", "number", "number", "", "rest"], true), (row, worker) => {
    const cells = row.children;
    put(cells[0], String(worker.slot));
    level(cells[1], LEVELS[worker.state] || "unknown");
    put(cells[1].firstElementChild.lastElementChild, WORDS[worker.state] || worker.state);
    put(cells[2], worker.pid === null ? "–" : String(worker.pid));
    put(cells[3], span(worker.ran_s));
    put(cells[4], count(worker.starts));
    put(cells[5], worker.pipes);
    cells[6].title = [worker.says, worker.last_end && `last: ${worker.last_end}`].filter(Boolean).join("; ");
    put(cells[6], cells[6].title);
  });
}

function showReaders(readers) {
  put($("readers-note"), readers.length ? "" : "nobody has joined");
  fill($("readers"), readers, () => makeRow(["number", "", "number", "number", "number"], false), (row, reader) => {
    [String(reader.reader), reader.topics, count(reader.delivered), count(reader.waiting), count(reader.dropped)].forEach((text, at) => put(row.children[at], text));
  });
}

function showHour({ sessions, gaps, time_s: now }) {
  const end = now * 1000;
  const place = (from, to) => {
    const left = Math.max((from - end + HOUR_MS) / HOUR_MS, 0);
    return [left, Math.max(Math.min((to - end + HOUR_MS) / HOUR_MS, 1) - left, 0)];
  };
  const bars = sessions.map((one) => ({ at: place(Date.parse(one.began), one.ended ? Date.parse(one.ended) : end), kind: "" }));
  for (const gap of gaps) bars.push({ at: place(Date.parse(gap.last_received), Date.parse(gap.first_received)), kind: "gap" });
  fill($("hour"), bars, () => element("div"), (node, bar) => {
    node.className = bar.kind;
    node.style.left = `${bar.at[0] * 100}%`;
    node.style.width = `${bar.at[1] * 100}%`;
  });
  const text = `${sessions.length} sessions and ${gaps.length} gaps in the last hour`;
  if ($("hour").getAttribute("aria-label") !== text) $("hour").setAttribute("aria-label", text);
  const lines = [
    ...sessions.map((one) => ({ at: Date.parse(one.ended || one.began), text: one.ended ? `session of ${span((Date.parse(one.ended) - Date.parse(one.began)) / 1000)} ended: ${one.reason}` : `session open, TLS: ${one.tls}` })),
    ...gaps.map((gap) => ({ at: Date.parse(gap.first_received), text: `gap of ${fine.format(gap.received_s)} s since ${clock(Date.parse(gap.last_received))}` })),
  ].sort((one, other) => other.at - one.at);
  const shown = lines.length ? lines.slice(0, 30) : [{ at: null, text: "none" }];
  fill($("sessions"), shown, () => element("li", "", element("time"), element("span")), (node, line) => {
    put(node.firstElementChild, line.at === null ? "" : clock(line.at));
    put(node.lastElementChild, line.text);
  });
}

function showLog(lines) {
  fill($("log"), [...lines].reverse(), () => element("li", "", element("time"), element("span")), (node, line) => {
    put(node.firstElementChild, clock(line.time_s * 1000));
    put(node.lastElementChild, line.text);
    level(node.lastElementChild, line.level === "info" ? "" : line.level);
  });
}

// ---- charts

/** `lines`: which members of a point, and how each line is called. */
function chart(place, label, unit, format, lines, at) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 600 150");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const shape = (name, className) => {
    const node = document.createElementNS(SVG, name);
    node.setAttribute("class", className);
    svg.append(node);
    return node;
  };
  const grid = shape("path", "grid");
  grid.setAttribute("d", "M0 0H600M0 75H600M0 150H600");
  const area = lines.length === 1 ? shape("path", "area") : null;
  const paths = lines.map((line) => shape("path", `line ${line.name}`));
  const cross = shape("path", "cross");
  const scale = element("div", "scale");
  const marks = [0, 0.5, 1].map((share) => {
    const mark = element("span");
    mark.style.top = `${(1 - share) * 100}%`;
    scale.append(mark);
    return mark;
  });
  place.append(scale, svg, element("p", "axis", element("span", "", "10 min ago"), element("span", "", "5 min"), element("span", "", "now")));
  let shown = [];

  const nice = (value) => {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
  };

  const draw = (points, now) => {
    shown = points;
    const values = points.flatMap((point) => lines.map((line) => point[line.member])).filter((value) => value !== null);
    const most = nice(Math.max(...values, 1) * 1.05);
    const x = (point) => (600 * (point[0] - now + KEPT_S)) / KEPT_S;
    const y = (value) => 150 - (150 * Math.max(value, 0)) / most;
    marks.forEach((mark, step) => put(mark, format((most * step) / 2)));
    lines.forEach((line, number) => {
      let path = "";
      let filled = "";
      let before = null;
      for (const point of points) {
        const value = point[line.member];
        const far = value === null || before === null || point[0] - before[0] > 5;
        if (far && before !== null) filled += "V150Z";
        before = null;
        if (value === null) continue;
        path += `${far ? "M" : "L"}${x(point).toFixed(1)} ${y(value).toFixed(1)}`;
        filled += far ? `M${x(point).toFixed(1)} 150V${y(value).toFixed(1)}` : `L${x(point).toFixed(1)} ${y(value).toFixed(1)}`;
        before = point;
      }
      paths[number].setAttribute("d", path);
      if (area) area.setAttribute("d", before === null ? filled : `${filled}V150Z`);
    });
    const newest = points[points.length - 1];
    const told = lines.map((line) => `${line.name} ${newest && newest[line.member] !== null ? format(newest[line.member]) : "unknown"}`.trim()).join(", ");
    svg.setAttribute("aria-label", `${label} over the last 10 minutes; now ${told} ${unit}, the most ${format(Math.max(...values, 0))} ${unit}`);
  };

  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    if (!shown.length || !box.width) return;
    const now = shown[shown.length - 1][0];
    const time = now - KEPT_S + ((event.clientX - box.left) / box.width) * KEPT_S;
    const point = shown.reduce((best, each) => (Math.abs(each[0] - time) < Math.abs(best[0] - time) ? each : best));
    const place = ((point[0] - now + KEPT_S) / KEPT_S) * 600;
    cross.setAttribute("d", `M${place} 0V150`);
    put(at, `${clock(point[0] * 1000)}  ${lines.map((line) => (point[line.member] === null ? "–" : format(point[line.member]))).join(" / ")}`);
  });
  svg.addEventListener("pointerleave", () => {
    cross.setAttribute("d", "");
    put(at, "");
  });
  return draw;
}

const short = (value) => (value >= 1e6 ? `${+(value / 1e6).toFixed(1)} M` : value >= 1e4 ? `${+(value / 1e3).toFixed(1)} k` : count(value));
const drawRate = chart($("rate-chart"), "Rate", "records a second", short, [{ member: 1, name: "" }], $("rate-at"));
const drawLag = chart($("lag-chart"), "Lag", "milliseconds", (value) => (value >= 1e4 ? short(value) : plain(value)), [{ member: 2, name: "p50" }, { member: 3, name: "p99" }], $("lag-at"));

let points = [];

function draw() {
  const now = points.length ? points[points.length - 1][0] : Date.now() / 1000;
  points = points.filter((point) => point[0] > now - KEPT_S);
  drawRate(points, now);
  drawLag(points, now);
}

// ---- news

function unknown(text) {
  document.documentElement.classList.add("stale");
  put($("state-word"), "no news");
  level($("state"), "error");
  showAlarms([{ key: "news", level: "error", text }]);
  document.title = "(!) no news – lb";
}

const source = new EventSource("events");
source.addEventListener("points", (event) => {
  points = JSON.parse(event.data);
  draw();
});
source.addEventListener("picture", (event) => {
  const picture = JSON.parse(event.data);
  document.documentElement.classList.remove("stale", "blank");
  const { point } = picture;
  if (point && (!points.length || point[0] > points[points.length - 1][0])) {
    points.push(point);
    draw();
  }
  showPicture(picture);
});
source.addEventListener("stale", (event) => {
  const { age_s: age, why } = JSON.parse(event.data);
  unknown(age === null ? `No news: ${why}` : `No news from lb for ${Math.round(age)} s: ${why}`);
});
source.addEventListener("error", () => unknown("No connection to where this page comes from: trying again"));

draw();
