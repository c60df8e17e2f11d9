// Taking part: what a person may ask of a run, and what the run answers.
import { count, el, figure, mark, say } from "./common.js";

const SURE = {
  stop: ["Save and stop?", "The run finishes its round, saves and leaves. It can go on later with steadygan resume.", "Save and stop"],
  end: ["End it here?", "The run ends for good, as if its length were reached. It cannot go on later.", "End it"],
  back: ["Go back?", "The run returns to that snapshot and goes on from there with other batches. What came after it is given up.", "Go back"],
};

export class Controls {
  constructor(name, about) {
    this.name = name;
    this.mayEver = about.control;
    this.waiting = new Set();
    this.row = null;
    this.said = el("p", { class: "said", role: "status" });
    this.entry = this.makeEntry();
    this.who = el("input", { id: "who", maxlength: "40", autocomplete: "name", value: sessionStorage.getItem("who") ?? "", placeholder: "somebody",
      oninput: () => sessionStorage.setItem("who", this.who.value) });
    this.pause = el("button", { type: "button", onclick: () => this.ask({ wish: this.row.state === "paused" ? "go-on" : "pause" }) }, "Pause");
    this.stop = el("button", { type: "button", onclick: () => this.sure({ wish: "stop" }) }, "Save and stop");
    this.end = el("button", { type: "button", onclick: () => this.sure({ wish: "end" }) }, "End here");
    this.snapshot = el("select", { id: "snapshot" });
    this.back = el("button", { type: "button", onclick: () => this.sure({ wish: "back", to: this.snapshot.value }) }, "Go back");
    this.turner = this.makeTurner();
    this.still = el("p", { class: "quiet" }, "This run is not in training, so there is nothing to ask of it.");
    this.panel = el("div", { class: "ask" },
      el("div", { class: "field" }, el("label", { for: "who" }, "Your name, for the record"), this.who),
      el("div", { class: "row" }, this.pause, this.stop, this.end),
      this.turner,
      el("div", { class: "field" }, el("label", { for: "snapshot" }, "Go back to a kept snapshot"), el("div", { class: "row" }, this.snapshot, this.back)));
    this.dialog = el("dialog", { "aria-labelledby": "sure" });
    this.node = el("section", { class: "card controls" }, el("h2", {}, "Take part"), this.entry, this.still, this.panel, this.said, this.dialog);
    this.show();
  }

  makeEntry() {
    if (!this.mayEver) return el("p", { class: "quiet" }, "This page is for looking only. Start it without --read-only to take part.");
    const token = el("input", { id: "token", type: "password", autocomplete: "off", spellcheck: "false" });
    const take = () => { sessionStorage.setItem("token", token.value.trim()); token.value = ""; say(this.said, ""); this.show(); };
    const submit = (event) => { event.preventDefault(); if (token.value.trim()) take(); };
    return el("form", { class: "field", onsubmit: submit },
      el("p", { class: "quiet" }, "You are looking only. To take part, enter the token that steadygan watch printed."),
      el("label", { for: "token" }, "Token"),
      el("div", { class: "row" }, token, el("button", { type: "submit" }, "Take part")));
  }

  makeTurner() {
    this.control = el("select", { id: "control", onchange: () => this.showControl(true) });
    this.now = el("p", { class: "quiet figures", id: "control-now" });
    this.value = el("input", { id: "value", inputmode: "decimal", "aria-describedby": "control-now", autocomplete: "off" });
    this.value.addEventListener("keydown", (event) => { if (event.key === "Enter") this.set(); });
    const times = (factor) => () => { const present = this.present(); if (present) this.turn(present.factor * factor, present.shift * factor); };
    this.half = el("button", { type: "button", onclick: times(0.5) }, "Halve");
    this.twice = el("button", { type: "button", onclick: times(2) }, "Double");
    this.planned = el("button", { type: "button", onclick: () => this.turn(1, 0) }, "As planned");
    return el("div", { class: "field turner" },
      el("label", { for: "control" }, "Turn a control"), this.control, this.now,
      el("label", { for: "value" }, "New value"),
      el("div", { class: "row" }, this.value, el("button", { type: "button", class: "main", onclick: () => this.set() }, "Set")),
      el("div", { class: "row" }, this.half, this.twice, this.planned));
  }

  me() { return this.who.value.trim() || "somebody"; }

  /** The chosen control: its value now, and what this person made of it. */
  present() {
    const found = this.row?.controls.find(([name]) => name === this.control.value);
    if (!found) return null;
    const own = this.row.turns.find(([by, name]) => by === this.me() && name === found[0]);
    return { name: found[0], value: found[1], factor: own ? own[2] : 1, shift: own ? own[3] : 0 };
  }

  set() {
    const present = this.present(), wanted = Number(this.value.value.replace(",", "."));
    if (!present || this.value.value.trim() === "" || !Number.isFinite(wanted)) { say(this.said, "Write a number as the new value."); return; }
    // a factor follows the plan from here on; where there is nothing to multiply, or somebody added to it, a shift does
    if (present.value > 0 && wanted > 0 && present.shift === 0) this.turn((present.factor * wanted) / present.value, 0);
    else this.turn(present.factor, present.shift + wanted - present.value);
  }

  turn(factor, shift) { this.ask({ wish: "turn", control: this.control.value, factor, shift }); }

  sure(wish) {
    const [title, words, yes] = SURE[wish.wish];
    const close = () => this.dialog.close();
    this.dialog.replaceChildren(el("h2", { id: "sure" }, title), el("p", {}, words),
      el("div", { class: "row" },
        el("button", { type: "button", class: "main", onclick: () => { close(); this.ask(wish); } }, yes),
        el("button", { type: "button", onclick: close }, "Leave it")));
    this.dialog.showModal();
  }

  async ask(wish) {
    say(this.said, "Asking ...");
    let answer, said;
    try {
      answer = await fetch("/api/wish", {
        method: "POST",
        headers: { "Content-Type": "application/json", "X-Steadygan-Token": sessionStorage.getItem("token") ?? "" },
        body: JSON.stringify({ run: this.name, by: this.me(), ...wish }),
      });
      said = await answer.json();
    } catch {
      say(this.said, "The server does not answer. Is steadygan watch still there?");
      return;
    }
    if (answer.ok) {
      this.waiting.add(said.id);
      say(this.said, "Asked. The run answers after its next record.");
      return;
    }
    if (said.what === "wrong token") { sessionStorage.removeItem("token"); this.show(); }
    say(this.said, `Not possible: ${said.what}${said.remedy ? ` (${said.remedy})` : ""}.`);
  }

  /** An event of the run; it may be the answer to what was asked here. */
  heard(event) {
    if (event.kind !== "wish" || !this.waiting.delete(event.id)) return;
    say(this.said, `${event.done ? "Done" : "Refused"}: ${String(event.words).replace("not done: ", "")}, at ${count(event.images_seen)} images.`);
    if (event.done && event.wish === "turn") this.value.value = "";
  }

  update(row) {
    this.row = row;
    this.show();
    say(this.pause, row.state === "paused" ? "Go on" : "Pause");
    fill(this.control, row.controls.map(([name]) => [name, name]), "learning_rate.generator");
    fill(this.snapshot, row.snapshots.map(([name, seen]) => [name, `${name}, at ${count(seen)} images`]), "healthy");
    this.back.disabled = this.snapshot.disabled = row.snapshots.length === 0;
    if (!row.snapshots.length) fill(this.snapshot, [["", "none in a checkpoint yet"]], "");
    this.showControl(false);
  }

  showControl(changed) {
    const present = this.present();
    if (changed) this.value.value = "";
    if (!present) { say(this.now, ""); return; }
    const others = this.row.turns.filter(([by, name]) => name === present.name && by !== this.me()).map(([by]) => by);
    const mine = present.factor === 1 && present.shift === 0 ? "" : `, by you at ${figure(present.factor)} times its plan${present.shift ? `, plus ${figure(present.shift)}` : ""}`;
    say(this.now, `It is ${figure(present.value)} now${mine}${others.length ? `, turned by ${others.join(" and ")} too` : ""}.`);
    mark(this.half, "disabled", present.value === 0 ? "" : null);
    mark(this.twice, "disabled", present.value === 0 ? "" : null);
    mark(this.planned, "disabled", mine === "" ? "" : null);
  }

  show() {
    const may = this.mayEver && Boolean(sessionStorage.getItem("token"));
    const live = this.row === null || this.row.state === "running" || this.row.state === "paused";
    this.entry.hidden = may || !live;
    this.panel.hidden = !may || !live;
    this.still.hidden = live;
  }
}

/** Offer these choices, and keep what is chosen. */
function fill(select, choices, usual) {
  const now = JSON.stringify(choices);
  if (select.dataset.choices === now) return;
  const kept = select.value;
  select.dataset.choices = now;
  select.replaceChildren(...choices.map(([value, words]) => el("option", { value }, words)));
  const names = choices.map(([value]) => value);
  select.value = names.includes(kept) ? kept : names.includes(usual) ? usual : names[0] ?? "";
}
