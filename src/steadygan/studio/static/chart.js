// Curves: drawn as SVG from columns of numbers, with what happened marked on them.
import { count, el, figure, say, short } from "./common.js";

const HEIGHT = 200, LEFT = 52, RIGHT = 14, TOP = 22, BOTTOM = 34;

/** The records so far, as columns that grow. */
export class Records {
  constructor() { this.clear(); }

  clear() { this.columns = new Map(); this.length = 0; }

  take({ anew, names, rows }) {
    if (anew) this.clear();
    for (const name of names) {
      if (!this.columns.has(name)) this.columns.set(name, new Array(this.length));
    }
    for (const row of rows) {
      names.forEach((name, place) => { if (row[place] !== "") this.columns.get(name)[this.length] = row[place]; });
      this.length += 1;
    }
    // what was never written is undefined; what was written and is no number is null
    for (const column of this.columns.values()) column.length = this.length;
  }

  /** Points of one signal where it was recorded: clock, value or null, attempt, and whether a rollback took it back. */
  points(name) {
    const values = this.columns.get(name);
    if (!values) return [];
    const clock = this.columns.get("images_seen"), attempts = this.columns.get("attempt") ?? [];
    const found = [];
    for (let i = 0; i < this.length; i += 1) {
      // signals of check-ups are in few of the records
      if (values[i] !== undefined) found.push({ x: clock[i], y: values[i], attempt: attempts[i] ?? 0, gone: false });
    }
    let least = Infinity, attempt = Infinity;
    for (let i = found.length - 1; i >= 0; i -= 1) {
      if (found[i].attempt < attempt) { least = attempt === Infinity ? Infinity : Math.min(least, found[i + 1].x); attempt = found[i].attempt; }
      found[i].gone = found[i].x >= least;
    }
    return found;
  }

  has(name) { return this.columns.has(name); }

  changes(name) {
    const values = (this.columns.get(name) ?? []).filter((value) => typeof value === "number");
    return values.some((value) => value !== values[0]);
  }

  get end() { return Math.max(1, ...(this.columns.get("images_seen") ?? [])); }
}

/** A panel with one frame; `about` has title, unit, hint, lines, and perhaps log or range. */
export class Panel {
  constructor(about) {
    this.about = about;
    this.reading = el("p", { class: "reading", "aria-live": "off" });
    this.frame = el("div", {
      class: "frame", tabindex: "0", role: "img",
      onpointermove: (event) => this.point(event), onpointerleave: () => this.leave(), onblur: () => this.leave(),
      onkeydown: (event) => this.key(event),
    });
    this.legend = el("ul", { class: "legend" });
    this.node = el("figure", { class: "card panel" },
      el("figcaption", {}, el("h3", {}, about.title), el("p", { class: "quiet" }, about.hint)),
      this.legend, this.frame, this.reading);
    this.place = -1;
    this.width = 0;
    new ResizeObserver(() => { if (this.frame.clientWidth !== this.width) this.draw(); }).observe(this.frame);
  }

  update(records, marks) {
    this.marks = marks;
    this.end = records.end;
    this.lines = this.about.lines.map((line) => ({ ...line, points: records.points(line.name) }))
      .filter((line) => line.points.some((point) => point.y !== null));
    this.node.hidden = this.lines.length === 0;
    if (!this.node.hidden) this.draw();
  }

  draw() {
    this.width = this.frame.clientWidth;
    if (!this.lines?.length || !this.width) return;
    const wide = Math.max(240, this.width);
    this.inner = wide - LEFT - RIGHT;
    const [low, high] = this.range();
    const log = this.log, tall = HEIGHT - TOP - BOTTOM;
    const height = (value) => {
      const share = log ? (Math.log10(value) - Math.log10(low)) / (Math.log10(high) - Math.log10(low)) : (value - low) / (high - low);
      return TOP + (1 - Math.min(1, Math.max(0, share))) * tall;
    };
    this.across = (x) => LEFT + (x / this.end) * this.inner;
    const parts = [];
    for (const value of log ? logTicks(low, high) : ticks(low, high, 4)) {
      parts.push(el("svg:line", { class: "rule", x1: LEFT, x2: wide - RIGHT, y1: height(value), y2: height(value) }));
      parts.push(el("svg:text", { x: LEFT - 8, y: height(value) + 4, "text-anchor": "end" }, short(value)));
    }
    for (const value of ticks(0, this.end, wide < 420 ? 3 : 5)) {
      const last = this.across(value) > wide - 30;
      parts.push(el("svg:text", { x: this.across(value) + (last ? RIGHT : 0), y: HEIGHT - 18, "text-anchor": last ? "end" : "middle" }, short(value)));
    }
    parts.push(el("svg:line", { class: "axis", x1: LEFT, x2: wide - RIGHT, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM }));
    parts.push(el("svg:text", { class: "name", x: wide - RIGHT, y: HEIGHT - 3, "text-anchor": "end" }, "images seen"));
    parts.push(el("svg:text", { class: "name", x: LEFT, y: 12 }, [this.about.unit, log ? "logarithmic" : ""].filter(Boolean).join(", ")));
    parts.push(...this.marked());
    for (const line of this.lines) {
      parts.push(el("svg:path", { class: `raw ${line.colour}`, d: path(line.points, this.across, height, (point) => point.y) }));
    }
    for (const line of this.lines) {
      const kept = this.about.exact ? line.points : smooth(line.points, log);
      parts.push(el("svg:path", { class: `smooth ${line.colour}`, d: path(kept, this.across, height, (point) => (point.gone ? null : point.y)) }));
    }
    this.cursor = el("svg:line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.frame.replaceChildren(el("svg:svg", { viewBox: `0 0 ${wide} ${HEIGHT}`, width: wide, height: HEIGHT, "aria-hidden": "true" }, parts, this.cursor));
    this.legend.replaceChildren(...this.lines.map((line) => el("li", { class: line.colour }, el("span", { class: "dash", "aria-hidden": "true" }), line.label)));
    this.frame.setAttribute("aria-label", `${this.about.title}, ${this.about.unit}. ${this.latest()}. The arrow keys read earlier values.`);
    if (this.place < 0) say(this.reading, this.latest()); else this.read(Math.min(this.place, this.longest().length - 1));
  }

  get log() {
    return this.about.log && this.lines.every((line) => line.points.every((point) => point.y === null || point.y > 0));
  }

  range() {
    if (this.about.range) return this.about.range;
    let values = this.lines.flatMap((line) => line.points.map((point) => point.y)).filter((value) => typeof value === "number");
    if (this.log) values = values.map(Math.log10);
    values.sort((a, b) => a - b);
    let low = values[0], high = values[values.length - 1];
    const inner = [values[Math.floor(values.length * 0.01)], values[Math.floor((values.length - 1) * 0.99)]];
    // the outermost hundredth is left out where it would squeeze the rest
    if (high - low > 1.6 * (inner[1] - inner[0]) && inner[1] > inner[0]) [low, high] = inner;
    const air = (high - low) * 0.06 || Math.max(Math.abs(high) * 0.1, 1e-3);
    if (this.log) return [10 ** (low - air), 10 ** (high + air)];
    return [low >= 0 && low < 0.3 * high ? 0 : low - air, high + air];
  }

  marked() {
    const placed = [], lines = [];
    const symbols = this.marks.map((one) => {
      const x = this.across(one.x);
      // one below the other where several stand at the same place
      const y = TOP + 13 * placed.filter((other) => Math.abs(other - x) < 10).length;
      placed.push(x);
      const kind = { class: `mark ${one.kind}` };
      lines.push(el("svg:g", kind, el("svg:line", { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM })));
      return el("svg:g", kind, el("svg:path", { d: SYMBOLS[one.kind], transform: `translate(${x} ${Math.min(y, HEIGHT - BOTTOM)})` }, el("svg:title", {}, one.words)));
    });
    return [...lines, ...symbols];
  }

  longest() { return this.lines.reduce((best, line) => (line.points.length > best.length ? line.points : best), []); }

  latest() {
    const said = this.lines.map((line) => `${line.label} ${figure(line.points[line.points.length - 1].y)}`);
    return `Last: ${said.join(", ")}`;
  }

  read(place) {
    const points = this.longest();
    this.place = place;
    const { x, attempt } = points[place];
    const said = this.lines.map((line) => {
      const near = line.points.reduce((best, point) =>
        (point.attempt === attempt && (best === null || Math.abs(point.x - x) < Math.abs(best.x - x)) ? point : best), null);
      return near ? `${line.label} ${figure(near.y)}` : "";
    }).filter(Boolean);
    say(this.reading, `At ${count(x)} images: ${said.join(", ")}`);
    this.cursor.setAttribute("x1", this.across(x));
    this.cursor.setAttribute("x2", this.across(x));
    this.cursor.setAttribute("visibility", "visible");
  }

  leave() {
    this.place = -1;
    this.cursor?.setAttribute("visibility", "hidden");
    if (this.lines?.length) say(this.reading, this.latest());
  }

  point(event) {
    const box = this.frame.getBoundingClientRect();
    const x = ((event.clientX - box.left - LEFT) / this.inner) * this.end;
    const points = this.longest();
    let best = 0;
    points.forEach((point, place) => { if (!point.gone && Math.abs(point.x - x) < Math.abs(points[best].x - x)) best = place; });
    this.read(best);
  }

  key(event) {
    const last = this.longest().length - 1;
    const from = this.place < 0 ? last : this.place;
    const steps = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last, PageUp: from + 20, PageDown: from - 20 };
    if (!(event.key in steps)) return;
    event.preventDefault();
    this.reading.setAttribute("aria-live", "polite");
    this.read(Math.min(last, Math.max(0, steps[event.key])));
  }
}

/** A shape for each kind of mark, so that colour is not needed to tell them apart. */
export const SYMBOLS = {
  seen: "M0 6-6-5H6z", done: "M-5-5H5V5H-5z", helped: "M0-6 6 0 0 6-6 0z", failed: "M-5-3-3-5 0-2 3-5 5-3 2 0 5 3 3 5 0 2-3 5-5 3-2 0z",
  person: "M0-5a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
};

function path(points, across, height, value) {
  let text = "", broken = true, attempt = null;
  for (const point of points) {
    const y = value(point);
    if (y === null || point.attempt !== attempt) broken = true;
    attempt = point.attempt;
    if (y === null) continue;
    text += `${broken ? "M" : "L"}${across(point.x).toFixed(1)} ${height(y).toFixed(1)}`;
    broken = false;
  }
  return text;
}

/** The mean over a thirtieth of the line to either side, within one attempt. */
function smooth(points, log) {
  const half = Math.floor(points.length / 40);
  if (half < 1) return points;
  const into = log ? Math.log : (value) => value, back = log ? Math.exp : (value) => value;
  return points.map((point, place) => {
    if (point.y === null) return point;
    let sum = 0, weight = 0;
    for (let other = Math.max(0, place - half); other <= Math.min(points.length - 1, place + half); other += 1) {
      const near = points[other];
      if (near.y === null || near.attempt !== point.attempt) continue;
      const share = half + 1 - Math.abs(other - place);
      sum += share * into(near.y);
      weight += share;
    }
    return { ...point, y: back(sum / weight) };
  });
}

function ticks(low, high, wanted) {
  const raw = (high - low) / wanted, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((part) => part * power).find((one) => one >= raw);
  const found = [];
  for (let number = Math.ceil(low / step); number * step <= high + step * 1e-9; number += 1) found.push(number * step);
  return found;
}

function logTicks(low, high) {
  const first = Math.ceil(Math.log10(low)), last = Math.floor(Math.log10(high));
  if (last - first < 1) return ticks(low, high, 4).filter((value) => value > 0);
  const every = Math.ceil((last - first + 1) / 6), found = [];
  for (let power = first; power <= last; power += every) found.push(10 ** power);
  return found;
}
