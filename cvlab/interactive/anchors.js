// A feature map over a picture: the anchors of the cell under the hand, and how well they fit the objects.
import {
  announcer, arrowKeys, bar, caption, check, clamp, drawBox, el, fixed, group, grouped, iou, key, layout, picture, place,
  range, row, set, slider, table, tag,
} from "./common.js";

/** Width and height in pixels of each anchor of a cell: area s² W H and width / height = r, for its scale and ratio. */
export function shapes({ scales, ratios, pairing }, W, H) {
  const all = scales.flatMap((s) => ratios.map((r) => [s, r]));
  const few = [...scales.map((s) => [s, ratios[0]]), ...ratios.slice(1).map((r) => [scales[0], r])];
  return (pairing === "all" ? all : few).map(([s, r]) => [s * Math.sqrt(W * H * r), s * Math.sqrt((W * H) / r)]);
}

/** The anchors of one cell, all centred on it. */
export function anchorsAt(i, j, { rows, columns }, sizes, W, H) {
  const x = ((j + 0.5) * W) / columns, y = ((i + 0.5) * H) / rows;
  return sizes.map(([w, h]) => [x - w / 2, y - h / 2, x + w / 2, y + h / 2]);
}

/** The largest IoU of some anchors with one object, and which anchor has it. */
function bestFit(anchors, truth) {
  const values = anchors.map((anchor) => iou(anchor, truth)), best = Math.max(...values);
  return { iou: best, index: values.indexOf(best) };
}

const ratioName = (r) => (r >= 1 ? `${Number(r.toFixed(2))} : 1` : `1 : ${Number((1 / r).toFixed(2))}`);

export function mount(root, state, publish) {
  const { width: W, height: H } = state.picture, { truths, names, choices, good } = state;
  const now = { rows: state.rows, columns: state.columns, pairing: state.pairing, shade: state.shade, cell: state.cell,
    scales: [...state.scales], ratios: [...state.ratios] };

  const view = picture(state.picture, draw);
  const [cells, lines, boxes] = view.layers(3);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "feature map" }));
  const point = (event) => {
    const [x, y] = view.at(event);
    choose(Math.floor((y / H) * now.rows), Math.floor((x / W) * now.columns));
  };
  set(hand, { onpointermove: point, onpointerdown: point });
  arrowKeys(hand, (dx, dy) => choose(now.cell[0] + dy, now.cell[1] + dx), 3);

  const change = (name) => (value) => { now[name] = value; choose(...now.cell); };
  const mapSize = (name) => slider(name, { min: 1, max: 24, step: 1, value: now[name] }, change(name));
  const scale = (value, i) => slider(`scale ${i + 1}`, { min: 0.05, max: 1, step: 0.01, value, digits: 2 },
    (number) => { now.scales[i] = number; draw(); });
  const ratio = (value) => check(ratioName(value), now.ratios.includes(value), (on) => {
    const chosen = choices.filter((other) => (other === value ? on : now.ratios.includes(other)));
    if (chosen.length) now.ratios = chosen; // there is always at least one
    draw();
  });
  const ratioBoxes = choices.map(ratio);
  const pairingBox = check("pair every scale with every ratio", now.pairing === "all",
    (on) => change("pairing")(on ? "all" : "first"));
  const shading = check("show every cell’s best IoU", now.shade, change("shade"));
  const count = el("p", { class: "count" }), status = announcer(true);
  const fits = table("Best IoU with each object", ["object", "this cell", "any cell"]);

  root.append(
    caption(state.question, "Point at a cell, tap it, or Tab to the picture and use the arrow keys."),
    layout([view.frame, count, truths.length ? shading : null], [
      group("Feature map", mapSize("rows"), mapSize("columns")),
      group("Anchors: scale, as a share of the picture’s side", ...now.scales.map(scale)),
      group("Anchors: ratio, width : height", row(...ratioBoxes), pairingBox),
      truths.length ? fits : "", status]));

  function choose(i, j) {
    now.cell = [clamp(i, 0, now.rows - 1), clamp(j, 0, now.columns - 1)];
    draw();
  }

  function draw() {
    const sizes = shapes(now, W, H), anchors = anchorsAt(...now.cell, now, sizes, W, H);
    const every = range(now.rows).flatMap((i) => range(now.columns).map((j) => {
      const there = anchorsAt(i, j, now, sizes, W, H);
      return truths.map((truth) => bestFit(there, truth).iou);
    })); // for each cell, row by row, its best IoU with each object
    const here = truths.map((truth) => bestFit(anchors, truth));
    const anywhere = truths.map((_, t) => Math.max(...every.map((fit) => fit[t])));
    const best = here.reduce((top, fit, truth) => (fit.iou > top.iou ? { ...fit, truth } : top),
      { iou: 0, index: -1, truth: -1 });

    cells.replaceChildren(...(now.shade ? every.map((fit, n) => shadedCell(n, Math.max(...fit))) : []),
      el("rect", { ...place(view, bounds(...now.cell)), class: "cell" }));
    lines.replaceChildren(el("path", { class: "casing", d: mesh() }), el("path", { class: "mesh", d: mesh() }));
    boxes.replaceChildren(
      ...truths.map((truth) => drawBox(view, truth, "truth", { width: 2.5 })),
      ...anchors.map((anchor, i) => drawBox(view, anchor, "anchor",
        i === best.index ? { width: 3.5, fill: 0.2 } : { width: 1.8 })),
      ...(now.shade ? every.map((fit, n) => cellNumber(n, Math.max(...fit))) : []),
      ...truths.map((truth, t) => tag(view, truth, "truth", names[t])), centre());
    for (const [i, box] of ratioBoxes.entries()) { // the last ratio chosen cannot be taken away
      const input = box.querySelector("input");
      input.checked = now.ratios.includes(choices[i]);
      input.disabled = input.checked && now.ratios.length === 1;
    }
    tell(sizes.length, here, anywhere, best);
    publish({ ...now, anchors, per_cell: sizes.length, total: now.rows * now.columns * sizes.length, best,
      here: here.map((fit) => fit.iou), anywhere });
  }

  function tell(perCell, here, anywhere, best) {
    const { rows, columns, cell: [i, j], scales: { length: n }, ratios: { length: m } } = now;
    const sum = now.pairing === "all" ? `${n} scales × ${m} ratios` : `${n} scales + ${m} ratios − 1`;
    count.replaceChildren(el("span", { class: "big" }, grouped(rows * columns * perCell)),
      ` anchors = ${rows} × ${columns} cells × ${perCell} (${sum})`);
    fits.body.replaceChildren(...truths.map((_, t) => el("tr", {}, el("th", { scope: "row" }, key("truth"), names[t]),
      ...[here[t].iou, anywhere[t]].map((value) => el("td", { class: value >= good ? "reached" : null },
        `${value >= good ? "✓ " : ""}${fixed(value)}`, bar(0, value, "anchor", good))))));
    const where = `row ${i}, column ${j}`;
    hand.setAttribute("aria-label",
      `Feature map of ${rows} rows and ${columns} columns, cell at ${where}. Arrow keys choose another.`);
    const fit = best.truth < 0 ? "" : `, best IoU ${fixed(best.iou)} with ${names[best.truth]}`;
    status.textContent = `${where}${fit}.`;
  }

  function bounds(i, j) {
    const w = W / now.columns, h = H / now.rows;
    return [j * w, i * h, (j + 1) * w, (i + 1) * h];
  }

  const cellPlace = (n) => place(view, bounds(Math.floor(n / now.columns), n % now.columns));

  /** A cell, the bluer the better its anchors fit. */
  const shadedCell = (n, value) => el("rect", { ...cellPlace(n), class: "fit", "fill-opacity": value });

  /** The number itself, where there is room for it. */
  function cellNumber(n, value) {
    const { x, y, width, height } = cellPlace(n);
    const text = width > 32 && height > 16 ? fixed(value) : "";
    return el("text", { class: "number", x: x + width / 2, y: y + height - 4 }, text);
  }

  function mesh() {
    const { width, height } = place(view, [0, 0, W, H]);
    const down = range(now.columns + 1).map((j) => `M${(j * width) / now.columns} 0V${height}`);
    return [...down, ...range(now.rows + 1).map((i) => `M0 ${(i * height) / now.rows}H${width}`)].join("");
  }

  function centre() {
    const { x, y, width, height } = place(view, bounds(...now.cell));
    return el("circle", { cx: x + width / 2, cy: y + height / 2, r: 3.5, class: "dot" });
  }

  choose(...now.cell);
}
