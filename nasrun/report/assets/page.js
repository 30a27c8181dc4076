"use strict";
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = 9;
const DASHES = ["", "7 3", "2 2", "8 3 2 3", "8 3 2 3 2 3"];
const MARKS = ["circle", "square", "up", "diamond", "down"];
const tip = document.getElementById("tip");

// Tables: a click on a header sorts by its column, empty cells last.
const figure = (text) => {
  const found = text.replace(/[\u2212]/g, "-").match(/[+-]?\d[\d,]*\.?\d*/);
  return found ? Number(found[0].replace(/,/g, "")) : null;
};
const compare = (a, b) => {
  const x = figure(a), y = figure(b);
  return x !== null && y !== null && x !== y ? x - y : a.localeCompare(b);
};
const sortBy = (table, column) => {
  const head = table.tHead.rows[0].cells[column];
  const down = head.getAttribute("aria-sort") !== "descending" && column > 0
    || head.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const body = table.tBodies[0];
  const words = column === 0;
  const text = (row) => row.cells[column].textContent.trim();
  const rows = [...body.rows].sort((r, s) => {
    const a = text(r), b = text(s);
    if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1);
    const order = words ? a.localeCompare(b) : compare(a, b);
    return down ? -order : order;
  });
  body.append(...rows);
};
for (const table of document.querySelectorAll(".wide table")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    cell.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

// Small helpers of the figures.
const draw = (parent, name, attributes, text) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
};
const colour = (place) => `var(--c${place % COLOURS})`;
const dashes = (place) => DASHES[place % DASHES.length];
// A mark of the place's own shape, so that colours are not all that tells methods apart.
const mark = (parent, place, x, y, r, more) => {
  const kind = MARKS[place % MARKS.length], fill = colour(place);
  const shape = {
    square: `M${x - r} ${y - r}h${2 * r}v${2 * r}h${-2 * r}Z`, diamond: `M${x} ${y - 1.3 * r}l${1.3 * r} ${1.3 * r}l${-1.3 * r} ${1.3 * r}l${-1.3 * r} ${-1.3 * r}Z`,
    up: `M${x} ${y - 1.2 * r}l${1.2 * r} ${2.2 * r}h${-2.4 * r}Z`, down: `M${x} ${y + 1.2 * r}l${1.2 * r} ${-2.2 * r}h${-2.4 * r}Z`,
  }[kind];
  if (shape) draw(parent, "path", { d: shape, fill, ...more });
  else draw(parent, "circle", { cx: x, cy: y, r, fill, ...more });
};
const signed = (value) => `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${shown(Math.abs(value))}`;
const shown = (value) => value === null || value === undefined ? "" : String(Number(value.toPrecision(5))).replace("-", "\u2212");
const ticks = (low, high, count) => {
  const rough = (high - low) / count, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(i * step);
  return found.map((x) => Number(x.toPrecision(10)));
};
const ends = (values) => {
  const known = values.filter((x) => x !== null);
  let low = Math.min(...known), high = Math.max(...known);
  if (!known.length) return [0, 1];
  if (low === high) { low -= 0.5; high += 0.5; }
  return [low, high];
};
const widened = ([low, high], share) => [low - share * (high - low), high + share * (high - low)];
const scale = ([low, high], from, to) => (x) => from + (to - from) * (x - low) / (high - low);

const showTip = (event, title, rows) => {
  tip.replaceChildren();
  const head = document.createElement("strong");
  head.textContent = title;
  const table = document.createElement("table");
  for (const [mark, ...cells] of rows) {
    const line = table.insertRow();
    line.insertCell().textContent = mark === null ? "" : "\u25cf";
    if (mark !== null) line.cells[0].style.color = colour(mark);
    for (const cell of cells) line.insertCell().textContent = cell;
  }
  tip.append(head, table);
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), gap = 14;
  const right = event.clientX + gap + box.width > innerWidth;
  const left = right ? event.clientX - gap - box.width : event.clientX + gap;
  const top = Math.min(event.clientY + gap, innerHeight - box.height - 4);
  tip.style.left = `${Math.max(4, Math.min(left, innerWidth - box.width - 4))}px`;
  tip.style.top = `${Math.max(4, top)}px`;
};
const hideTip = () => { tip.hidden = true; };

// The frame of a panel: title, axes, grid, labels; returns both scales.
const frame = (svg, panel, box, xs, ys) => {
  const x = scale(xs, box.left, box.right), y = ys && scale(ys, box.bottom, box.top);
  draw(svg, "text", { x: box.left, y: 14, class: "title" }, panel.title);
  for (const t of ticks(...xs, Math.max(3, (box.right - box.left) / 70))) {
    draw(svg, "line", { x1: x(t), x2: x(t), y1: box.top, y2: box.bottom, class: "grid" });
    draw(svg, "text", { x: x(t), y: box.bottom + 15, class: "tick", "text-anchor": "middle" }, shown(t));
  }
  for (const t of ys ? ticks(...ys, 5) : []) {
    draw(svg, "line", { x1: box.left, x2: box.right, y1: y(t), y2: y(t), class: "grid" });
    draw(svg, "text", { x: box.left - 5, y: y(t) + 4, class: "tick", "text-anchor": "end" }, shown(t));
  }
  const middle = (box.left + box.right) / 2;
  draw(svg, "text", { x: middle, y: box.bottom + 32, class: "axis", "text-anchor": "middle" }, panel.x);
  if (panel.y) draw(svg, "text", { x: box.right, y: 14, class: "axis", "text-anchor": "end" }, panel.y);
  draw(svg, "line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, class: "frame" });
  return [x, y];
};

let clips = 0;
// A group that shows nothing outside a panel's box.
const clipped = (svg, box) => {
  const clip = `clip${clips++}`;
  const within = { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top };
  draw(draw(svg, "clipPath", { id: clip }), "rect", within);
  return draw(svg, "g", { "clip-path": `url(#${clip})` });
};
const lines = (svg, panel, places, width) => {
  const box = { left: 48, right: width - 16, top: 24, bottom: 250 };
  svg.setAttribute("viewBox", `0 0 ${width} 290`);
  const series = panel.series.filter((s) => places.has(s.name) && s.x.length);
  const ys = widened(ends(panel.range), 0.04);
  const [x, y] = frame(svg, panel, box, ends(series.flatMap((s) => s.x)), ys);
  const inside = clipped(svg, box);
  const path = (xs, values) => xs.map((v, i) => `${i ? "L" : "M"}${x(v).toFixed(1)} ${y(values[i]).toFixed(1)}`);
  for (const s of series) {
    const stroke = colour(places.get(s.name));
    if (s.low.length) {
      const back = path([...s.x].reverse(), [...s.high].reverse()).join("").replace("M", "L");
      draw(inside, "path", { d: `${path(s.x, s.low).join("")}${back}Z`, fill: stroke, opacity: 0.18 });
    }
    draw(inside, "path", {
      d: path(s.x, s.y).join(""), fill: "none", stroke, "stroke-width": 1.8,
      "stroke-dasharray": dashes(places.get(s.name)), class: "series",
    });
  }
  const guide = draw(svg, "line", { y1: box.top, y2: box.bottom, class: "guide", visibility: "hidden" });
  const read = (event) => {
    const at = svg.getBoundingClientRect();
    const pixel = (event.clientX - at.left) * width / at.width;
    const found = series.map((s) => {
      let i = 0;
      s.x.forEach((v, k) => { if (Math.abs(x(v) - pixel) < Math.abs(x(s.x[i]) - pixel)) i = k; });
      return { s, i };
    });
    if (!found.length) return;
    const near = found.reduce((a, b) =>
      Math.abs(x(a.s.x[a.i]) - pixel) <= Math.abs(x(b.s.x[b.i]) - pixel) ? a : b);
    const value = near.s.x[near.i];
    guide.setAttribute("x1", x(value));
    guide.setAttribute("x2", x(value));
    guide.setAttribute("visibility", "visible");
    const rows = found.sort((a, b) => b.s.y[b.i] - a.s.y[a.i]).map(({ s, i }) => {
      const band = s.low.length ? `[${shown(s.low[i])}, ${shown(s.high[i])}]` : "";
      return [places.get(s.name), s.name, shown(s.y[i]), band];
    });
    showTip(event, `${panel.x}: ${shown(value)}`, rows);
  };
  svg.addEventListener("pointermove", read);
  svg.addEventListener("pointerdown", read);
  svg.addEventListener("pointerleave", () => { guide.setAttribute("visibility", "hidden"); hideTip(); });
};

// Rows of a panel of boxes or ranks: names on the left, one strip each that answers the pointer.
const strips = (svg, panel, places, width, values, mark, tell) => {
  const rows = panel.rows.filter((row) => places.has(row.name)), step = 24;
  const longest = Math.max(0, ...rows.map((row) => row.name.length));
  const left = Math.min(width * 0.45, 14 + 6.6 * longest);
  const box = { left, right: width - 14, top: 24, bottom: 30 + step * rows.length };
  svg.setAttribute("viewBox", `0 0 ${width} ${box.bottom + 40}`);
  const [x] = frame(svg, panel, box, widened(ends(rows.flatMap(values)), 0.04));
  rows.forEach((row, i) => {
    const y = box.top + 3 + step * (i + 0.5), place = places.get(row.name);
    const fits = Math.max(3, Math.floor((left - 10) / 6.4));
    const name = row.name.length > fits ? `${row.name.slice(0, fits - 1)}\u2026` : row.name;
    draw(svg, "text", { x: left - 8, y: y + 4, "text-anchor": "end" }, name);
    mark(row, x, y, colour(place));
    const strip = draw(svg, "rect", {
      x: 0, y: y - step / 2, width, height: step, fill: "transparent", class: "strip",
    });
    const read = (event) => showTip(event, row.name, tell(row));
    strip.addEventListener("pointermove", read);
    strip.addEventListener("pointerdown", read);
    strip.addEventListener("pointerleave", hideTip);
  });
};

const boxes = (svg, panel, places, width) => strips(
  svg, panel, places, width,
  (row) => [row.marks[0], row.marks[4], row.mean, row.published],
  (row, x, y, fill) => {
    const [low, q1, median, q3, high] = row.marks.map(x);
    draw(svg, "line", { x1: low, x2: high, y1: y, y2: y, stroke: fill, "stroke-width": 1.5 });
    draw(svg, "rect", {
      x: q1, y: y - 7, width: Math.max(1, q3 - q1), height: 14, fill, "fill-opacity": 0.35, stroke: fill,
    });
    draw(svg, "line", { x1: median, x2: median, y1: y - 7, y2: y + 7, stroke: fill, "stroke-width": 2.5 });
    draw(svg, "circle", { cx: x(row.mean), cy: y, r: 3.5, fill: "var(--paper)", stroke: "var(--ink)" });
    if (row.published !== null) {
      const p = x(row.published);
      draw(svg, "path", { d: `M${p} ${y - 6}l6 6l-6 6l-6 -6Z`, fill: "var(--c3)", stroke: "var(--paper)" });
    }
  },
  (row) => [
    [null, "mean (circle)", shown(row.mean)], [null, "median", shown(row.marks[2])],
    [null, "middle half", `${shown(row.marks[1])} to ${shown(row.marks[3])}`],
    [null, "5% to 95%", `${shown(row.marks[0])} to ${shown(row.marks[4])}`],
    ...(row.published === null ? [] : [
      [null, "published (diamond)", shown(row.published)],
      [null, "ours minus published", signed(Number((row.mean - row.published).toFixed(3)))]]),
    [null, "trials", String(row.n)],
  ],
);

// Two methods differ where their bars, half a critical difference to either side, do not overlap.
const ranks = (svg, panel, places, width) => strips(
  svg, panel, places, width,
  (row) => [row.rank - panel.difference / 2, row.rank + panel.difference / 2],
  (row, x, y, fill) => {
    const [from, to] = [row.rank - panel.difference / 2, row.rank + panel.difference / 2].map(x);
    draw(svg, "line", { x1: from, x2: to, y1: y, y2: y, stroke: fill, "stroke-width": 5, opacity: 0.4 });
    draw(svg, "circle", { cx: x(row.rank), cy: y, r: 4.5, fill });
  },
  (row) => [
    [null, "average rank", shown(row.rank)], [null, "critical difference", shown(panel.difference)],
    ...panel.rows.filter((o) => o !== row && Math.abs(o.rank - row.rank) < panel.difference)
      .map((o) => [null, "does not differ from", o.name]),
  ],
);

// Dots of architectures, stairs of fronts, dotted lines of latency budgets.
const points = (svg, panel, places, width) => {
  const box = { left: 52, right: width - 16, top: 24, bottom: 270 };
  svg.setAttribute("viewBox", `0 0 ${width} 310`);
  const series = panel.series.filter((s) => places.has(s.name));
  const xs = widened(ends([...series.flatMap((s) => s.x), ...panel.budgets]), 0.05);
  const [x, y] = frame(svg, panel, box, xs, widened(ends(panel.range), 0.06));
  const inside = clipped(svg, box);
  for (const budget of panel.budgets) {
    draw(svg, "line", { x1: x(budget), x2: x(budget), y1: box.top, y2: box.bottom, class: "budget" });
  }
  for (const s of series) {
    const place = places.get(s.name);
    s.x.forEach((v, i) => mark(inside, place, x(v), y(s.y[i]), 2.4, { opacity: 0.45 }));
    const corners = s.frontX.map((v, i) => i ? `H${x(v).toFixed(1)}V${y(s.frontY[i]).toFixed(1)}` : `M${x(v).toFixed(1)} ${y(s.frontY[i]).toFixed(1)}`);
    draw(inside, "path", {
      d: corners.join(""), fill: "none", stroke: colour(place), "stroke-width": 1.8,
      "stroke-dasharray": dashes(place), class: "series",
    });
  }
  const read = (event) => {
    const at = svg.getBoundingClientRect();
    const px = (event.clientX - at.left) * width / at.width, py = (event.clientY - at.top) * width / at.width;
    let near = null, least = 30 ** 2;
    for (const s of series) s.x.forEach((v, i) => {
      const distance = (x(v) - px) ** 2 + (y(s.y[i]) - py) ** 2;
      if (distance < least) { least = distance; near = [s, i]; }
    });
    if (!near) { hideTip(); return; }
    const [s, i] = near;
    showTip(event, s.name, [[null, panel.x, shown(s.x[i])], [null, panel.y, shown(s.y[i])]]);
  };
  svg.addEventListener("pointermove", read);
  svg.addEventListener("pointerdown", read);
  svg.addEventListener("pointerleave", hideTip);
};

// Decisions by rows, options by columns; the more probable, the fuller the colour.
const heat = (svg, panel, places, width) => {
  const rows = panel.shares.length, count = panel.options.length;
  const longest = Math.max(...panel.options.map((option) => option.length));
  const step = rows > 14 ? 14 : 22, left = 36, foot = Math.min(150, 10 + 5 * longest);
  const wide = Math.min(64, (width - left - 60) / count), top = 24;
  svg.setAttribute("viewBox", `0 0 ${width} ${top + rows * step + foot}`);
  draw(svg, "text", { x: left, y: 14, class: "title" }, panel.title);
  panel.shares.forEach((shares, row) => {
    const y = top + row * step;
    draw(svg, "text", { x: left - 6, y: y + step / 2 + 4, class: "tick", "text-anchor": "end" }, String(row));
    shares.forEach((share, column) => {
      const x = left + column * wide, box = { x, y, width: wide - 1, height: step - 1 };
      if (share === null) { draw(svg, "rect", { ...box, class: "blank" }); return; }
      const cell = draw(svg, "rect", { ...box, class: "heat", style: `fill: color-mix(in srgb, var(--c0) ${Math.round(100 * share)}%, var(--band))` });
      const tell = (event) => showTip(event, `decision ${row}: ${panel.options[column]}`, [
        [null, "mean probability", share.toFixed(3)],
        [null, "decided (0.95 or more), % of trials", (100 * panel.certain[row]).toFixed(0)]]);
      cell.addEventListener("pointermove", tell);
      cell.addEventListener("pointerdown", tell);
      cell.addEventListener("pointerleave", hideTip);
      if (step > 14 && wide > 30) {
        const ink = share > 0.6 ? "var(--paper)" : "var(--ink)";
        draw(svg, "text", { x: x + wide / 2, y: y + step / 2 + 4, "text-anchor": "middle", style: `fill: ${ink}; pointer-events: none` }, share.toFixed(2));
      }
    });
  });
  panel.options.forEach((option, column) => {
    const x = left + (column + 0.5) * wide, y = top + rows * step + 12;
    draw(svg, "text", { x, y, class: "tick", "text-anchor": "end", transform: `rotate(-35 ${x} ${y})` }, option);
  });
};

const KINDS = { lines, boxes, ranks, points, heat };
const charts = JSON.parse(document.getElementById("charts").textContent);
for (const holder of document.querySelectorAll(".chart")) {
  const chart = charts[Number(holder.dataset.chart)];
  const hidden = new Set();
  const names = document.createElement("div");
  names.className = "names";
  const panels = document.createElement("div");
  panels.className = "panels";
  holder.append(names, panels);
  const cells = chart.panels.map(() => panels.appendChild(document.createElement("div")));
  const paint = () => {
    const places = new Map(chart.names.filter((n) => !hidden.has(n.name)).map((n) => [n.name, n.place]));
    chart.panels.forEach((panel, i) => {
      const svg = document.createElementNS(SVG, "svg");
      svg.setAttribute("class", "panel");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", `${chart.title}, ${panel.title}: ${panel.x}`);
      KINDS[chart.kind](svg, panel, places, Math.max(240, cells[i].clientWidth));
      cells[i].replaceChildren(svg);
    });
  };
  for (const { name, place } of ["lines", "points"].includes(chart.kind) ? chart.names : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "true");
    const swatch = draw(button, "svg", { width: 22, height: 10, "aria-hidden": "true" });
    draw(swatch, "line", {
      x1: 0, x2: 22, y1: 5, y2: 5, stroke: colour(place), "stroke-width": 3, "stroke-dasharray": dashes(place),
    });
    button.append(name);
    button.addEventListener("click", () => {
      if (!hidden.delete(name)) hidden.add(name);
      button.setAttribute("aria-pressed", String(!hidden.has(name)));
      paint();
    });
    names.append(button);
  }
  let width = 0;
  new ResizeObserver(() => {
    if (panels.clientWidth !== width) { width = panels.clientWidth; paint(); }
  }).observe(panels);
}

// A table that is cut off says so.
const cuts = new ResizeObserver((found) => {
  for (const { target } of found) target.classList.toggle("cut", target.scrollWidth > target.clientWidth + 1);
});
for (const wide of document.querySelectorAll(".wide")) cuts.observe(wide);
