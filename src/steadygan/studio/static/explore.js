// Exploring a run: one sample, moved about with sliders; pins, heat map, nearest real images, export.
import { count, el, mark, say } from "./common.js";

const GROUPS = [
  ["boundary", "What is seen in the samples", "Learned from samples with much and with little of it."],
  ["class", "Towards a class", "Learned from the classes of the real images nearest to samples."],
  ["GANSpace", "Found by GANSpace", "Along these the network's inner values vary most. Nobody has named them."],
  ["SeFa", "Found by SeFa", "These the first layer stretches most. Nobody has named them."],
];
const REACH = 3;
const HIGHEST = 2147483647;
const line = document.getElementById("line");

/** A direction as the page calls it: the groups say how it was found. */
const plain = (name) => name.replace(", learned", "");

async function ask(what, query = "") {
  const answer = await fetch(`/api/explore/${what}?${query}`);
  const said = await answer.json();
  if (!answer.ok) throw new Error(`${said.what}: ${said.remedy}`);
  return said;
}

/** A picture that follows what is asked of it: one request at a time, and the last one always comes. */
class Follower {
  constructor(image, failed) {
    this.image = image;
    this.busy = false;
    this.next = null;
    const done = () => { this.busy = false; if (this.next && this.next !== image.getAttribute("src")) this.show(this.next); };
    image.addEventListener("load", () => { failed(""); done(); });
    image.addEventListener("error", () => { failed(image.getAttribute("src")); done(); });
  }

  show(url) {
    this.next = url;
    if (this.busy || this.image.getAttribute("src") === url) return;
    this.busy = true;
    this.image.src = url;
  }
}

class Explorer {
  constructor(main) {
    this.main = main;
    this.sliders = new Map();
    this.codes = new Map();
    this.pins = [];
  }

  build(about) {
    this.about = about;
    document.title = `Explore ${about.name} · steadygan`;
    const failed = (url) => this.complain(url);
    this.picture = el("img", { class: "grid", id: "picture", width: about.size[1], height: about.size[0], alt: "" });
    this.hot = el("img", { class: "grid", id: "heat-map", width: about.size[1], height: about.size[0], alt: "" });
    this.follower = new Follower(this.picture, failed);
    this.heater = new Follower(this.hot, failed);
    this.seed = this.number("seed", "Sample number", "0");
    this.said = el("p", { class: "said", role: "status" });
    this.heated = el("figure", { hidden: true }, this.hot, el("figcaption", { class: "quiet" }, "orange: for real, blue: against it"));
    this.pair = el("section", { class: "card pair", "aria-label": "The sample" },
      el("figure", {}, this.picture, el("figcaption", { class: "quiet" }, "what the generator makes")), this.heated);
    this.stage = el("section", { class: "card stage" }, el("h2", {}, "The sample"),
      el("div", { class: "row" }, this.seed.box,
        el("button", { type: "button", class: "main", onclick: () => this.another() }, "Another sample")),
      el("div", { class: "row" },
        el("button", { type: "button", onclick: () => this.pin() }, "Pin"),
        about.heat ? this.heat = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggle() }, "Heat map") : null,
        el("button", { type: "button", onclick: () => this.nearest() }, "Nearest real images"),
        el("button", { type: "button", onclick: () => this.reset() }, "Back to the start")),
      el("div", { class: "row" },
        this.save = el("a", { id: "save-picture", download: "sample.png" }, "Save the picture"),
        this.numbers = el("a", { id: "save-numbers", download: "sample.json" }, "Save its seed and vector")),
      this.said);
    this.real = el("section", { class: "card", hidden: true }, el("h2", { id: "real" }, "Nearest real images"));
    this.pinned = el("ul", { class: "pins" });
    this.board = el("section", { class: "card", hidden: true }, el("h2", {}, "Pinned"), this.pinned);
    this.state = el("p", { class: "quiet", role: "status", id: "state" });
    this.moves = el("div", { class: "moves" });
    const choose = el("section", { class: "card" }, el("h2", {}, "What to make"), el("div", { class: "ask" },
      this.classes(), ...this.latentCodes(), this.between()));
    this.main.append(
      el("nav", { class: "crumbs", "aria-label": "Where you are" }, el("a", { href: `/run/${encodeURIComponent(about.name)}` }, "How the run went")),
      el("p", { class: "eyebrow" }, `${about.what} · ${count(about.images_seen)} images seen`),
      el("h1", {}, about.name),
      el("p", {}, "Move a slider, and see what the generator makes of it. Everything is remembered by its numbers, so whatever you find can be made again."),
      about.notes.length ? el("p", { class: "quiet", id: "notes" }, about.notes.join(" ")) : "",
      el("div", { class: "sides explore" }, el("div", { class: "stack" }, this.pair, this.stage, this.real, this.board),
        el("div", { class: "stack" }, choose, el("section", { class: "card" }, el("h2", {}, "Move it"), this.state, this.moves))));
    this.restore();
    this.update(about);
    this.draw();
  }

  field(id, label, input, ...more) {
    return el("div", { class: "field" }, el("label", { for: id }, label), input, ...more);
  }

  number(id, label, value) {
    const input = el("input", { id, type: "number", min: "0", max: HIGHEST, step: "1", value, oninput: () => this.draw() });
    return { input, box: this.field(id, label, input) };
  }

  slider(id, label, low, high, step, value) {
    const shown = el("output", { for: id, class: "quiet figures" }, String(value));
    const input = el("input", { id, type: "range", min: low, max: high, step, value, oninput: () => { say(shown, input.value); this.draw(); } });
    const set = (to) => { input.value = to; say(shown, input.value); };
    return { input, set, box: el("div", { class: "field slide" }, el("label", { for: id }, label), shown, input) };
  }

  classes() {
    if (!this.about.classes.length) return null;
    this.label = el("select", { id: "label", onchange: () => this.draw() }, this.about.classes.map((name, at) => el("option", { value: at }, name)));
    return this.field("label", "Class", this.label);
  }

  latentCodes() {
    return Object.entries(this.about.codes).map(([name, code], at) => {
      const id = `code-${at}`;
      const usual = el("option", { value: "" }, "as drawn");
      if (code.choices) {
        const input = el("select", { id, onchange: () => this.draw() }, usual, Array.from({ length: code.choices }, (_, one) => el("option", { value: one }, String(one))));
        this.codes.set(name, { input, set: (to) => { input.value = to; }, start: "" });
        return this.field(id, `Code ${name}`, input);
      }
      const one = this.slider(id, `Code ${name}`, code.low, code.high, (code.high - code.low) / 100, 0);
      this.codes.set(name, { ...one, start: "0" });
      return one.box;
    });
  }

  between() {
    this.way = this.slider("way", "On the way to another sample, in %", 0, 100, 1, 0);
    this.other = this.number("other", "The other sample's number", "1");
    return el("div", { class: "ask" }, this.way.box, this.other.box);
  }

  /** Add the directions that were found since. */
  update(about) {
    say(this.state, about.state ? `${about.state}.` : "In standard deviations; 0 leaves the sample as it is.");
    mark(this.main.querySelector(".explore"), "data-ready", about.state ? null : "");
    for (const [method, title, words] of GROUPS) {
      const fresh = about.directions.filter((one) => one.method === method && !this.sliders.has(one.name));
      if (!fresh.length) continue;
      const group = this.moves.querySelector(`[data-method="${method}"] .ask`) ?? this.group(method, title, words);
      for (const { name } of fresh) {
        const one = this.slider(`move-${this.sliders.size}`, plain(name), -REACH, REACH, 0.1, 0);
        this.sliders.set(name, one);
        group.append(one.box);
      }
    }
    mark(line, "data-state", "live");
    say(line, "live");
  }

  group(method, title, words) {
    const inside = el("div", { class: "ask" }, el("p", { class: "quiet" }, words));
    const open = !this.moves.querySelector("details") || method === "boundary";
    const node = el("details", { "data-method": method, open }, el("summary", {}, title), inside);
    // the order is that of the list, whichever was found first
    const later = GROUPS.slice(GROUPS.findIndex(([one]) => one === method) + 1).map(([one]) => this.moves.querySelector(`[data-method="${one}"]`));
    this.moves.insertBefore(node, later.find(Boolean) ?? null);
    return inside;
  }

  /** What is asked of the server: all that is not as it was at the start. */
  query() {
    const asked = new URLSearchParams({ seed: this.seed.input.value || "0" });
    if (this.label) asked.set("label", this.label.value);
    if (Number(this.way.input.value)) {
      asked.set("to", this.other.input.value || "0");
      asked.set("way", String(Number(this.way.input.value) / 100));
    }
    for (const [name, { input, start }] of this.codes) if (input.value !== start) asked.set(`code.${name}`, input.value);
    for (const [name, { input }] of this.sliders) if (Number(input.value)) asked.set(`move.${name}`, input.value);
    return asked.toString();
  }

  words() {
    const moved = [...this.sliders].filter(([, { input }]) => Number(input.value)).map(([name, { input }]) => `${plain(name)} ${input.value}`);
    const parts = [`Sample ${this.seed.input.value || 0}`];
    if (this.label) parts.push(`class ${this.about.classes[this.label.value]}`);
    if (Number(this.way.input.value)) parts.push(`${this.way.input.value} % of the way to sample ${this.other.input.value}`);
    return [...parts, ...moved].join(", ");
  }

  draw() {
    const query = this.query();
    const url = `/api/explore/picture?${query}`;
    this.follower.show(url);
    mark(this.picture, "alt", this.words());
    mark(this.save, "href", url);
    mark(this.numbers, "href", `/api/explore/numbers?${query}`);
    mark(this.save, "download", `sample-${this.seed.input.value || 0}.png`);
    mark(this.numbers, "download", `sample-${this.seed.input.value || 0}.json`);
    if (!this.heated.hidden) {
      this.heater.show(`/api/explore/heat?${query}`);
      mark(this.hot, "alt", `Heat map: ${this.words()}`);
    }
    this.real.hidden = true;
  }

  async complain(url) {
    if (!url) return say(this.said, "");
    const answer = await fetch(url).catch(() => null);
    const said = answer && !answer.ok ? await answer.json().catch(() => null) : null;
    return say(this.said, said ? `${said.what}: ${said.remedy}` : "The server does not answer. Is steadygan explore still there?");
  }

  another() {
    this.seed.input.value = String(Math.floor(Math.random() * 1000000));
    this.draw();
  }

  reset() {
    this.way.set("0");
    for (const { set, start } of this.codes.values()) set(start);
    for (const { set } of this.sliders.values()) set("0");
    this.draw();
  }

  toggle() {
    this.heated.hidden = !this.heated.hidden;
    mark(this.heat, "aria-pressed", String(!this.heated.hidden));
    this.draw();
  }

  async nearest() {
    const query = this.query();
    say(this.said, "");
    try {
      const found = await ask("nearest", query);
      if (query !== this.query()) return;
      const { size, reals } = await ask("describe");
      this.real.replaceChildren(el("h2", {}, "Nearest real images"),
        el("ul", { class: "pins" }, found.map((one) => el("li", {},
          el("img", { class: "grid", src: `/api/explore/real?row=${one.row}`, width: size[1], height: size[0], alt: `Real image ${one.row}` }),
          el("p", { class: "quiet" }, `${one.label ? `${one.label} · ` : ""}${one.distance.toFixed(3)}`)))),
        el("p", { class: "quiet" }, `Of ${count(reals)} training images, with the distance: the root mean square difference of pixels, where white is 1 and black 0.`));
      this.real.hidden = false;
    } catch (error) {
      say(this.said, error.message);
    }
  }

  pin() {
    const query = this.query();
    if (!this.pins.some((one) => one.query === query)) this.pins.push({ query, words: this.words() });
    this.showPins();
  }

  /** Pins outlive a reload, in this tab; the name of the run keeps those of two runs apart. */
  restore() {
    try {
      this.pins = JSON.parse(sessionStorage.getItem(`pins ${this.about.name}`)) ?? [];
    } catch {
      this.pins = [];
    }
    this.showPins();
  }

  showPins() {
    sessionStorage.setItem(`pins ${this.about.name}`, JSON.stringify(this.pins));
    const { size } = this.about;
    this.board.hidden = !this.pins.length;
    this.pinned.replaceChildren(...this.pins.map((one) => el("li", {},
      el("button", { type: "button", class: "picked", onclick: () => this.goTo(one.query) },
        el("img", { class: "grid", src: `/api/explore/picture?${one.query}`, width: size[1], height: size[0], alt: `Go to: ${one.words}` })),
      el("button", { type: "button", "aria-label": `Unpin ${one.words}`, onclick: () => { this.pins = this.pins.filter((other) => other !== one); this.showPins(); } }, "Unpin"))));
  }

  goTo(query) {
    const asked = new URLSearchParams(query);
    this.seed.input.value = asked.get("seed");
    if (this.label) this.label.value = asked.get("label");
    this.way.set(String(Math.round(Number(asked.get("way") ?? 0) * 100)));
    if (asked.has("to")) this.other.input.value = asked.get("to");
    for (const [name, { set, start }] of this.codes) set(asked.get(`code.${name}`) ?? start);
    for (const [name, { set }] of this.sliders) set(asked.get(`move.${name}`) ?? "0");
    this.draw();
  }
}

export async function showExplore(main) {
  const explorer = new Explorer(main);
  try {
    let about = await ask("describe");
    explorer.build(about);
    while (about.state && !about.state.includes("early")) {
      await new Promise((done) => { setTimeout(done, 700); });
      about = await ask("describe");
      explorer.update(about);
    }
  } catch (error) {
    mark(line, "data-state", "lost");
    say(line, error.message);
  }
}
