// A region over a feature map: the whole cells that RoIPool makes of it, and the points at which RoIAlign reads.
import {
  announcer, arrowKeys, axes, caption, chart, check, clamp, draggable, el, fixed, group, grouped, intersect, layout,
  picture, place, range, row, set, slider, table,
} from "./common.js";

const SIDES = { // which of x1, y1, x2, y2 each handle moves, and what it is called
  body: [[0, 1, 2, 3], "region"], nw: [[0, 1], "top left corner"], ne: [[1, 2], "top right corner"],
  se: [[2, 3], "bottom right corner"], sw: [[0, 3], "bottom left corner"],
};

/** Round to the nearest whole number, a half away from zero. */
const away = (value) => Math.sign(value) * Math.floor(Math.abs(value) + 0.5);

/** First and end of each bin's cells along one axis, the end not included: the region is whole cells, then the bins. */
function wholeBins(from, to, bins, scale) {
  const start = away(from * scale), share = Math.max(away(to * scale) - start + 1, 1) / bins;
  return range(bins).map((n) => [Math.floor(n * share) + start, Math.ceil((n + 1) * share) + start]);
}

/** RoIPool: the cells of each bin, its largest value, row by row, and where that stands; 0 outside the map. */
export function roiPool({ map, rows: H, columns: W, stride }, box, bins) {
  const rows = wholeBins(box[1], box[3], bins, 1 / stride), columns = wholeBins(box[0], box[2], bins, 1 / stride);
  const inside = ([first, end], length) => range(length).filter((cell) => cell >= first && cell < end);
  const found = rows.flatMap((tall) => columns.map((wide) => {
    const cells = inside(tall, H).flatMap((i) => inside(wide, W).map((j) => W * i + j));
    return cells.reduce((best, cell) => (best.cell < 0 || map[cell] > best.value ? { value: map[cell], cell } : best),
      { value: 0, cell: -1 });
  }));
  return { rows, columns, values: found.map(({ value }) => value), largest: found.map(({ cell }) => cell) };
}

/** A map between its cells: the four neighbours, each the heavier the nearer; a cell's value is at its whole number. */
export function bilinear({ map, rows: H, columns: W }, y, x) {
  if (y < -1 || y > H || x < -1 || x > W) return 0;
  const v = clamp(y, 0, H - 1), u = clamp(x, 0, W - 1), i = Math.floor(v), j = Math.floor(u);
  const below = Math.min(i + 1, H - 1), right = Math.min(j + 1, W - 1), down = v - i, along = u - j;
  const across = (line) => map[W * line + j] * (1 - along) + map[W * line + right] * along;
  return across(i) * (1 - down) + across(below) * down;
}

/** RoIAlign: its region in cells, the rows and columns of each bin's samples, and each bin's mean, row by row. */
export function roiAlign(state, box, bins, ratio, aligned) {
  const [x1, y1, x2, y2] = box.map((side) => side * (1 / state.stride) - (aligned ? 0.5 : 0));
  const least = aligned ? 0 : 1, width = Math.max(x2 - x1, least), height = Math.max(y2 - y1, least);
  const places = (start, side) =>
    range(bins).map((n) => range(ratio).map((i) => start + (n + (i + 0.5) / ratio) * (side / bins)));
  const ys = places(y1, height), xs = places(x1, width);
  const mean = (tall, wide) =>
    tall.reduce((sum, y) => sum + wide.reduce((part, x) => part + bilinear(state, y, x), 0), 0) / ratio ** 2;
  const values = ys.flatMap((tall) => xs.map((wide) => mean(tall, wide)));
  return { frame: [x1, y1, x1 + width, y1 + height], ys, xs, values };
}

const NAME = { pool: "RoIPool", align: "RoIAlign" };

export function mount(root, state, publish) {
  const { rows: H, columns: W, map, stride } = state, limit = [W * stride, H * stride, W * stride, H * stride];
  const low = Math.min(...map), high = Math.max(...map), digits = high - low < 10 ? 2 : high - low < 100 ? 1 : 0;
  const now = { box: [...state.box], size: state.size, ratio: state.sampling_ratio, aligned: state.aligned,
    method: "pool", bin: [0, 0], photo: false };

  const view = picture({ width: limit[0], height: limit[1], src: state.src }, () => paint());
  const [cells, reads, numbers] = view.layers(3);
  for (const layer of [reads, numbers]) layer.setAttribute("pointer-events", "none");
  const parts = grips();
  const results = { pool: result("pool"), align: result("align") };
  const plot = chart(400, 190, () => paintSlide()), [drawing] = plot.layers(1);
  set(plot.svg, { role: "img" });
  const change = (name) => (value) => { now[name] = value; draw(); };
  const choose = (name) => check(NAME[name], now.method === name, () => { now.method = name; draw(); }, "method");
  const status = announcer(), sides = table("The region in pixels, and how far off each reads",
    ["side", "yours", NAME.pool, NAME.align]);
  const sample = (name) => el("span", {}, el("i", { class: `line ${name}`, "aria-hidden": "true" }), NAME[name]);

  root.append(
    caption(state.question, "Drag it or a corner of it, or Tab to one and use the arrow keys (with Shift: half a "
      + "cell). Point at a bin of a result to see what it is made of."),
    layout([view.frame, status, sides], [
      group("Show what is read by", row(choose("pool"), choose("align"),
        state.src ? check("the picture below", now.photo, change("photo")) : null)),
      el("div", { class: "results" }, ...Object.values(results).map(({ node }) => node)),
      group("Bins and samples",
        slider("bins a side", { min: 2, max: 4, step: 1, value: now.size }, (value) => {
          now.size = value;
          now.bin = now.bin.map((place) => Math.min(place, value - 1));
          draw();
        }),
        slider("samples a side", { min: 1, max: 3, step: 1, value: now.ratio }, change("ratio")),
        check("aligned: a cell’s value is at its middle", now.aligned, change("aligned"))),
      el("div", {}, el("p", { class: "heading" }, "The chosen bin, as the region slides sideways"), plot.frame,
        el("p", { class: "lines" }, sample("pool"), sample("align")))]));

  /** Move some sides of the region from where they began; all four of them keep its size. */
  function move(begun, moving, dx, dy) {
    const whole = moving.length === 4, step = [dx, dy].map((by, axis) =>
      (whole ? clamp(by, -begun[axis], limit[axis] - begun[axis + 2]) : by));
    now.box = begun.map((side, i) => (!moving.includes(i) ? side : whole ? side + step[i % 2]
      : clamp(side + step[i % 2], i < 2 ? 0 : begun[i - 2], i < 2 ? begun[i + 2] : limit[i])));
    draw();
  }

  /** The region's body and its corners. Tab stops at the body and two corners; the others take the mouse. */
  function grips() {
    const shape = (name) => (name === "body" ? el("rect") : el("g", {}, el("circle", { class: "reach", r: 14 }),
      el("rect", { class: "knob", x: -5, y: -5, width: 10, height: 10, rx: 2 })));
    return Object.fromEntries(Object.entries(SIDES).map(([name, [moving]]) => {
      const node = set(view.svg.appendChild(shape(name)), { class: `grip ${name}`, role: "application",
        tabindex: ["body", "nw", "se"].includes(name) ? 0 : -1,
        "aria-roledescription": name === "body" ? "movable region" : "handle",
        style: `cursor:${name === "body" ? "move" : `${name}-resize`}` });
      arrowKeys(node, (dx, dy) => move(now.box, moving, dx, dy), Math.max(2, Math.round(stride / 2)));
      draggable(node, view, () => [...now.box], (begun, dx, dy) => move(begun, moving, dx, dy), () => {});
      return [name, node];
    }));
  }

  /** The result of one method as a grid; pointing at a bin chooses it. */
  function result(name) {
    const grid = picture({ width: 1, height: 1 }, () => paintResults()), [layer] = grid.layers(1);
    const hand = grid.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "grid of bins" }));
    const pick = (i, j) => { now.bin = [i, j].map((place) => clamp(place, 0, now.size - 1)); draw(); };
    const point = (event) => pick(...grid.at(event).reverse().map((share) => Math.floor(share * now.size)));
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => pick(now.bin[0] + dy, now.bin[1] + dx), 3);
    return { node: el("div", {}, el("p", { class: "heading" }, NAME[name]), grid.frame), grid, layer, hand };
  }

  const present = (box = now.box) => ({ pool: roiPool(state, box, now.size),
    align: roiAlign(state, box, now.size, now.ratio, now.aligned) });
  const chosen = () => now.size * now.bin[0] + now.bin[1];

  /** The pixels that each method reads: RoIPool's are whole cells; RoIAlign's cells have their middle at + 0.5. */
  function readBy({ pool: { rows, columns }, align: { frame } }) {
    const whole = [columns[0][0], rows[0][0], columns.at(-1)[1], rows.at(-1)[1]];
    return { pool: whole.map((side) => side * stride), align: frame.map((side) => (side + 0.5) * stride) };
  }

  /** The chosen bin's values while the region slides sideways by up to a cell. */
  const slide = () => range(129).map((n) => (n / 64 - 1) * stride).map((shift) => {
    const { pool, align } = present(now.box.map((side, i) => (i % 2 ? side : side + shift)));
    return { shift, pool: pool.values[chosen()], align: align.values[chosen()] };
  });

  function draw() {
    const both = present(), regions = readBy(both);
    const off = Object.fromEntries(Object.entries(regions).map(([name, region]) =>
      [name, region.map((side, i) => side - now.box[i])]));
    tell(both, regions, off);
    paint();
    paintResults();
    paintSlide();
    publish({ ...now, ...both, regions, off, slide: slide() });
  }

  const number = (value) => fixed(value, digits);

  function tell({ pool, align }, regions, off) {
    const [i, j] = now.bin, count = ([first, end], length) => Math.max(0, Math.min(end, length) - Math.max(first, 0));
    const read = `${count(pool.rows[i], H)} × ${count(pool.columns[j], W)}`, samples = now.ratio ** 2;
    const values = { pool: number(pool.values[chosen()]), align: number(align.values[chosen()]) };
    const what = samples === 1 ? "one sample" : `the mean of ${samples} samples`;
    status.textContent = `Bin in row ${i}, column ${j}. RoIPool: the largest of ${read} cells, ${values.pool}. `
      + `RoIAlign: ${what}, ${values.align}.`;
    const signed = (value) => `${value > 0 ? "+" : "−"}${grouped(Math.abs(value))}`;
    const reading = (name, side) => el("td", {}, `${grouped(regions[name][side])} `,
      el("small", {}, Math.abs(off[name][side]) < 0.05 ? "exact" : signed(off[name][side])));
    sides.body.replaceChildren(...["left", "top", "right", "bottom"].map((name, side) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, grouped(now.box[side])),
        reading("pool", side), reading("align", side))));
    const corners = ["x1", "y1", "x2", "y2"].map((name, side) => `${name} ${grouped(now.box[side])}`).join(", ");
    for (const [name, [, title]] of Object.entries(SIDES)) {
      const which = name === "body" ? "The region" : `The region’s ${title}`;
      set(parts[name], { "aria-label": `${which}: ${corners}. Arrow keys move it.` });
    }
    for (const [name, { hand }] of Object.entries(results)) set(hand, { "aria-label":
      `${NAME[name]}: bin in row ${i}, column ${j} is ${values[name]}. Arrow keys choose another.` });
    set(plot.svg, { "aria-label": `The chosen bin's value as the region slides by up to ${grouped(stride)} pixels to `
      + `either side; here RoIPool has ${values.pool} and RoIAlign ${values.align}` });
  }

  const grey = (value) => Math.round(40 + 205 * (high > low ? clamp((value - low) / (high - low), 0, 1) : 0.5));

  /** A value as a grey cell. */
  function shade(on, box, value) {
    const tone = grey(value);
    return el("rect", { ...place(on, box), class: "value", style: `fill:rgb(${tone},${tone},${tone})` });
  }

  /** A value as a number in its cell, where there is room. */
  function written(on, box, value, places) {
    const { x, y, width, height } = place(on, box), text = fixed(value, places);
    const size = Math.min((1.45 * width) / text.length, 13), ink = grey(value) > 130 ? "#000" : "#fff";
    const style = `fill:${ink};font-size:${size}px`;
    return size < 8 ? "" : el("text", { x: x + width / 2, y: y + height / 2, style }, text);
  }

  const cellBox = (cell) => {
    const i = Math.floor(cell / W), j = cell % W;
    return [j, i, j + 1, i + 1].map((side) => side * stride);
  };
  const plain = map.every((value) => value % 1 === 0) ? 0 : Math.min(digits, 1);

  function paint() {
    const both = present(), { x, y, width, height } = place(view, now.box);
    cells.replaceChildren(...map.map((value, cell) => (now.photo
      ? el("rect", { ...place(view, cellBox(cell)), class: "mesh" }) : shade(view, cellBox(cell), value))));
    numbers.replaceChildren(...(now.photo ? [] : map.map((value, cell) => written(view, cellBox(cell), value, plain))));
    const regions = readBy(both);
    reads.replaceChildren(...(now.method === "pool" ? paintPool(both.pool, regions.pool)
      : paintAlign(both.align, regions.align)));
    set(parts.body, { x, y, width, height });
    for (const [name, [moving]] of Object.entries(SIDES)) if (name !== "body")
      set(parts[name], { transform:
        `translate(${x + (moving.includes(2) ? width : 0)} ${y + (moving.includes(3) ? height : 0)})` });
  }

  const cased = (shape, attributes, kind) =>
    ["casing", kind].map((name) => el(shape, { ...attributes, class: `${kind} ${name}` }));

  /** The whole cells, the bins in them, which may share cells, and the largest cell of each bin, ringed. */
  function paintPool({ rows, columns, largest }, whole) {
    const onMap = (box) => place(view, intersect(box, [0, 0, limit[0], limit[1]]));
    const bins = rows.flatMap((tall) => columns.map((wide) =>
      onMap([wide[0], tall[0], wide[1], tall[1]].map((side) => side * stride))));
    const ring = (cell) => {
      const { x: left, y: top, width, height } = place(view, cellBox(cell));
      return cased("circle", { cx: left + width / 2, cy: top + height / 2, r: Math.min(width, height) * 0.42 }, "ring");
    };
    return [...bins.flatMap((box) => cased("rect", box, "bin")), el("rect", { ...bins[chosen()], class: "picked" }),
      ...cased("rect", onMap(whole), "whole"),
      ...[...new Set(largest)].filter((cell) => cell >= 0).flatMap(ring)];
  }

  /** The exact bins, and the samples in them. */
  function paintAlign({ ys, xs }, [x1, y1, x2, y2]) {
    const w = (x2 - x1) / now.size, h = (y2 - y1) / now.size;
    const boxes = range(now.size).flatMap((i) => range(now.size).map((j) =>
      [x1 + j * w, y1 + i * h, x1 + (j + 1) * w, y1 + (i + 1) * h]));
    const screen = (at) => (at + 0.5) * stride * view.scale;
    const dots = ys.flatMap((tall, i) => xs.flatMap((wide, j) => tall.flatMap((v) => wide.map((u) => {
      const mine = i === now.bin[0] && j === now.bin[1], [cx, cy] = [screen(u), screen(v)];
      return el("circle", { cx, cy, r: mine ? 4.5 : 3.5, class: mine ? "dot mine" : "dot" });
    }))));
    return [...boxes.flatMap((box) => cased("rect", place(view, box), "bin")),
      el("rect", { ...place(view, boxes[chosen()]), class: "picked" }), ...dots];
  }

  function paintResults() {
    const both = present(), n = now.size;
    for (const [name, { grid, layer }] of Object.entries(results)) {
      const box = (k) => [(k % n) / n, Math.floor(k / n) / n, ((k % n) + 1) / n, (Math.floor(k / n) + 1) / n];
      layer.replaceChildren(
        ...both[name].values.flatMap((value, k) => [shade(grid, box(k), value), written(grid, box(k), value, digits)]),
        ...cased("rect", place(grid, box(chosen())), "picked"));
    }
  }

  function paintSlide() {
    const points = slide(), all = points.flatMap(({ pool, align }) => [pool, align]);
    const bottom = Math.min(...all), span = Math.max(...all) - bottom || 1;
    const up = (value) => 0.08 + (0.84 * (value - bottom)) / span;
    const across = ({ shift }) => (shift / stride + 1) / 2, stair = (one, i) =>
      [points[Math.max(i - 1, 0)], one].map(({ pool }) => [across(one), up(pool)]); // RoIPool jumps
    const lines = { pool: points.flatMap(stair), align: points.map((one) => [across(one), up(one.align)]) };
    const ticks = range(5).map((n) => [n / 4, n === 2 ? "here" : fixed((n / 2 - 1) * stride, stride % 2 ? 1 : 0)]);
    const [x0, y0] = plot.spot(0.5, 0), dots = ["pool", "align"].map((name) => plot.spot(0.5, up(points[64][name])));
    drawing.replaceChildren(
      ...axes(plot, { name: "shift, pixels", ticks },
        { name: "value", ticks: [bottom, bottom + span].map((value) => [up(value), number(value)]) }),
      el("path", { class: "here", d: `M${x0} ${y0}V${plot.spot(0, 1)[1]}` }),
      ...Object.entries(lines).map(([name, line]) => el("path", { class: name, d: plot.path(line) })),
      ...dots.map(([cx, cy]) => el("circle", { class: "dot mine", cx, cy, r: 5 })));
  }

  draw();
}
