// A mask head's small masks: the chosen one as a grid of probabilities, and pasted into its box and cut at a threshold.
import {
  announcer, area, axes, button, caption, chart, check, clamp, drawBox, el, fixed, group, grouped, key, layout, middle,
  offer, picture, place, put, range, row, set, slider, table, tag,
} from "./common.js";

/** The probabilities of a mask, row by row: each the middle of its step of 256. */
export const probabilities = (text) => Array.from(atob(text), (letter) => (letter.charCodeAt(0) + 0.5) / 256);

/** Along one axis each pixel of a box that lies in the picture: the cell before its place, and the next one's share. */
function samples(from, to, length, cells, rounded) {
  const start = rounded ? Math.trunc(from) : from, end = rounded ? Math.trunc(to) + 1 : to;
  const first = clamp(Math.ceil(start - 0.5), 0, length); // the first pixel whose middle lies in the box
  const count = Math.max(clamp(Math.ceil(end - 0.5), 0, length) - first, 0);
  return { first, at: range(count).map((n) => {
    const place = clamp(((first + n + 0.5 - start) / (end - start)) * cells - 0.5, 0, cells - 1);
    const cell = Math.min(Math.floor(place), cells - 2);
    return [cell, place - cell];
  }) };
}

/**
 * Paste a mask of `cells` a side into a picture of W x H pixels: laid in a frame of zeros, which its box grows by, the
 * box brought to whole pixels if `rounded`, and each pixel mixed from four cells. Gives the part of the picture that the
 * box covers.
 */
export function paste(mask, cells, box, W, H, rounded) {
  const wide = cells + 2, padded = new Array(wide * wide).fill(0);
  mask.forEach((value, n) => { padded[wide * (Math.floor(n / cells) + 1) + (n % cells) + 1] = value; });
  const grown = [0, 1].map((axis) => {
    const centre = (box[axis + 2] + box[axis]) * 0.5, half = (box[axis + 2] - box[axis]) * 0.5 * (wide / cells);
    return [centre - half, centre + half];
  });
  const columns = samples(...grown[0], W, wide, rounded), rows = samples(...grown[1], H, wide, rounded), values = [];
  for (const [i, down] of rows.at) for (const [j, along] of columns.at) {
    const across = (line) => padded[wide * line + j] * (1 - along) + padded[wide * line + j + 1] * along;
    values.push(across(i) * (1 - down) + across(i + 1) * down);
  }
  return { x: columns.first, y: rows.first, width: columns.at.length, height: rows.at.length, values };
}

/** A mask from the lengths of its runs, that of zeros first. */
export const unroll = (runs) => runs.flatMap((length, n) => new Array(length).fill(n % 2));

/** How many of sorted numbers are at least `threshold`. */
export function atLeast(sorted, threshold) {
  let low = 0, high = sorted.length;
  while (low < high) {
    const half = (low + high) >> 1;
    if (sorted[half] < threshold) low = half + 1; else high = half;
  }
  return sorted.length - low;
}

/** A function that counts a pasted mask's pixels at any threshold, those it shares with the truth, and their IoU. */
export function counter({ x, y, width, values }, truth, W) {
  const sort = (numbers) => Float64Array.from(numbers).sort(), all = sort(values);
  if (!truth) return (threshold) => ({ pixels: atLeast(all, threshold), common: null, iou: null });
  const within = sort(values.filter((_, n) => truth[W * (y + Math.floor(n / width)) + x + (n % width)]));
  const objects = truth.reduce((sum, one) => sum + one, 0);
  return (threshold) => {
    const pixels = atLeast(all, threshold), common = atLeast(within, threshold), union = pixels + objects - common;
    return { pixels, common, objects, iou: union > 0 ? common / union : 0 };
  };
}

/** The pixels of a mask as a path of runs, and the edges between them and the others, in pixels. */
export function shape(inside, width, height) {
  const at = (x, y) => x >= 0 && y >= 0 && x < width && y < height && Boolean(inside[width * y + x]);
  const fill = [], edge = [];
  for (let y = 0; y <= height; y += 1) for (let x = 0; x <= width; x += 1) {
    if (at(x, y) !== at(x - 1, y)) edge.push(`M${x} ${y}v1`);
    if (at(x, y) !== at(x, y - 1)) edge.push(`M${x} ${y}h1`);
    if (at(x, y) && !at(x - 1, y)) {
      let end = x;
      while (at(end, y)) end += 1;
      fill.push(`M${x} ${y}H${end}v1H${x}Z`);
    }
  }
  return { fill: fill.join(""), edge: edge.join("") };
}

const GRID = range(91).map((n) => (n + 5) / 100); // the thresholds that the slider can have
const TICKS = range(6).map((n) => [n / 5, fixed(n / 5, 1)]);

export function mount(root, state, publish) {
  const { boxes, cells, names } = state, { width: W, height: H } = state.picture;
  const now = { chosen: 0, threshold: state.threshold, outline: true, rounded: state.rounded };
  const known = state.truth.some((which) => which !== null);
  const masks = state.masks.map(probabilities);
  const truths = state.truths.map(unroll), truthOf = (i) => truths[state.truth[i]] ?? null;
  let pasted, counts, curves;
  const outlines = truths.map((truth) => shape(truth, W, H));

  function pasteAll() {
    pasted = masks.map((mask, i) => paste(mask, cells, boxes[i], W, H, now.rounded));
    counts = pasted.map((mask, i) => counter(mask, truthOf(i), W));
    curves = counts.map((count) => GRID.map((threshold) => count(threshold).iou));
  }
  pasteAll();

  const view = picture(state.picture, () => paint()), [layer] = view.layers(1);
  const grid = picture({ width: cells, height: cells }, () => paintGrid()), [small] = grid.layers(1);
  set(view.svg, { class: "picture view", onpointerdown: (event) => pick(...view.at(event)) });
  const lens = picture({ width: 1, height: 1 }, () => paint()), [large] = lens.layers(1);
  set(grid.svg, { role: "img" });
  set(lens.svg, { role: "img" });
  const plot = chart(400, 230, () => paintCurve()), [drawing] = plot.layers(1);
  set(plot.svg, { role: "img", onpointerdown: (event) => follow(event),
    onpointermove: (event) => (event.buttons ? follow(event) : null) });

  const radios = names.map((name, i) => check(name, i === 0, () => choose(i), "detection"));
  const cut = slider("threshold", { min: GRID[0], max: GRID.at(-1), step: 0.01, value: now.threshold, digits: 2 },
    (value) => { now.threshold = value; draw(); });
  const best = button("Go to the best threshold", () => put(cut, bestOf(now.chosen)));
  const numbers = table("Pixels"), status = announcer(true), note = el("p", { class: "note" });
  const fit = el("p", { class: "fit" });

  root.append(
    caption(state.question, "Choose a detection, or tap it in the picture; then move the threshold"
      + `${known ? ", or drag along the curve" : ""}.`),
    layout([view.frame, fit, known ? check("outline of the true mask", now.outline,
      (on) => { now.outline = on; paint(); }) : null, numbers], [
      group("Detection", row(...radios)), group("A pixel belongs to the mask", cut, known ? row(best) : null,
        check("boxes brought to whole pixels first", now.rounded, (on) => { now.rounded = on; pasteAll(); draw(); })),
      el("div", { class: "panels" },
        el("div", {}, el("p", { class: "heading" }, `${cells} × ${cells} probabilities`), grid.frame),
        el("div", {}, el("p", { class: "heading" }, "pasted, enlarged"), lens.frame)), note,
      known ? plot.frame : "", status]));

  function choose(i) {
    now.chosen = i;
    radios[i].querySelector("input").checked = true;
    draw();
  }

  /** Choose the smallest box that has this place in it. */
  function pick(x, y) {
    const here = range(boxes.length).filter((i) =>
      x >= boxes[i][0] && y >= boxes[i][1] && x < boxes[i][2] && y < boxes[i][3]);
    here.sort((i, j) => area(boxes[i]) - area(boxes[j]));
    if (here.length) choose(here[0]);
  }

  /** The threshold of the largest IoU, of equal ones the lowest. */
  const bestOf = (i) => GRID[curves[i].indexOf(Math.max(...curves[i]))];

  function follow(event) {
    const [u] = plot.share(event);
    put(cut, clamp(u, GRID[0], GRID.at(-1)));
  }

  function draw() {
    const { chosen, threshold } = now, found = counts[chosen](threshold), truth = truthOf(chosen) !== null;
    offer([[best, truth && bestOf(chosen) !== threshold]]);
    tell(found, truth);
    paint();
    paintGrid();
    paintCurve();
    publish({ ...now, ...found, cells: masks[chosen].filter((value) => value >= threshold).length,
      best: truth ? bestOf(chosen) : null, curve: truth ? curves[chosen] : null });
  }

  function tell({ pixels, common, objects, iou }, truth) {
    const line = (colour, name, value) =>
      el("tr", {}, el("th", { scope: "row" }, colour ? key(colour) : "", name), el("td", {}, value));
    const [w, h] = [0, 1].map((axis) => fixed((boxes[now.chosen][axis + 2] - boxes[now.chosen][axis]) / cells, 1));
    numbers.body.replaceChildren(line("prediction", "in the mask", grouped(pixels)), ...(truth
      ? [line("truth", "in the true mask", grouped(objects)), line(null, "in both", grouped(common))] : []));
    fit.replaceChildren(...(truth ? [el("span", { class: "big" }, fixed(iou, 3)),
      ` IoU with the true mask = ${grouped(common)} / ${grouped(pixels + objects - common)}`]
      : [el("span", { class: "big" }, grouped(pixels)), known ? " pixels; no true mask overlaps it" : " pixels"]));
    note.textContent = `White is 1, black is 0. Each cell covers ${w} × ${h} pixels.`;
    const text = `${names[now.chosen]} at a threshold of ${fixed(now.threshold)}: ${grouped(pixels)} pixels`
      + `${truth ? `, IoU ${fixed(iou, 3)}` : ""}.`;
    status.textContent = text;
    set(grid.svg, { "aria-label": `${names[now.chosen]}: ${cells} by ${cells} probabilities` });
    set(lens.svg, { "aria-label": `${names[now.chosen]}: the pasted mask, enlarged` });
    if (truth) set(plot.svg, { "aria-label": `IoU against the threshold; at ${fixed(now.threshold)} it is `
      + `${fixed(iou, 3)}, the best is at ${fixed(bestOf(now.chosen))}` });
  }

  /** A path in pixels of the picture, on the screen. */
  const path = (on, d, kind, [x, y] = [0, 0]) =>
    el("path", { d, class: kind, transform: `scale(${on.scale}) translate(${x} ${y})` });
  const cased = (...all) => [path(...all.with(2, `${all[2]} casing`)), path(...all)];

  /** The mask, its box, and the outline of the true one. */
  function scene(on, mask) {
    const { x, y } = pasted[now.chosen], truth = state.truth[now.chosen];
    return [path(on, mask.fill, "inside", [x, y]),
      ...(truth !== null && now.outline ? cased(on, outlines[truth].edge, "edge truth") : []),
      ...cased(on, mask.edge, "edge", [x, y]),
      drawBox(on, boxes[now.chosen], "prediction", { width: 1.5, dash: "6 4" })];
  }

  /** The picture, and in the lens a square of it around the box. */
  function paint() {
    const box = boxes[now.chosen], [u, v] = middle(box), { width, height, values } = pasted[now.chosen];
    const mask = shape(values.map((value) => value >= now.threshold), width, height);
    layer.replaceChildren(...boxes.filter((_, i) => i !== now.chosen)
      .map((other) => drawBox(view, other, "prediction", { width: 1, faint: true })),
      ...scene(view, mask), tag(view, box, "prediction", names[now.chosen]));
    const side = 1.2 * Math.max(box[2] - box[0], box[3] - box[1], 4), scale = lens.scale / side;
    const whole = { href: state.picture.src, preserveAspectRatio: "none", width: W * scale, height: H * scale };
    large.replaceChildren(el("g", { transform: `translate(${(side / 2 - u) * scale} ${(side / 2 - v) * scale})` },
      el("image", whole), ...scene({ scale }, mask)));
  }

  function paintGrid() {
    const mask = masks[now.chosen], on = mask.map((value) => value >= now.threshold);
    const box = (n) => [n % cells, Math.floor(n / cells), (n % cells) + 1, Math.floor(n / cells) + 1];
    small.replaceChildren(
      ...mask.map((value, n) => {
        const tone = Math.round(255 * value);
        return el("rect", { ...place(grid, box(n)), class: "cell", style: `fill:rgb(${tone},${tone},${tone})` });
      }), ...cased(grid, shape(on, cells, cells).edge, "edge"));
  }

  /** The IoU at every threshold, its best, and the point of now. */
  function paintCurve() {
    const curve = curves[now.chosen], truth = truthOf(now.chosen) !== null;
    const { iou } = counts[now.chosen](now.threshold);
    const [x, y] = plot.spot(now.threshold, iou ?? 0), [, y0] = plot.spot(0, 0);
    drawing.replaceChildren(
      ...axes(plot, { name: "threshold", ticks: TICKS }, { name: "IoU", ticks: TICKS }),
      ...(truth ? [el("path", { class: "curve", d: plot.path(curve.map((value, n) => [GRID[n], value])) }),
      el("path", { class: "here", d: `M${x} ${y0}V${y}` }), el("circle", { class: "dot", cx: x, cy: y, r: 6 })] : []));
  }

  draw();
}
