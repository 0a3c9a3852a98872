// A picture predicted by overlapping tiles: where they lie, and where their label map differs from that of the whole.
import {
  announcer, arrowKeys, axes, caption, chart, check, clamp, easel, el, fixed, group, grouped, layout, picture, place,
  put, range, row, set, slider, table,
} from "./common.js";

/** The labels that a text stands for: a letter for each run, A for 0, and its length where that is not 1. */
export function unroll(text) {
  const runs = Array.from(text.matchAll(/([A-Z])(\d*)/g), ([, letter, length]) => [letter, Number(length || 1)]);
  const labels = new Uint8Array(runs.reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const [letter, length] of runs) labels.fill(letter.charCodeAt(0) - 65, at, at += length);
  return labels;
}

/** Where tiles begin and end along one dimension: at multiples of the stride; the last one ends with the picture. */
export function spans(size, tile, overlap, stride) {
  const step = Math.floor((tile - overlap) / stride) * stride;
  const last = Math.ceil(Math.max(size - tile, 0) / stride) * stride;
  const starts = [...range(Math.ceil(last / step)).map((n) => n * step), last];
  return starts.map((start) => [start, Math.min(start + tile, size)]);
}

/** Tell of each pixel along one dimension whether it is nearer than `reach` to where a tile begins or ends inside. */
export function near(parts, size, reach) {
  const edges = parts.flat().filter((at) => at > 0 && at < size);
  return range(size).map((i) => edges.some((at) => Math.abs(i + 0.5 - at) < reach));
}

/** How many pixels the tiles have together, how many differ, and how many of all and of those are near an edge. */
export function compare(differs, rows, columns, reach) {
  const length = (parts) => parts.reduce((sum, [from, to]) => sum + to - from, 0);
  const height = rows.at(-1)[1], width = columns.at(-1)[1];
  const down = near(rows, height, reach), along = near(columns, width, reach);
  const counts = { tiles: rows.length * columns.length, computed: length(rows) * length(columns), differ: 0, near: 0,
    differNear: 0 };
  differs.forEach((one, i) => {
    const close = down[Math.floor(i / width)] || along[i % width];
    counts.differ += one;
    counts.near += close;
    counts.differNear += one && close;
  });
  return counts;
}

/** Round numbers from 0 to `high`, three to six of them. */
export function rounds(high) {
  const unit = 10 ** Math.floor(Math.log10(high / 3));
  const step = [5, 2, 1].map((d) => d * unit).find((s) => high / s >= 2.9);
  return range(Math.floor(high / step + 1e-9) + 1).map((i) => i * step);
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const REACH = 8; // pixels
const short = (value) => String(Number(value.toPrecision(3)));

export function mount(root, state, publish) {
  const { names, classes, stride } = state, { width: W, height: H } = state.picture, all = W * H;
  const whole = unroll(state.whole), maps = state.maps.map(prepare);
  const sizes = [...new Set(maps.map(({ tile }) => tile))];
  const some = range(all).filter((i) => maps[state.start].differs[i]);
  const first = some.length ? some[some.length >> 1] : (H >> 1) * W + (W >> 1);
  const now = { chosen: state.start, at: [first % W, Math.floor(first / W)], mark: true, edges: true, shown: "tiles" };

  const cut = panel("The tiles, denser blue where they overlap", state.picture);
  const joined = panel("Put together", { width: W, height: H }), pen = easel(W, H);
  joined.view.frame.prepend(pen.canvas);
  const plot = chart(400, 250, () => paintCurves()), [drawing] = plot.layers(1);
  set(plot.svg, { role: "img", onpointerdown: (event) => follow(event),
    onpointermove: (event) => (event.buttons ? follow(event) : null) });

  const status = announcer(), total = el("p", { class: "total" }), numbers = table("With these tiles");
  const size = choice("side of a tile", sizes, (tile) => {
    const { overlap } = maps[now.chosen];
    const away = maps.map((one) => (one.tile === tile ? Math.abs(one.overlap - overlap) : Infinity));
    go(away.indexOf(Math.min(...away)));
  });
  const shared = el("div"); // a slider over the overlaps that there are with the size
  const radio = (text, name) => check(text, name === now.shown, () => { now.shown = name; draw(); }, "shown");
  const marking = check("mark the pixels that differ", now.mark, (on) => { now.mark = on; draw(); });

  root.append(
    caption(state.question, "Move both sliders. Point at a picture, tap it, or Tab to it and use the arrow keys, to "
      + "see which tiles have a pixel."),
    group("Pixels", el("div", { class: "knobs" }, size.node, shared)),
    el("div", { class: "maps" }, cut.node, joined.node), status,
    layout([total, group("Second picture", row(radio("put together from tiles", "tiles"),
      radio("the whole at once", "whole")), row(marking,
      check("edges of the tiles", now.edges, (on) => { now.edges = on; draw(); }))), numbers],
    [el("div", {}, el("p", { class: "heading" }, "Pixels that differ; a line for each size of a tile"), plot.frame)]));

  /** What is known of a pair of size and overlap from the start. */
  function prepare({ tile, overlap, text }) {
    const more = unroll(text), labels = whole.map((label, i) => (label + more[i]) % names.length);
    const rows = spans(H, tile, overlap, stride), columns = spans(W, tile, overlap, stride);
    const differs = more.map((one) => one > 0);
    return { tile, overlap, labels, differs, rows, columns, ...compare(differs, rows, columns, REACH) };
  }

  /** A picture under a heading, in which a pixel can be chosen. */
  function panel(title, one) {
    const view = picture(one, () => paint()), [layer] = view.layers(1), heading = el("p", { class: "heading" }, title);
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "picture" }));
    const point = (event) => look(...view.at(event));
    set(view.svg, { "aria-label": title });
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => look(now.at[0] + dx, now.at[1] + dy));
    return { view, layer, hand, heading, node: el("div", {}, heading, view.frame) };
  }

  /** A slider over numbers that need not be at equal distances. */
  function choice(name, values, change) {
    const node = slider(name, { min: 0, max: values.length - 1, step: 1, value: 0 }, (i) => change(values[i]));
    const input = node.querySelector("input"), output = node.querySelector("output");
    input.disabled = values.length < 2;
    return { node, show(value) {
      input.value = values.indexOf(value);
      output.textContent = value;
      set(input, { "aria-valuetext": `${value} pixels` });
    } };
  }

  function look(x, y) {
    now.at = [clamp(Math.floor(x), 0, W - 1), clamp(Math.floor(y), 0, H - 1)];
    draw();
  }

  function go(i) {
    const before = maps[now.chosen].tile;
    now.chosen = i;
    if (maps[i].tile !== before) offerOverlaps();
    draw();
  }

  let common;
  function offerOverlaps() {
    const { tile } = maps[now.chosen], here = maps.filter((one) => one.tile === tile);
    common = choice("overlap", here.map(({ overlap }) => overlap), (overlap) =>
      go(maps.findIndex((one) => one.tile === tile && one.overlap === overlap)));
    shared.replaceChildren(common.node);
  }

  const holders = (parts, at) => range(parts.length).filter((n) => at >= parts[n][0] && at < parts[n][1]);

  /** The boxes of the tiles that have the chosen pixel. */
  function having() {
    const { rows, columns } = maps[now.chosen], [x, y] = now.at;
    return holders(rows, y).flatMap((i) => holders(columns, x).map((j) =>
      [columns[j][0], rows[i][0], columns[j][1], rows[i][1]]));
  }

  function draw() {
    const one = maps[now.chosen], { tile, overlap, tiles, computed, differ, differNear } = one;
    const i = now.at[1] * W + now.at[0];
    size.show(tile);
    common.show(overlap);
    marking.querySelector("input").disabled = now.shown === "whole";
    tell(one, i);
    paint();
    paintCurves();
    publish({ ...now, tile, overlap, tiles, computed, differ, near: one.near, differNear, having: having(),
      starts: [one.rows, one.columns].map((parts) => parts.map(([start]) => start)),
      pixel: { tiles: one.labels[i], whole: whole[i] } });
  }

  const percent = (part) => `${fixed((100 * part) / all, 1)}\u00a0%`;
  const swatch = (c) => el("span", { class: "key", style: `--fill:${classes[c]}`, "aria-hidden": "true" });

  function tell(one, i) {
    const { rows, columns, tiles, computed, differ, differNear } = one, found = one.labels[i], [x, y] = now.at;
    total.replaceChildren(el("span", { class: "big" }, grouped(differ)),
      ` of ${grouped(all)} pixels differ from the prediction of the whole (${percent(differ)})`);
    const line = (name, ...cells) =>
      el("tr", {}, el("th", { scope: "row" }, name), ...cells.map((text) => el("td", {}, text)));
    numbers.body.replaceChildren(
      line("tiles", `${rows.length} × ${columns.length} = ${tiles}`),
      line("pixels computed", `${fixed(computed / all)} × the picture`),
      line(`differ within ${REACH} pixels of a tile’s edge`, `${grouped(differNear)} of ${grouped(differ)}`),
      line("share of all pixels so near", percent(one.near)));
    const many = having().length, say = (c) => [swatch(c), el("b", {}, names[c])];
    status.replaceChildren(`Row ${y}, column ${x} lies in ${many} tile${many === 1 ? "" : "s"}: tiles say `,
      ...say(found), ", the whole says ", ...say(whole[i]), found === whole[i] ? "." : ": a difference.");
    for (const { hand, heading } of [cut, joined])
      set(hand, { "aria-label": `${heading.textContent}. ${status.textContent} Arrow keys choose another pixel.` });
    joined.heading.textContent = now.shown === "whole" ? "The whole picture at once"
      : now.mark ? "Put together; vermilion where it differs" : "Put together";
    set(plot.svg, { "aria-label": `Share of pixels that differ against the overlap, for tiles of ${sizes.join(", ")}; `
      + `with ${one.tile} and ${one.overlap} it is ${percent(differ)}` });
  }

  /** Lines along the edges that tiles have inside the picture. */
  function edges(view, { rows, columns }) {
    const inside = (parts, end) => [...new Set(parts.flat())].filter((at) => at > 0 && at < end);
    const { width, height } = place(view, [0, 0, W, H]), k = view.scale;
    return [...inside(rows, H).map((y) => `M0 ${y * k}H${width}`),
      ...inside(columns, W).map((x) => `M${x * k} 0V${height}`)].join("");
  }

  function paint() {
    const one = maps[now.chosen], { view } = cut;
    const boxes = one.rows.flatMap(([y, y2]) => one.columns.map(([x, x2]) => [x, y, x2, y2]));
    const d = edges(view, one), frames = having().map((box) => place(view, box));
    cut.layer.replaceChildren(
      ...boxes.map((box) => el("rect", { ...place(view, box), class: "tile" })),
      ...["casing", "edge"].map((kind) => el("path", { class: kind, d })),
      ...["holds casing", "holds"].flatMap((kind) => frames.map((frame) => el("rect", { class: kind, ...frame }))),
      ...spot(view));
    joined.layer.replaceChildren(
      ...(now.edges ? [el("path", { class: "thin", d: edges(joined.view, one) })] : []), ...spot(joined.view));

    const pixels = pen.createImageData(W, H), colours = classes.map(rgb), vermilion = rgb(state.colours.prediction);
    const marked = now.mark && now.shown === "tiles", dim = colours.map(faded);
    (now.shown === "whole" ? whole : one.labels).forEach((label, i) => {
      const colour = !marked ? colours[label] : one.differs[i] ? vermilion : dim[label];
      pixels.data.set([...colour, 255], 4 * i);
    });
    pen.putImageData(pixels, 0, 0);
  }

  /** A ring around the chosen pixel. */
  function spot(view) {
    const [cx, cy] = now.at.map((at) => (at + 0.5) * view.scale);
    return ["ring casing", "ring"].map((kind) => el("circle", { class: kind, cx, cy, r: 7 }));
  }

  // --- the chart: how many pixels differ, against the overlap

  const far = Math.max(1, ...maps.map(({ overlap }) => overlap));
  const high = 1.08 * Math.max(all / 1e4, ...maps.map(({ differ }) => differ));
  const at = ({ overlap, differ }) => [overlap / far, differ / high];

  function follow(event) {
    const [u, v] = plot.share(event), away = maps.map(at).map(([a, b]) => (2 * (a - u)) ** 2 + (b - v) ** 2);
    go(away.indexOf(Math.min(...away)));
  }

  function paintCurves() {
    const { tile } = maps[now.chosen], [cx, cy] = plot.spot(...at(maps[now.chosen]));
    const ticks = rounds((100 * high) / all).map((value) => [(value * all) / 100 / high, short(value)]);
    const dot = (one) => {
      const [x, y] = plot.spot(...at(one));
      return el("circle", { class: one.tile === tile ? "stop mine" : "stop", cx: x, cy: y, r: 3 });
    };
    const lines = sizes.map((one) => {
      const points = maps.filter((map) => map.tile === one).map(at), [x, y] = plot.spot(...points[0]);
      return { d: plot.path(points), mine: one === tile ? "mine" : "", x: x + 8, y: y - 6, one };
    }).sort((a, b) => b.y - a.y);
    lines.forEach((line, n) => { line.y = Math.min(line.y, n ? lines[n - 1].y - 13 : Infinity); }); // apart
    lines.sort((a, b) => a.mine.length - b.mine.length);
    drawing.replaceChildren(
      ...axes(plot, { name: "overlap, pixels", ticks: rounds(far).map((value) => [value / far, short(value)]) },
        { name: "differ, %", ticks }),
      ...lines.map(({ d, mine }) => el("path", { class: `curve ${mine}`, d })), ...maps.map(dot),
      el("circle", { class: "dot", cx, cy, r: 6 }),
      ...lines.map(({ x, y, mine, one }) => el("text", { class: `name ${mine}`, x, y }, one)));
  }

  offerOverlaps();
  draw();
}

/** A colour so dark and grey that vermilion stands out beside it. */
function faded(colour) {
  const grey = 0.3 * colour[0] + 0.59 * colour[1] + 0.11 * colour[2];
  return colour.map((part) => Math.round(0.3 * (0.5 * part + 0.5 * grey) + 18));
}
