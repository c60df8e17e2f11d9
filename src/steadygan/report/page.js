"use strict";
(() => {
  const tip = document.getElementById("tip");
  const show = (words, x, y) => {
    tip.textContent = words;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y - box.height - 14 > 8 ? y - box.height - 14 : y + 18}px`;
  };
  const hide = () => { tip.hidden = true; };

  // what happened: told where it is pointed at or reached
  for (const mark of document.querySelectorAll("[data-tip]")) {
    const words = mark.dataset.tip;
    mark.addEventListener("pointermove", (event) => { show(words, event.clientX, event.clientY); event.stopPropagation(); });
    mark.addEventListener("pointerleave", hide);
    mark.addEventListener("focus", () => {
      const box = mark.getBoundingClientRect();
      show(words, box.x + box.width / 2, box.y);
    });
    mark.addEventListener("blur", hide);
  }
  addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });

  // values read off a panel at the pointer
  const nearest = (clocks, wanted) => {
    let low = 0, high = clocks.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (clocks[middle] < wanted) low = middle; else high = middle;
    }
    return Math.abs(clocks[low] - wanted) <= Math.abs(clocks[high] - wanted) ? low : high;
  };
  for (const svg of document.querySelectorAll("svg[data-frame]")) {
    const [left, width, top, height, end] = JSON.parse(svg.dataset.frame);
    const lines = JSON.parse(svg.dataset.lines).filter((line) => line[1].length);
    const wide = Number(svg.getAttribute("viewBox").split(" ")[2]);
    const cursor = document.createElementNS("http://www.w3.org/2000/svg", "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y1", top); cursor.setAttribute("y2", top + height);
    svg.addEventListener("pointermove", (event) => {
      const box = svg.getBoundingClientRect();
      const place = (event.clientX - box.x) * wide / box.width;
      if (place < left || place > left + width) { cursor.remove(); hide(); return; }
      cursor.setAttribute("x1", place); cursor.setAttribute("x2", place);
      svg.append(cursor);
      const clock = (place - left) / width * end;
      const said = lines.map(([name, clocks, values]) => `${name}: ${values[nearest(clocks, clock)]}`);
      show(`${Math.round(clock).toLocaleString("en")} images\n${said.join("\n")}`, event.clientX, event.clientY);
    });
    svg.addEventListener("pointerleave", () => { cursor.remove(); hide(); });
  }

  // the same latents over time
  for (const film of document.querySelectorAll(".film")) {
    const pictures = [...film.querySelectorAll("img")];
    const slider = film.querySelector("input"), said = film.querySelector("output"), play = film.querySelector("button");
    let timer = 0;
    const turn = () => {
      const now = Number(slider.value);
      pictures.forEach((picture, number) => { picture.hidden = number !== now; });
      said.textContent = `${pictures[now].dataset.seen} images`;
      slider.setAttribute("aria-valuetext", said.textContent);
    };
    const rest = () => { clearInterval(timer); timer = 0; play.textContent = "Play"; };
    slider.addEventListener("input", () => { rest(); turn(); });
    play.addEventListener("click", () => {
      if (timer) { rest(); return; }
      if (Number(slider.value) === pictures.length - 1) slider.value = 0;
      play.textContent = "Stop";
      turn();
      timer = setInterval(() => {
        slider.value = Number(slider.value) + 1;
        turn();
        if (Number(slider.value) === pictures.length - 1) rest();
      }, 180);
    });
    film.querySelector(".controls").hidden = false;
    turn();
  }

  for (const button of document.querySelectorAll("button[data-copy]")) {
    if (!navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
})();
