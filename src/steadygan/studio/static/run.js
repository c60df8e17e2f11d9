// One run: how it stands, its samples, its controls, its curves and what happened.
import { Controls } from "./controls.js";
import { Panel, Records, SYMBOLS } from "./chart.js";
import { count, el, figure, follow, gridPath, mark, say, sign, standing } from "./common.js";

const SIDES = [["generator", "blue"], ["discriminator", "orange"]];
const both = (ending) => SIDES.map(([name, colour]) => ({ name: `${name}/${ending}`, label: name, colour }));

const PANELS = [
  {
    title: "How far samples are from real images", unit: "0 is real, 1 a blank image", log: true,
    hint: "Should fall, and come near to what real images have among themselves.",
    lines: [{ name: "health/distance", label: "samples", colour: "blue" },
      { name: "health/distance_floor", label: "real against real", colour: "green" }],
  },
  {
    title: "How varied samples are", unit: "1 is as varied as real images",
    hint: "Near 0, the generator makes the same picture again and again.",
    lines: [{ name: "health/diversity", label: "averaged generator", colour: "blue" },
      { name: "generator/spread", label: "within a batch", colour: "pink" }],
  },
  {
    title: "Who is ahead", unit: "share of pairs", range: [0, 1],
    hint: "How often the discriminator tells a real image from a fake. At 0.5 it guesses, at 1 it is never wrong.",
    lines: [{ name: "discriminator/win_rate", label: "discriminator is right", colour: "orange" }],
  },
  {
    title: "Losses", unit: "mean of a batch", lines: both("loss"),
    hint: "Neither has to fall: the two players push against each other.",
  },
  {
    title: "Logits", unit: "mean of a batch", hint: "What the discriminator says of real images and of fakes.",
    lines: [{ name: "discriminator/real_logits", label: "real", colour: "green" },
      { name: "discriminator/fake_logits", label: "fake", colour: "pink" }],
  },
  { title: "Length of gradients", unit: "over all weights", log: true, hint: "Jumps of many times are a warning.", lines: both("gradient_norm") },
  { title: "Length of steps", unit: "share of all weights", log: true, hint: "How much of itself each player changes in a round.", lines: both("update") },
];

const KINDS = {
  diagnosis: ["seen", "seen"], intervention: ["done", "treated"], receded: ["helped", "gone by itself"],
  undone: ["failed", "taken back"], "given-up": ["failed", "given up"], stop: ["failed", "ended"], wish: ["person", "asked"],
};

/** Shape and word of an event. */
function kindOf(event) {
  if (event.kind === "proof") return event.cured ? ["helped", "helped"] : ["failed", "did not help"];
  if (event.kind === "wish" && !event.done) return ["failed", "refused"];
  return KINDS[event.kind] ?? ["person", String(event.kind)];
}

function wordsOf(event) {
  if (event.kind === "wish") return `${String(event.by ?? "").replace("person:", "")}: ${event.words}`;
  return `${String(event.diagnosis ?? "").replaceAll("-", " ")}: ${event.words ?? "no longer seen"}`;
}

const symbol = (kind) => el("svg:svg", { viewBox: "-8 -8 16 16", class: `mark ${kind}`, "aria-hidden": "true" }, el("svg:path", { d: SYMBOLS[kind] }));

export function showRun(main, name, about) {
  document.title = `${name} · steadygan`;
  const records = new Records();
  const events = [];
  const controls = new Controls(name, about);
  const head = makeHead(name, about), samples = makeSamples(name), facts = makeFacts();
  const curves = el("div", { class: "panels" });
  const panels = PANELS.map((one) => new Panel(one));
  curves.append(...panels.map((panel) => panel.node));
  const turned = new Map();
  const none = el("p", { class: "empty" }, "The first curves appear after the first records.");
  const story = el("ol", { class: "story", tabindex: "0", "aria-label": "What happened, the latest first" });
  const quiet = el("p", { class: "quiet" }, "Nothing has happened that is worth a word.");
  main.append(head.node,
    el("div", { class: "sides" }, samples.node, el("div", { class: "stack" }, controls.node,
      el("section", { class: "card" }, el("h2", {}, "What happened"), quiet, story))),
    el("section", {}, el("h2", {}, "Curves"), makeKey(), none, curves),
    facts.node);

  let due = false;
  const drawSoon = () => {
    if (due) return;
    due = true;
    requestAnimationFrame(() => { due = false; drawCurves(); });
  };

  function drawCurves() {
    const marks = events.map((event) => ({ x: event.images_seen, kind: kindOf(event)[0], words: wordsOf(event) }));
    none.hidden = records.length > 0;
    for (const control of [...records.columns.keys()].filter((one) => one.startsWith("control/") && !turned.has(one))) {
      if (!records.changes(control)) continue;
      const said = control.slice(8);
      const panel = new Panel({
        title: `Control: ${said}`, unit: "value", exact: true, hint: "A knob that was turned while the run went on, or that follows a plan.",
        lines: [{ name: control, label: said, colour: "gold" }],
      });
      turned.set(control, panel);
      curves.append(panel.node);
    }
    for (const panel of [...panels, ...turned.values()]) panel.update(records, marks);
  }

  follow(`/api/run/live?name=${encodeURIComponent(name)}`, {
    run: (row) => { head.update(row); samples.update(row); controls.update(row); facts.update(row); },
    records: (news) => { records.take(news); drawSoon(); },
    events: ({ anew, lines }) => {
      if (anew) { events.length = 0; story.replaceChildren(); }
      for (const event of lines) {
        events.push(event);
        story.prepend(tell(event));
        controls.heard(event);
      }
      quiet.hidden = events.length > 0;
      drawSoon();
    },
  });
}

function tell(event) {
  const [kind, word] = kindOf(event);
  const evidence = Object.entries(event.evidence ?? {}).map(([name, value]) => `${name.replace("health/", "")} ${typeof value === "number" ? figure(value) : value}`);
  return el("li", { class: "event" }, symbol(kind),
    el("div", {},
      el("p", { class: "quiet figures" }, `${count(event.images_seen)} images${event.attempt ? `, after going back ${event.attempt === 1 ? "once" : `${event.attempt} times`}` : ""} · ${word}`),
      el("p", {}, wordsOf(event)),
      evidence.length ? el("p", { class: "quiet" }, evidence.join(", ")) : null));
}

function makeKey() {
  const kinds = [["seen", "something seen"], ["done", "something done"], ["helped", "it helped, or passed"], ["failed", "it did not"], ["person", "a person asked"]];
  return el("ul", { class: "key" }, kinds.map(([kind, words]) => el("li", {}, symbol(kind), words)));
}

function makeHead(name, site) {
  const about = el("p", { class: "eyebrow" });
  const state = el("p", { class: "state", role: "status" });
  const detail = el("p", { class: "detail" });
  const bar = el("progress", { "aria-label": "How far the run is" });
  const place = el("p", { class: "figures quiet" });
  const node = el("div", {},
    el("p", { class: "crumbs" }, site.single ? null : el("a", { href: "/" }, "← All runs")), about, el("h1", {}, name),
    el("div", { class: "card verdict" }, state, detail, bar, place));
  let before = "";
  return {
    node,
    update(row) {
      say(about, row.about);
      if (before !== row.tone + row.headline) {
        before = row.tone + row.headline;
        state.className = `state ${row.tone}`;
        state.replaceChildren(sign(row.tone), el("span", {}, row.headline));
        document.title = `${row.headline} · ${name} · steadygan`;
      }
      say(detail, row.detail);
      bar.hidden = !row.total;
      if (row.total) { bar.max = row.total; bar.value = Math.min(row.images_seen, row.total); }
      const back = row.attempt ? ` · went back ${row.attempt === 1 ? "once" : `${row.attempt} times`}` : "";
      say(place, standing(row) + back);
    },
  };
}

function makeSamples(name) {
  const picture = el("img", { class: "grid", decoding: "async" });
  const slider = el("input", { type: "range", min: 0, step: 1, id: "when", "aria-describedby": "when-words" });
  const words = el("p", { class: "quiet figures", id: "when-words" });
  const newest = el("button", { type: "button", onclick: () => { chosen = -1; draw(); } }, "Newest");
  const empty = el("p", { class: "empty" }, "The first samples appear soon.");
  const node = el("section", { class: "card samples" }, el("h2", {}, "Samples"), empty, picture,
    el("div", { class: "row" }, el("label", { for: "when", class: "hidden" }, "Which moment of the run"), slider, newest), words);
  let grids = [], chosen = -1;
  slider.addEventListener("input", () => { chosen = Number(slider.value) === grids.length - 1 ? -1 : Number(slider.value); draw(); });

  function draw() {
    const has = grids.length > 0;
    empty.hidden = has;
    picture.hidden = words.hidden = !has;
    slider.parentElement.hidden = grids.length < 2;
    if (!has) return;
    const place = chosen < 0 ? grids.length - 1 : Math.min(chosen, grids.length - 1);
    slider.max = grids.length - 1;
    slider.value = place;
    newest.disabled = chosen < 0;
    const [seen] = grids[place];
    mark(slider, "aria-valuetext", `${count(seen)} images`);
    mark(picture, "src", gridPath(name, grids[place]));
    mark(picture, "alt", `A grid of samples after ${count(seen)} images`);
    say(words, `After ${count(seen)} images${chosen < 0 ? ", the newest" : ""}. Each place always shows the same latent.`);
  }

  return { node, update(row) { if (JSON.stringify(row.grids) !== JSON.stringify(grids)) { grids = row.grids; draw(); } } };
}

function makeFacts() {
  const latest = el("tbody"), settings = el("tbody");
  const table = (caption, body) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "name"), el("th", { scope: "col" }, "value"))), body));
  const node = el("section", {}, el("h2", {}, "In figures"),
    el("details", {}, el("summary", {}, "The last record"), table("Every signal of the last record", latest)),
    el("details", {}, el("summary", {}, "Settings and machine"), table("What the run was started with", settings)));
  const row = ([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value));
  let before = "";
  return {
    node,
    update(run) {
      const now = JSON.stringify([run.latest, run.settings, run.sitting]);
      if (now === before) return;
      before = now;
      latest.replaceChildren(...Object.entries(run.latest).sort().map(([name, value]) => row([name, typeof value === "number" || value === null ? figure(value) : String(value)])));
      const sitting = Object.entries(run.sitting).filter(([, value]) => value).map(([name, value]) => [name, Array.isArray(value) ? value.join(" ") : String(value)]);
      settings.replaceChildren(...[...run.settings, ...sitting].map(row));
    },
  };
}

