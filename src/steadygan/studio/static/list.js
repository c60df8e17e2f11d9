// The list of runs.
import { count, el, follow, gridPath, mark, runPath, say, sign, standing } from "./common.js";

export function showList(main, about) {
  document.title = `${about.folder} · steadygan`;
  const asked = new URLSearchParams(location.search);
  let page = Number(asked.get("page")) || 0;
  const search = el("input", { type: "search", id: "search", autocomplete: "off", value: asked.get("search") ?? "" });
  const total = el("p", { class: "quiet", role: "status" });
  const list = el("ul", { class: "runs" });
  const empty = el("p", { class: "empty", hidden: true });
  const earlier = el("button", { type: "button", onclick: () => turn(-1) }, "Later runs");
  const later = el("button", { type: "button", onclick: () => turn(1) }, "Earlier runs");
  const where = el("span", { class: "quiet" });
  const pages = el("nav", { class: "pages", "aria-label": "Pages of runs", hidden: true }, earlier, where, later);
  main.append(
    el("div", { class: "head" },
      el("div", {}, el("h1", {}, "Runs"), total),
      el("div", { class: "field" }, el("label", { for: "search" }, "Search by name"), search)),
    list, empty, pages);

  const shown = new Map();
  let stop = () => {};

  function draw(found) {
    if (found.single && found.rows.length) {
      location.replace(runPath(found.rows[0].name));
      return;
    }
    say(total, found.count === 1 ? `1 run in ${about.folder}` : `${count(found.count)} runs in ${about.folder}`);
    empty.hidden = found.count > 0;
    say(empty, search.value ? "No run has this in its name." : "No runs yet. They appear here as soon as there are some.");
    pages.hidden = found.pages < 2;
    page = found.page;
    earlier.disabled = page === 0;
    later.disabled = page + 1 >= found.pages;
    say(where, `page ${page + 1} of ${found.pages}`);
    const names = new Set(found.rows.map((row) => row.name));
    for (const [name, card] of shown) {
      if (!names.has(name)) { card.node.remove(); shown.delete(name); }
    }
    found.rows.forEach((row, place) => {
      if (!shown.has(row.name)) shown.set(row.name, makeCard(row));
      const card = shown.get(row.name);
      card.update(row);
      // moved only where it must be: what is moved loses the focus
      if (list.children[place] !== card.node) list.insertBefore(card.node, list.children[place] ?? null);
    });
  }

  function ask() {
    stop();
    const query = new URLSearchParams();
    if (search.value) query.set("search", search.value);
    if (page) query.set("page", page);
    history.replaceState(null, "", query.size ? `/?${query}` : "/");
    stop = follow(`/api/runs/live?${query}`, { runs: draw });
  }

  function turn(by) {
    page = Math.max(0, page + by);
    ask();
    scrollTo(0, 0);
  }

  let waiting = 0;
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { page = 0; ask(); }, 250);
  });
  ask();
}

function makeCard(row) {
  const picture = el("img", { alt: "", loading: "lazy", decoding: "async" });
  const none = el("span", { class: "none", "aria-hidden": "true" });
  const link = el("a", { href: runPath(row.name) }, row.name);
  const about = el("p", { class: "quiet" });
  const verdict = el("p", { class: "state" });
  const detail = el("p", { class: "detail" });
  const bar = el("progress", { "aria-label": `How far ${row.name} is` });
  const place = el("p", { class: "quiet figures" });
  const node = el("li", { class: "card run" },
    el("div", { class: "thumb" }, picture, none),
    el("div", { class: "words" }, el("h2", {}, link), about, verdict, detail),
    el("div", { class: "way" }, bar, place));
  let tone = "";
  const update = (now) => {
    say(about, now.about);
    if (tone !== now.tone + now.headline) {
      tone = now.tone + now.headline;
      verdict.replaceChildren(sign(now.tone), el("span", {}, now.headline));
      verdict.className = `state ${now.tone}`;
    }
    say(detail, now.detail);
    bar.hidden = now.state === "damaged" || !now.total;
    if (now.total) { bar.max = now.total; bar.value = Math.min(now.images_seen, now.total); }
    say(place, standing(now));
    picture.hidden = !now.grid;
    none.hidden = Boolean(now.grid);
    if (now.grid) mark(picture, "src", gridPath(now.name, now.grid));
  };
  return { node, update };
}

