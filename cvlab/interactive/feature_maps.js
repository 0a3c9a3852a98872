// The feature maps of a detector over a picture: the cell under the hand, what it sees, its anchors, and which of all
// anchors learn an object.
import {
  announcer, arrowKeys, bar, caption, check, clamp, drawBox, el, fixed, group, grouped, intersect, iou, key, layout,
  picture, place, range, set, table, tag, unitSlider,
} from "./common.js";

/** All anchors of a map, row by row, cell by cell: each scale with the first ratio, then the other ratios. */
export function anchorsOf({ rows, columns, scales, ratios }, W, H) {
  const pairs = [...scales.map((s) => [s, ratios[0]]), ...ratios.slice(1).map((r) => [scales[0], r])];
  const halves = pairs.map(([s, r]) => [(s * Math.sqrt(W * H * r)) / 2, (s * Math.sqrt((W * H) / r)) / 2]);
  return range(rows * columns).flatMap((n) => {
    const x = (((n % columns) + 0.5) * W) / columns, y = ((Math.floor(n / columns) + 0.5) * H) / rows;
    return halves.map(([w, h]) => [x - w, y - h, x + w, y + h]);
  });
}

/**
 * What each anchor learns, from its IoU with each object (anchors in rows): the object it overlaps most, if that
 * reaches the threshold, or nothing, -1. Then the largest entry is taken, its anchor goes to its object, and so on with
 * the anchors and objects that are left, until every object has an anchor of its `own`.
 */
export function assign(fits, threshold) {
  const gets = fits.map((fit) => {
    const best = Math.max(...fit); // -Infinity without objects
    return { truth: best >= threshold ? fit.indexOf(best) : -1, own: false };
  });
  const left = new Set(range(fits[0]?.length ?? 0));
  while (left.size && gets.some(({ own }) => !own)) {
    let best = { iou: -1 };
    for (const [anchor, fit] of fits.entries()) for (const truth of left)
      if (!gets[anchor].own && fit[truth] > best.iou) best = { iou: fit[truth], anchor, truth };
    gets[best.anchor] = { truth: best.truth, own: true };
    left.delete(best.truth);
  }
  return gets;
}

/** What a cell sees of the picture: a square of side `field`, some of it outside. */
export function fieldOf({ rows, columns, field }, [i, j], start, W, H) {
  const x = start === null ? ((j + 0.5) * W) / columns : start + (j * W) / columns;
  const y = start === null ? ((i + 0.5) * H) / rows : start + (i * H) / rows;
  return [x - field / 2, y - field / 2, x + field / 2, y + field / 2];
}

export function mount(root, state, publish) {
  const { maps, boxes: truths } = state, { width: W, height: H } = state.picture;
  const names = state.labels.map((label) => state.names[label]);
  const anchors = maps.map((map) => anchorsOf(map, W, H));
  const perCell = maps.map(({ scales, ratios }) => scales.length + ratios.length - 1);
  const fits = anchors.map((all) => all.map((anchor) => truths.map((truth) => iou(anchor, truth))));
  const reach = fits.map((map) => truths.map((_, t) => Math.max(...map.map((fit) => fit[t])))); // [map][object]
  const now = { level: state.level, cell: [0, 0], threshold: state.threshold, field: true };

  const view = picture(state.picture, () => paint());
  const [below, above] = view.layers(2);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "feature map" }));
  const point = (event) => choose(...view.at(event));
  set(hand, { onpointermove: point, onpointerdown: point });
  arrowKeys(hand, (dx, dy) => go(now.cell[0] + dy, now.cell[1] + dx), 3);

  const size = ({ rows, columns }) => `${rows} × ${columns}`;
  const title = (map) => `${size(map)} cells of ${grouped(W / map.columns)} px`
    + (map.field === null ? "" : `, each sees ${grouped(map.field)} px`);
  const radios = maps.map((map, level) => check(title(map), level === now.level, () => {
    const [i, j] = now.cell, { rows, columns } = maps[now.level]; // the new cell has the old one's middle in it
    now.level = level;
    choose(((j + 0.5) * W) / columns, ((i + 0.5) * H) / rows);
  }, "map"));
  const seeing = check("darken what the cell does not see", now.field, (on) => { now.field = on; draw(); });
  const count = el("p", { class: "count" }), status = announcer(true);
  const here = table("Anchors of this cell", ["w × h, px", "IoU", "learns"]);
  const every = table("Best IoU that each map’s anchors reach",
    ["object", ...maps.map(size), ...(maps.length > 1 ? ["all"] : [])]);

  root.append(
    caption(state.question,
      "Choose a map, then point at a cell, tap it, or Tab to the picture and use the arrow keys."),
    layout([view.frame, count], [
      el("div", { class: "maps" }, group("Feature map", ...radios), maps[0].field === null ? null : seeing),
      group("An anchor is positive", unitSlider("from an IoU of", now.threshold,
        (value) => { now.threshold = value; draw(); })),
      here, status]));
  const region = maps.length > 3 ? { tabindex: 0, role: "region", "aria-label": "Best IoU of each map" } : {};
  root.lastChild.append(el("div", { class: "every", ...region }, every)); // many maps are wider than a narrow page

  function choose(x, y) {
    const { rows, columns } = maps[now.level];
    go(Math.floor((y / H) * rows), Math.floor((x / W) * columns));
  }

  function go(i, j) {
    const { rows, columns } = maps[now.level];
    now.cell = [clamp(i, 0, rows - 1), clamp(j, 0, columns - 1)];
    draw();
  }

  /** What holds now: of each map what its anchors learn, and of the chosen cell its anchors' place in the list. */
  function present() {
    const all = assign(fits.flat(), now.threshold), [i, j] = now.cell;
    const gets = anchors.map((map, level) => {
      const before = anchors.slice(0, level).reduce((sum, { length }) => sum + length, 0);
      return all.slice(before, before + map.length);
    });
    const first = (i * maps[now.level].columns + j) * perCell[now.level];
    return { gets, own: range(perCell[now.level]).map((a) => first + a) };
  }

  function draw() {
    const { gets, own } = present(), { level } = now;
    const positives = gets.map((map) => map.filter(({ truth }) => truth >= 0).length);
    const reached = [...reach, truths.map((_, t) => Math.max(...reach.map((map) => map[t])))]
      .map((map) => map.filter((value) => value >= now.threshold).length);
    const mine = own.map((a) => { // with its IoU with what it learns, or else with what it is nearest to
      const fit = fits[level][a], best = Math.max(0, ...fit), nearest = fit.indexOf(best), { truth } = gets[level][a];
      return { box: anchors[level][a], ...gets[level][a], nearest, iou: truth < 0 ? best : fit[truth] };
    });
    tell(positives, reached, mine);
    paint();
    publish({ ...now, anchors: mine, positives, reached, reach,
      sees: maps[level].field === null ? null : fieldOf(maps[level], now.cell, state.field_start, W, H) });
  }

  function tell(positives, reached, mine) {
    const { level, cell: [i, j], threshold } = now, map = maps[level];
    count.replaceChildren(el("span", { class: "big" }, grouped(positives[level])),
      ` of ${grouped(anchors[level].length)} anchors are positive (`, el("i", { class: "spot", "aria-hidden": "true" }),
      `) on this map, ${grouped(positives.reduce((a, b) => a + b, 0))} on all maps`);
    here.body.replaceChildren(...mine.map(({ box, truth, own, iou: value, nearest }) => el("tr",
      { class: truth < 0 ? null : "positive" },
      el("th", { scope: "row" }, key("anchor"), `${fixed(box[2] - box[0], 0)} × ${fixed(box[3] - box[1], 0)}`),
      el("td", {}, fixed(value), bar(0, value, "anchor", threshold)),
      el("td", {}, truth < 0 ? "background" : names[truth], remark(truth, own, value, nearest)))));
    const cell = (value, l) => {
      const good = value >= threshold, kind = [good && "reached", l === level && "now"].filter(Boolean).join(" ");
      return el("td", { class: kind || null }, `${good ? "✓ " : ""}${fixed(value)}`);
    };
    const best = (t) => Math.max(...reach.map((one) => one[t])), several = maps.length > 1;
    const line = (name, values) => el("tr", { class: "sum" }, el("th", { scope: "row" }, name),
      ...values.map((value, l) => el("td", { class: l === level ? "now" : null }, value)));
    every.body.replaceChildren(
      ...truths.map((_, t) => el("tr", {}, el("th", { scope: "row" }, key("truth"), names[t]),
        ...reach.map((one, l) => cell(one[t], l)), several ? cell(best(t), null) : null)),
      line("reached", reached.slice(0, several ? undefined : 1).map((n) => `${n} of ${truths.length}`)),
      line("positive", [...positives, ...(several ? [positives.reduce((a, b) => a + b, 0)] : [])].map(grouped)));
    const where = `row ${i}, column ${j}`;
    const learning = mine.filter(({ truth }) => truth >= 0).map(({ truth }) => names[truth]);
    set(hand, { "aria-label": `Feature map of ${map.rows} rows and ${map.columns} columns, cell at ${where}. `
      + "Arrow keys choose another." });
    status.textContent = `${size(map)}, ${where}: ${learning.length} of ${mine.length} anchors are positive`
      + `${learning.length ? `, for ${learning.join(", ")}` : ""}.`;
  }

  /** Why an anchor learns what it does, where that is not plain from its IoU. */
  function remark(truth, own, value, nearest) {
    if (truth < 0 ? value === 0 : !own) return "";
    const best = value >= now.threshold ? "its best anchor" : "its best, though not good";
    return el("small", {}, truth < 0 ? `too far from ${names[nearest]}` : best);
  }

  const cellBox = (n, { rows, columns }) => {
    const w = W / columns, h = H / rows, i = Math.floor(n / columns), j = n % columns;
    return [j * w, i * h, (j + 1) * w, (i + 1) * h];
  };

  /** From below: what is not seen, dark; the mesh, objects, anchors, the cell, and dots where anchors are positive. */
  function paint() {
    const { gets, own } = present(), { level, cell: [i, j] } = now, map = maps[level], k = perCell[level];
    const positive = range(map.rows * map.columns)
      .filter((n) => gets[level].slice(n * k, n * k + k).some(({ truth }) => truth >= 0));
    const order = [...own].sort((a, b) => gets[level][a].truth - gets[level][b].truth);
    below.replaceChildren(...(now.field && map.field !== null ? unseen(map) : []),
      el("path", { class: "casing", d: mesh(map) }), el("path", { class: "mesh", d: mesh(map) }));
    above.replaceChildren(
      ...truths.map((truth) => drawBox(view, truth, "truth", { width: 2.5 })),
      ...order.map((a) => drawBox(view, anchors[level][a], "anchor",
        gets[level][a].truth < 0 ? { width: 1.8, dash: "5 4" } : { width: 3.5, fill: 0.1 })),
      el("rect", { ...place(view, cellBox(i * map.columns + j, map)), class: "cell" }),
      ...positive.map((n) => dot(cellBox(n, map))),
      ...truths.map((truth, t) => tag(view, truth, "truth", names[t])));
  }

  function unseen(map) {
    const field = fieldOf(map, now.cell, state.field_start, W, H), { width, height } = place(view, [0, 0, W, H]);
    const seen = place(view, intersect(field, [0, 0, W, H]));
    const d = `M0 0H${width}V${height}H0ZM${seen.x} ${seen.y}v${seen.height}h${seen.width}v${-seen.height}Z`;
    return [el("path", { class: "unseen", d, "fill-rule": "evenodd" }),
      ...["field casing", "field"].map((kind) => el("rect", { class: kind, ...place(view, field) }))];
  }

  function mesh({ rows, columns }) {
    const { width, height } = place(view, [0, 0, W, H]);
    const down = range(columns + 1).map((j) => `M${(j * width) / columns} 0V${height}`);
    return [...down, ...range(rows + 1).map((i) => `M0 ${(i * height) / rows}H${width}`)].join("");
  }

  function dot(box) {
    const { x, y, width, height } = place(view, box), r = clamp(Math.min(width, height) / 5, 2.5, 5);
    return el("circle", { class: "dot", cx: x + width / 2, cy: y + height / 2, r });
  }

  const [first] = truths;
  choose(...(first ? [(first[0] + first[2]) / 2, (first[1] + first[3]) / 2] : [W / 2, H / 2]));
}
