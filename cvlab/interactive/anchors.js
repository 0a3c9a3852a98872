// A feature map over a picture: the anchors of the cell under the hand, and how well they fit the objects.
import { arrowKeys, bar, caption, check, clamp, drawBox, el, fixed, grouped, iou, key, picture, place, range, set, slider } from "./common.js";

/** Width and height of each anchor of a cell, in pixels: area (s * side)^2 with side^2 = W * H, and width / height = r. */
export function shapes({ scales, ratios, pairs }, W, H) {
  const all = scales.flatMap((s) => ratios.map((r) => [s, r]));
  const few = [...scales.map((s) => [s, ratios[0]]), ...ratios.slice(1).map((r) => [scales[0], r])];
  return (pairs === "all" ? all : few).map(([s, r]) => {
    const side = s * Math.sqrt(W * H);
    return [side * Math.sqrt(r), side / Math.sqrt(r)];
  });
}

/** The anchors of one cell, all centred on it. */
export function anchorsAt(row, column, { rows, columns }, sizes, W, H) {
  const x = ((column + 0.5) * W) / columns, y = ((row + 0.5) * H) / rows;
  return sizes.map(([w, h]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
}

/** The largest IoU of `anchors` with one object, and which anchor has it. */
const bestFit = (anchors, truth) => anchors.reduce((best, anchor, index) => {
  const value = iou(anchor, truth);
  return value > best.iou ? { iou: value, index } : best;
}, { iou: 0, index: 0 });

const ratioName = (r) => (r >= 1 ? `${Number(r.toFixed(2))} : 1` : `1 : ${Number((1 / r).toFixed(2))}`);

export function mount(root, state, publish) {
  const { width: W, height: H } = state.picture, { truths, names, good } = state;
  const now = { rows: state.rows, columns: state.columns, scales: [...state.scales], ratios: [...state.ratios], pairs: state.pairs };
  let cell = state.cell, reach = state.reach;

  const view = picture(state.picture, state.alt, draw);
  const lines = el("g", { "pointer-events": "none" }), cells = el("g", { "pointer-events": "none" }), over = el("g", { "pointer-events": "none" });
  const grid = el("rect", { width: "100%", height: "100%", fill: "transparent", tabindex: 0, role: "application",
    "aria-roledescription": "feature map", style: "touch-action:pan-y;cursor:crosshair" });
  view.svg.append(cells, lines, over, grid);
  for (const kind of ["pointermove", "pointerdown"]) grid.addEventListener(kind, (event) => {
    const [x, y] = view.at(event);
    choose(Math.floor((y / H) * now.rows), Math.floor((x / W) * now.columns));
  });
  arrowKeys(grid, (dx, dy) => choose(cell[0] + dy, cell[1] + dx), 3);

  const count = el("p", { class: "count" }), fits = el("tbody"), status = el("p", { class: "hidden", role: "status" });
  const size = (name, which) => slider(name, { min: 1, max: 24, step: 1, value: now[which] }, (value) => { now[which] = value; choose(...cell); });
  const scaleSliders = now.scales.map((value, i) => slider(`scale ${i + 1}`, { min: 0.05, max: 1, step: 0.01, value, format: (s) => s.toFixed(2) }, (s) => { now.scales[i] = s; draw(); }));
  const ratioBoxes = state.choices.map((r) => check(ratioName(r), now.ratios.includes(r), (on) => {
    const chosen = state.choices.filter((other) => (other === r ? on : now.ratios.includes(other)));
    if (chosen.length) now.ratios = chosen; // there is always at least one
    draw();
  }));
  const pairing = check("pair every scale with every ratio", now.pairs === "all", (on) => { now.pairs = on ? "all" : "first"; draw(); });
  const shading = check("shade every cell by its anchors’ best IoU", reach, (on) => { reach = on; draw(); });

  root.append(
    caption(state.question, "Point at a cell, tap it, or Tab to the picture and use the arrow keys."),
    el("div", { class: "layout" },
      el("div", {}, view.frame, count, truths.length ? shading : ""),
      el("div", { class: "side" },
        el("fieldset", {}, el("legend", {}, "Feature map"), size("rows", "rows"), size("columns", "columns")),
        el("fieldset", {}, el("legend", {}, "Anchors: scale of the picture’s side"), ...scaleSliders),
        el("fieldset", {}, el("legend", {}, "Ratios, width : height"), el("div", { class: "row ratios" }, ...ratioBoxes), pairing),
        truths.length ? el("table", {}, el("caption", {}, "Best IoU with each object"),
          el("thead", {}, el("tr", {}, ...["object", "this cell", "any cell"].map((text) => el("th", { scope: "col" }, text)))), fits) : "",
        status)));

  function choose(row, column) {
    cell = [clamp(row, 0, now.rows - 1), clamp(column, 0, now.columns - 1)];
    draw();
  }

  function draw() {
    const sizes = shapes(now, W, H), anchors = anchorsAt(...cell, now, sizes, W, H), total = now.rows * now.columns * sizes.length;
    const every = range(now.rows).map((r) => range(now.columns).map((c) => truths.map((truth) => bestFit(anchorsAt(r, c, now, sizes, W, H), truth).iou)));
    const here = truths.map((truth) => bestFit(anchors, truth)), anywhere = truths.map((_, i) => Math.max(...every.flat().map((fit) => fit[i])));
    const winner = here.reduce((best, fit, i) => (fit.iou > best.iou ? { ...fit, truth: i } : best), { iou: 0, index: -1, truth: -1 });

    cells.replaceChildren(...(reach ? every.flatMap((row, r) => row.map((fit, c) => shade(r, c, Math.max(...fit)))) : []), shade(...cell, null));
    lines.replaceChildren(el("path", { class: "casing", d: mesh() }), el("path", { class: "mesh", d: mesh() }));
    over.replaceChildren(...truths.map((truth, i) => drawBox(view, truth, "truth", { width: 2.5, name: names[i] })),
      ...anchors.map((anchor, i) => drawBox(view, anchor, "anchor", { width: i === winner.index ? 3.5 : 1.8, fill: i === winner.index ? 0.2 : 0 })), dot());
    ratioBoxes.forEach((box, i) => { // the last ratio chosen cannot be taken away
      const input = box.querySelector("input");
      input.checked = now.ratios.includes(state.choices[i]);
      input.disabled = input.checked && now.ratios.length === 1;
    });
    count.replaceChildren(el("span", { class: "big" }, grouped(total)), ` anchors = ${now.rows} × ${now.columns} cells × ${sizes.length} (${sum(now)})`);
    fits.replaceChildren(...truths.map((_, i) => el("tr", {}, el("th", { scope: "row" }, key("truth"), names[i]), ...[here[i].iou, anywhere[i]].map((value) =>
      el("td", {}, el("span", { class: value >= good ? "reached" : "" }, `${value >= good ? "✓ " : ""}${fixed(value)}`), bar(0, value, "anchor", good))))));
    const place_ = `row ${cell[0]}, column ${cell[1]}`;
    set(grid, { "aria-label": `Feature map of ${now.rows} rows and ${now.columns} columns, cell at ${place_}. Arrow keys choose another cell.` });
    status.textContent = winner.index < 0 ? `${place_}, ${total} anchors` : `${place_}: best IoU ${fixed(winner.iou)} with ${names[winner.truth]}`;
    publish({ ...now, cell, anchors, per_cell: sizes.length, total, best: winner, here: here.map((fit) => fit.iou), anywhere, reach });
  }

  const sum = ({ scales: { length: n }, ratios: { length: m }, pairs }) => (pairs === "all" ? `${n} scales × ${m} ratios` : `${n} scales + ${m} ratios − 1`);
  const bounds = (r, c) => [(c * W) / now.columns, (r * H) / now.rows, ((c + 1) * W) / now.columns, ((r + 1) * H) / now.rows];
  const shade = (r, c, value) => el("rect", { ...place(view, bounds(r, c)), class: value === null ? "cell" : "fit", "fill-opacity": value === null ? null : 0.9 * value });

  function mesh() {
    const w = W * view.scale, h = H * view.scale;
    return range(now.columns + 1).map((c) => `M${(c * w) / now.columns} 0V${h}`).join("") + range(now.rows + 1).map((r) => `M0 ${(r * h) / now.rows}H${w}`).join("");
  }
  function dot() {
    const [x1, y1, x2, y2] = bounds(...cell).map((number) => number * view.scale);
    return el("circle", { cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, r: 3.5, class: "dot" });
  }
  choose(...cell);
}
