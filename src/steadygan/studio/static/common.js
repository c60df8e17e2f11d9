// What every part of the page uses: making elements, saying numbers, and keeping in touch with the server.

/** An element; strings become text, never markup. */
export function el(tag, props = {}, ...children) {
  const node = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4))
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Give an element a text, and touch it only where that is another one. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Give an element an attribute, or take it away where the value is null. */
export function mark(node, name, value) {
  if (value === null) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

const whole = new Intl.NumberFormat("en");

export const count = (value) => whole.format(Math.round(value));

export function figure(value) {
  if (value === null || value === undefined) return "not a number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-4) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(4)));
}

export function short(value) {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

export function duration(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.round(minutes / 60 / 24)} days`;
}

export function ago(epoch) {
  const seconds = Date.now() / 1000 - epoch;
  return seconds < 60 ? "just now" : `${duration(seconds)} ago`;
}

/** Where the run stands, in one line. */
export function standing(row) {
  if (row.state === "damaged") return "";
  const parts = [row.total ? `${count(row.images_seen)} of ${count(row.total)} images` : `${count(row.images_seen)} images`];
  if (row.state === "running" && row.pace) {
    parts.push(`${count(row.pace)} images/s`);
    if (row.seconds_left !== null) parts.push(`${duration(row.seconds_left)} left`);
  }
  if (row.state !== "running" && row.state !== "paused" && row.changed) parts.push(ago(row.changed));
  // no line ends within a figure
  return parts.map((part) => part.replaceAll(" ", "\u00a0")).join(" · ");
}

const SHAPES = {
  going: "M5 3.5v13l11-6.5z",
  good: "M8 15.5 2.5 10l2-2L8 11.500l7.500-7.500 2 2z",
  warn: "M10 2 19 17.500H1zM9 7.500v5h2v-5zm0 6.200v2h2v-2z",
  bad: "M5 3l5 5 5-5 2 2-5 5 5 5-2 2-5-5-5 5-2-2 5-5-5-5z",
  idle: "M4.500 3.500h4v13h-4zm7 0h4v13h-4z",
};

/** The sign of a verdict: a shape as well as a colour, so that neither is needed alone. */
export function sign(tone) {
  return el("svg:svg", { viewBox: "0 0 20 20", class: `sign ${tone}`, "aria-hidden": "true" },
    el("svg:path", { d: SHAPES[tone] ?? SHAPES.idle, "fill-rule": "evenodd" }));
}

export const runPath = (name) => `/run/${name.split("/").map(encodeURIComponent).join("/")}`;

export const gridPath = (name, [seen, version]) =>
  `/api/grid?run=${encodeURIComponent(name)}&at=${seen}&version=${version}`;

const line = document.getElementById("line");

function report(state, text) {
  line.dataset.state = state;
  say(line, text);
}

/** Follow a stream of the server as long as the page is seen; returns what ends it. */
export function follow(url, heard) {
  let source = null;
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => report("live", "live");
    source.onerror = () => {
      report("lost", "not connected, trying again");
      if (source.readyState === EventSource.CLOSED) refused();
    };
    for (const [kind, job] of Object.entries(heard)) {
      source.addEventListener(kind, (event) => job(JSON.parse(event.data)));
    }
  };
  // a refusal ends a stream for good, without its reason; asking in the plain way tells it
  const refused = async () => {
    const stop = new AbortController();
    const answer = await fetch(url, { signal: stop.signal }).catch(() => null);
    const said = answer && !answer.ok ? await answer.json().catch(() => null) : null;
    stop.abort();
    if (said) report("lost", `${said.what}: ${said.remedy}`);
    setTimeout(() => { if (!document.hidden && source?.readyState === EventSource.CLOSED) open(); }, 5000);
  };
  const close = () => { source?.close(); source = null; };
  // a page in the background would take one of the few connections that a browser has to spare
  const seen = () => { if (document.hidden) close(); else if (!source) open(); };
  document.addEventListener("visibilitychange", seen);
  open();
  return () => { close(); document.removeEventListener("visibilitychange", seen); };
}
