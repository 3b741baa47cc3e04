"use strict";
// Values under a cursor, details of streams, zoom. The page is complete without any of it.
(() => {
  const data = JSON.parse(document.getElementById("report-data").textContent);
  const tip = document.getElementById("tip");
  const svg = (name, attributes, parent) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (parent) parent.append(made);
    return made;
  };
  const make = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  // What the keyboard has chosen stays where it belongs when the page scrolls, as it does when a chart gets the focus.
  let again = null;

  // Beside the place, and always inside the window.
  function show(content, x, y) {
    tip.replaceChildren(...content);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = x + 16 + box.width > innerWidth - 8 ? x - 16 - box.width : x + 16;
    tip.style.left = `${Math.max(8, Math.min(left, innerWidth - 8 - box.width))}px`;
    tip.style.top = `${Math.max(8, Math.min(y - box.height / 2, innerHeight - 8 - box.height))}px`;
  }
  function hide() {
    again = null;
    tip.hidden = true;
  }
  function pairs(entries, className) {
    const list = make("dl", undefined, className);
    for (const [name, text, tone] of entries) {
      const term = make("dt");
      if (tone) {
        const dot = svg("svg", { width: 10, height: 10, "aria-hidden": "true" });
        svg("circle", { cx: 5, cy: 5, r: 4, class: `dot ${tone}` }, dot);
        term.append(dot);
      }
      if (name) term.append(name);
      list.append(term, make("dd", text));
    }
    return list;
  }
  // A click focuses too; only the keyboard has no pointer to follow.
  const focused = (element) => element.matches(":focus-visible");

  function cursorOn(plot, chart) {
    const box = plot.querySelector(".canvas-box");
    const canvas = box.querySelector(".canvas");
    let group = null;
    let index = -1;
    function nearest(percent) {
      let best = 0;
      for (let i = 1; i < chart.x.length; i += 1) {
        if (Math.abs(chart.x[i] - percent) < Math.abs(chart.x[best] - percent)) best = i;
      }
      return best;
    }
    function at(i, y) {
      index = Math.max(0, Math.min(chart.x.length - 1, i));
      group?.remove();
      group = svg("g", {}, canvas);
      const x = `${chart.x[index]}%`;
      svg("line", { x1: x, x2: x, y1: 12, y2: chart.height, class: "cursor-line" }, group);
      const entries = [];
      for (const series of chart.series) {
        if (series.y[index] !== null) {
          svg("circle", { cx: x, cy: series.y[index], r: 4, class: `cursor-dot ${series.tone}` }, group);
        }
        // Where a curve has no value its text is empty.
        if (series.text[index]) entries.push([series.name, series.text[index], series.tone]);
      }
      const area = canvas.getBoundingClientRect();
      const content = [make("strong", chart.at[index]), entries.length ? pairs(entries) : make("span", "no samples")];
      again = y === undefined ? () => at(index) : null;
      show(content, area.left + (area.width * chart.x[index]) / 100, y ?? area.top + area.height / 2);
    }
    function leave() {
      group?.remove();
      group = null;
      index = -1;
      hide();
    }
    box.addEventListener("pointermove", (event) => {
      const area = canvas.getBoundingClientRect();
      at(nearest(((event.clientX - area.left) / area.width) * 100), event.clientY);
    });
    box.addEventListener("pointerleave", leave);
    plot.addEventListener("focus", () => {
      if (focused(plot)) at(chart.x.length - 1);
    });
    plot.addEventListener("blur", leave);
    plot.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (event.key === "Escape") leave();
      else if (event.key === "Home") at(0);
      else if (event.key === "End") at(chart.x.length - 1);
      else if (step !== undefined) at((index < 0 ? chart.x.length - 1 : index) + step);
      else return;
      event.preventDefault();
    });
  }

  function clock(seconds) {
    const whole = Math.round(seconds);
    if (seconds < 60) return `${Number(seconds.toFixed(seconds < 10 ? 2 : 1))} s`;
    const two = (n) => String(n).padStart(2, "0");
    const minutes = Math.floor(whole / 60);
    if (minutes < 60) return `${minutes}:${two(whole % 60)}`;
    return `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${two(whole % 60)}`;
  }

  function timelines(root) {
    const { span, streams } = data.timelines;
    const drawing = root.querySelector(".canvas");
    const axis = root.querySelector(".time-axis");
    const axisAtFirst = [...axis.children];
    const zoomed = root.querySelector(".zoomed");
    const reset = root.querySelector(".reset");
    const rowPx = Number(root.dataset.row);
    let from = 0;
    let to = span;
    let current = -1;
    let dragged = null;
    const back = svg("rect", { height: rowPx, rx: 3, class: "row-back", visibility: "hidden" });
    zoomed.prepend(back);

    function select(place, x, y) {
      current = Math.max(0, Math.min(streams.length - 1, place));
      const stream = streams[current];
      const begin = Math.max(from, stream.from);
      const end = Math.min(to, stream.to);
      back.setAttribute("x", `${(stream.from / span) * 100}%`);
      back.setAttribute("width", `${Math.max(0.1, ((stream.to - stream.from) / span) * 100)}%`);
      back.setAttribute("y", 4 + stream.row * rowPx);
      back.setAttribute("visibility", "visible");
      const area = drawing.getBoundingClientRect();
      again = y === undefined ? () => select(current) : null;
      show(
        [make("strong", stream.title), pairs(stream.facts, "facts-of-stream")],
        x ?? area.left + (area.width * ((begin + end) / 2 - from)) / (to - from),
        y ?? area.top + 4 + (stream.row + 0.5) * rowPx,
      );
    }
    function leave() {
      back.setAttribute("visibility", "hidden");
      current = -1;
      hide();
    }
    // The stream under the pointer; a few pixels beside it count, since the mark of its end is broader than short streams.
    function under(event) {
      const area = drawing.getBoundingClientRect();
      const row = Math.floor((event.clientY - area.top - 4) / rowPx);
      const perPixel = (to - from) / area.width;
      const at = from + (event.clientX - area.left) * perPixel;
      let best = -1;
      let least = 8 * perPixel;
      streams.forEach((stream, i) => {
        if (stream.row !== row) return;
        const away = Math.max(0, stream.from - at, at - stream.to);
        if (away < least) [best, least] = [i, away];
      });
      return best;
    }
    function step(by) {
      const inside = streams.map((_, i) => i).filter((i) => streams[i].to >= from && streams[i].from <= to);
      const place = current < 0 ? (by > 0 ? -1 : inside.length) : inside.indexOf(current);
      if (inside.length) select(inside[Math.max(0, Math.min(inside.length - 1, place + by))]);
    }
    function labels() {
      if (from === 0 && to === span) return axis.replaceChildren(...axisAtFirst);
      const raw = (to - from) / 6;
      const power = 10 ** Math.floor(Math.log10(raw));
      const step = [1, 2, 5, 10].map((n) => n * power).find((n) => raw <= n);
      axis.replaceChildren();
      for (let tick = Math.ceil(from / step) * step; tick <= to; tick += step) {
        const text = svg("text", { x: `${((tick - from) / (to - from)) * 100}%`, y: 14, "text-anchor": "middle" }, axis);
        text.textContent = clock(tick);
      }
    }
    function zoom(begin, end) {
      from = Math.max(0, begin);
      to = Math.min(span, end);
      const scale = span / (to - from);
      zoomed.setAttribute("width", `${scale * 100}%`);
      zoomed.setAttribute("x", `${(-from / span) * scale * 100}%`);
      reset.hidden = from === 0 && to === span;
      labels();
      leave();
    }
    const share = (event) => {
      const area = drawing.getBoundingClientRect();
      return Math.max(0, Math.min(1, (event.clientX - area.left) / area.width));
    };
    drawing.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      dragged = { from: share(event), band: null };
      drawing.setPointerCapture(event.pointerId);
    });
    drawing.addEventListener("pointermove", (event) => {
      if (dragged && Math.abs(share(event) - dragged.from) > 0.01) {
        hide();
        dragged.band ??= svg("rect", { y: 0, height: "100%", class: "selection" }, drawing);
        dragged.band.setAttribute("x", `${Math.min(share(event), dragged.from) * 100}%`);
        dragged.band.setAttribute("width", `${Math.abs(share(event) - dragged.from) * 100}%`);
        return;
      }
      const found = under(event);
      if (found >= 0) select(found, event.clientX, event.clientY);
      else leave();
    });
    function drop(event, keep) {
      if (!dragged) return;
      const { band, from: begin } = dragged;
      dragged = null;
      band?.remove();
      if (!keep || !band) return;
      const end = share(event);
      const width = to - from;
      zoom(from + Math.min(begin, end) * width, from + Math.max(begin, end) * width);
    }
    drawing.addEventListener("pointerup", (event) => drop(event, true));
    drawing.addEventListener("pointercancel", (event) => drop(event, false));
    drawing.addEventListener("pointerleave", () => {
      if (!dragged) leave();
    });
    drawing.addEventListener("dblclick", () => zoom(0, span));
    reset.addEventListener("click", () => zoom(0, span));
    root.addEventListener("focus", () => {
      if (focused(root)) step(1);
    });
    root.addEventListener("blur", leave);
    root.addEventListener("keydown", (event) => {
      if (event.target !== root) return;
      const by = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
      const middle = (from + to) / 2;
      const quarter = (to - from) / 4;
      if (event.key === "Escape") zoom(0, span);
      else if (event.key === "Home") select(0);
      else if (event.key === "End") select(streams.length - 1);
      else if (event.key === "+") zoom(middle - quarter, middle + quarter);
      else if (event.key === "-") zoom(middle - 4 * quarter, middle + 4 * quarter);
      else if (event.key === "ArrowLeft") zoom(Math.max(0, from - quarter), Math.max(0, from - quarter) + 4 * quarter);
      else if (event.key === "ArrowRight") zoom(Math.min(span, to + quarter) - 4 * quarter, Math.min(span, to + quarter));
      else if (by !== undefined) step(by);
      else return;
      event.preventDefault();
    });
  }

  for (const plot of document.querySelectorAll("[data-chart]")) cursorOn(plot, data.charts[plot.dataset.chart]);
  const drawn = document.getElementById("timelines");
  if (drawn) timelines(drawn);
  addEventListener("scroll", () => (again ? again() : hide()), { passive: true });

  // Paper has nothing to click on.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open]):not(.no-print)")];
    for (const details of opened) details.open = true;
  });
  addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });
})();
