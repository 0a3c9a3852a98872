// A segmentation network's way back up: at each step the class of every cell, and the probability of one class.
import {
  announcer, arrowKeys, bar, button, caption, check, clamp, decode, easel, el, fixed, group, grouped, layout, offer,
  picture, place, put, range, row, set, slider, table,
} from "./common.js";

const IGNORED = 25; // the letter Z

/** The labels that a text stands for: a letter for each run, A for 0, and its length where that is not 1. */
export function unroll(text) {
  const runs = Array.from(text.matchAll(/([A-Z])(\d*)/g), ([, letter, length]) => [letter, Number(length || 1)]);
  const labels = new Uint8Array(runs.reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const [letter, length] of runs) labels.fill(letter.charCodeAt(0) - 65, at, at += length);
  return labels;
}

/** The cells' labels for each of H x W pixels, which the cells share equally. */
export function enlarge(labels, rows, columns, H, W) {
  const cell = (at, cells, pixels) => Math.floor(((at + 0.5) * cells) / pixels);
  return range(H * W).map((i) => labels[cell(Math.floor(i / W), rows, H) * columns + cell(i % W, columns, W)]);
}

/** The mean IoU over the classes that occur in the truth or in what was found. */
export function meanIou(truth, found, classes) {
  const [both, union] = [0, 1].map(() => new Array(classes).fill(0));
  truth.forEach((label, i) => {
    if (label === IGNORED) return;
    union[label] += 1;
    if (label === found[i]) both[label] += 1; else union[found[i]] += 1;
  });
  const ious = range(classes).filter((c) => union[c] > 0).map((c) => both[c] / union[c]);
  return ious.reduce((sum, iou) => sum + iou, 0) / ious.length;
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const VIRIDIS = ["#440154", "#481f70", "#443983", "#3b528b", "#31688e", "#287c8e", "#21918c", "#20a486", "#35b779",
  "#5ec962", "#90d743", "#c8e020", "#fde725"];

/** The colour of a share from 0, dark violet, to 1, yellow. */
export function heat(share) {
  const at = clamp(share, 0, 1) * (VIRIDIS.length - 1), i = Math.min(Math.floor(at), VIRIDIS.length - 2);
  const [a, b] = [VIRIDIS[i], VIRIDIS[i + 1]].map(rgb);
  return a.map((part, n) => Math.round(part + (b[n] - part) * (at - i)));
}

export async function mount(root, state, publish) {
  const { names, classes, kept } = state, { width: W, height: H, src } = state.picture;
  const truth = state.truth && unroll(state.truth);
  const steps = state.steps.map((step) => ({ ...step, labels: unroll(step.labels) })), last = steps.length - 1;
  for (const step of steps) {
    step.pixels = enlarge(step.labels, step.rows, step.columns, H, W);
    step.miou = truth && meanIou(truth, step.pixels, names.length);
  }
  for (const step of steps)
    step.same = step.pixels.filter((label, i) => label === steps[last].pixels[i]).length / (W * H);
  const now = { step: state.start, label: state.label, at: [0.5, 0.5] };

  const best = panel("Largest score"), warm = panel("");
  best.view.frame.prepend(el("img", { src, alt: "The picture" }), best.pen.canvas);
  warm.view.frame.prepend(warm.pen.canvas);
  const ladder = steps.map(rung), moment = slider("step", { min: 1, max: steps.length, step: 1, value: now.step + 1 },
    (n) => { now.step = n - 1; draw(); });
  const back = button("Back", () => put(moment, now.step)), next = button("Next", () => put(moment, now.step + 2));
  const title = el("p", { class: "title" }), note = el("p", { class: "note" }), status = announcer();
  const swatch = (c) => el("span", { class: "key", style: `--fill:${classes[c]}`, "aria-hidden": "true" });
  const radios = kept.map((c) => check(el("span", {}, swatch(c), names[c]), c === now.label, () => {
    now.label = c;
    draw();
  }, "class"));
  const numbers = table("In this cell", ["class", el("span", { class: "hidden" }, "as a bar"), "probability"]);
  const scale = el("p", { class: "scale" }, "0", el("i", { "aria-hidden": "true",
    style: `background:linear-gradient(90deg,${VIRIDIS})` }), "1");

  root.append(
    caption(state.question, "Go up step by step. Point at a cell, tap it, or Tab to a map and use the arrow keys, for "
      + "its numbers."),
    el("div", { class: "ladder", role: "group", "aria-label": "Steps" }, ...ladder.map(({ node }) => node)),
    el("div", { class: "climb" }, moment, row(back, next)), title, group("Heat map of", row(...radios)),
    el("div", { class: "maps" }, best.node, warm.node, scale), status,
    layout([numbers], [note]));

  const pens = await Promise.all(steps.map(({ src: source }) => decode(source)));
  steps.forEach((step, n) => {
    const { rows, columns } = step, { data } = pens[n].getImageData(0, 0, columns, rows * kept.length);
    const cells = rows * columns;
    step.scores = kept.map((_, k) => range(cells).map((i) => (data[4 * (k * cells + i)] + 0.5) / 256));
  });

  /** A map under a heading, in which a cell can be chosen. */
  function panel(text) {
    const view = picture({ width: W, height: H }, () => paint()), [layer] = view.layers(1), pen = easel(1, 1);
    const heading = el("p", { class: "heading" }, text);
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "map of cells" }));
    const point = (event) => {
      const [x, y] = view.at(event);
      look(x / W, y / H);
    };
    set(view.svg, { "aria-label": "Map" });
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => {
      const { rows, columns } = steps[now.step], [i, j] = cellOf(steps[now.step]);
      look((j + dx + 0.5) / columns, (i + dy + 0.5) / rows);
    }, 4);
    return { view, layer, pen, heading, hand, node: el("div", {}, heading, view.frame) };
  }

  /** A step in small: a button with its map, its size, and how good it is. */
  function rung({ rows, columns, title: text, miou }, n) {
    const pen = easel(columns, rows), node = button("", () => put(moment, n + 1), { class: "rung" });
    pen.canvas.style.aspectRatio = `${W} / ${H}`;
    paintLabels(pen, steps[n]);
    const words = el("span", { class: "hidden" }, `Step ${n + 1}, ${text}: `);
    node.append(words, pen.canvas, el("span", {}, `${rows} × ${columns}`));
    if (truth) node.append(el("span", {}, `IoU ${fixed(miou)}`));
    return { node };
  }

  function look(u, v) {
    now.at = [clamp(u, 0, 1 - 1e-9), clamp(v, 0, 1 - 1e-9)];
    draw();
  }

  function cellOf({ rows, columns }) {
    return [Math.floor(now.at[1] * rows), Math.floor(now.at[0] * columns)];
  }

  /** Look where the last step is surest of the class of the heat map; of several such cells at the middle one. */
  function begin() {
    const { scores, columns, rows } = steps[last], map = scores[kept.indexOf(now.label)], most = Math.max(...map);
    const sure = range(map.length).filter((n) => map[n] === most), n = sure[sure.length >> 1];
    look(((n % columns) + 0.5) / columns, (Math.floor(n / columns) + 0.5) / rows);
  }

  function draw() {
    const step = steps[now.step], [i, j] = cellOf(step), n = i * step.columns + j;
    if (!step.scores) return; // they are being decoded
    const shown = step.scores.map((map) => map[n]);
    tell(step, shown, step.labels[n]);
    paint();
    publish({ ...now, cell: [i, j], winner: step.labels[n], scores: shown, same: steps.map(({ same }) => same),
      miou: steps.map(({ miou }) => miou), rest: Math.max(0, 1 - shown.reduce((a, b) => a + b, 0)) });
  }

  function tell(step, shown, winner) {
    const { rows, columns, title: text, same, miou } = step, [i, j] = cellOf(step);
    offer([[back, now.step > 0], [next, now.step < last]]);
    ladder.forEach(({ node }, n) => set(node, { "aria-pressed": String(n === now.step) }));
    const size = `${grouped(H / rows)} × ${grouped(W / columns)}`;
    title.replaceChildren(el("b", {}, text), `: ${rows} × ${columns} cells of ${size} pixels`);
    set(moment.querySelector("input"), { "aria-valuetext": `${now.step + 1}: ${text}` });
    const agrees = `${fixed(100 * same, 1)} % of the pixels have the class that the last step gives them.`;
    note.textContent = (now.step === last ? "This is the last step." : agrees)
      + (truth ? ` The mean IoU with the truth is ${fixed(miou, 3)}.` : "");
    warm.heading.replaceChildren("Probability of ", swatch(now.label), names[now.label]);
    const line = (mark, name, share, kind) => el("tr", { class: kind }, el("th", { scope: "row" }, mark, name),
      el("td", {}, bar(0, share, "prediction")), el("td", {}, fixed(share)));
    const rest = Math.max(0, 1 - shown.reduce((a, b) => a + b, 0));
    numbers.body.replaceChildren(
      ...kept.map((c, k) => line(swatch(c), names[c], shown[k], c === winner ? "winner" : null)),
      ...(kept.length < names.length ? [line("", "all others", rest, null)] : []));
    status.replaceChildren(`Row ${i}, column ${j} of ${rows} × ${columns}: `, swatch(winner),
      el("b", {}, names[winner]), `; probability of ${names[now.label]} ${fixed(shown[kept.indexOf(now.label)])}.`);
    for (const { hand, heading } of [best, warm])
      set(hand, { "aria-label": `${heading.textContent}. ${status.textContent} Arrow keys choose another cell.` });
  }

  function paintLabels(pen, { rows, columns, labels }) {
    Object.assign(pen.canvas, { width: columns, height: rows });
    const pixels = pen.createImageData(columns, rows), colours = classes.map(rgb);
    labels.forEach((label, i) => pixels.data.set([...colours[label], 255], 4 * i));
    pen.putImageData(pixels, 0, 0);
  }

  function paint() {
    const step = steps[now.step], { rows, columns } = step;
    if (!step.scores) return;
    const values = step.scores[kept.indexOf(now.label)], [i, j] = cellOf(step);
    paintLabels(best.pen, step);
    Object.assign(warm.pen.canvas, { width: columns, height: rows });
    const pixels = warm.pen.createImageData(columns, rows);
    values.forEach((value, n) => pixels.data.set([...heat(value), 255], 4 * n));
    warm.pen.putImageData(pixels, 0, 0);
    const box = (n) => {
      const [r, c] = [Math.floor(n / columns), n % columns];
      return [(c * W) / columns, (r * H) / rows, ((c + 1) * W) / columns, ((r + 1) * H) / rows];
    };
    for (const { view, layer } of [best, warm]) {
      const { width, height } = place(view, [0, 0, W, H]), wide = width / columns;
      const d = [...range(columns - 1).map((n) => `M${(n + 1) * wide} 0V${height}`),
        ...range(rows - 1).map((n) => `M0 ${((n + 1) * height) / rows}H${width}`)].join("");
      const chosen = place(view, box(i * columns + j));
      layer.replaceChildren(...(wide >= 9 ? [el("path", { class: "mesh", d })] : []),
        ...(view === warm.view && wide >= 26 ? values.map((value, n) => written(place(view, box(n)), value)) : []),
        ...["cell casing", "cell"].map((kind) =>
          (wide < 9 ? ring(chosen, kind) : el("rect", { class: kind, ...chosen }))));
    }
  }

  /** A ring around a cell too small to be seen. */
  function ring({ x, y, width, height }, kind) {
    return el("circle", { class: kind, cx: x + width / 2, cy: y + height / 2, r: 7 });
  }

  /** A probability in the middle of its cell. */
  function written({ x, y, width, height }, value) {
    const size = clamp(width * 0.34, 10, 15), ink = value > 0.55 ? "#000" : "#fff";
    return el("text", { x: x + width / 2, y: y + height / 2, style: `fill:${ink};font-size:${size}px` }, fixed(value));
  }

  begin();
}
