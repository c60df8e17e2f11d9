// The page: which view belongs to the address, and the token that came with it.
import { el } from "./common.js";
import { showExplore } from "./explore.js";
import { showList } from "./list.js";
import { showRun } from "./run.js";

// the token stands behind the #, which no server sees; it must not stay in the address, which people copy
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem("token", given);
  history.replaceState(null, "", location.pathname + location.search);
}

const main = document.getElementById("content");
const answer = await fetch("/api/about");
const about = await answer.json();

if (!answer.ok) {
  main.append(el("p", { class: "empty" }, `${about.what}: ${about.remedy}`));
} else if (location.pathname === "/explore" && about.explore) {
  showExplore(main);
} else if (location.pathname.startsWith("/run/")) {
  const name = location.pathname.slice(5).split("/").map(decodeURIComponent).join("/");
  showRun(main, name, about);
} else {
  showList(main, about);
}
