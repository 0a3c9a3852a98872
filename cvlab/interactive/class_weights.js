// Predictions in which one class weighed more or less than the others: its precision, recall and IoU.
import {
  announcer, axes, button, caption, chart, check, easel, el, fixed, group, grouped, key, layout, offer, picture, put,
  range, row, set, slider, table,
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

/** How many pixels of a class are right, falsely given to it, and missed, and the three measures; null is 0 / 0. */
export function measure(truth, found, label) {
  let [right, wrong, missed] = [0, 0, 0];
  truth.forEach((one, i) => {
    if (one === IGNORED) return;
    if (found[i] === label) { if (one === label) right += 1; else wrong += 1; } else if (one === label) missed += 1;
  });
  const ratio = (whole) => (whole > 0 ? right / whole : null);
  return { right, false: wrong, missed, precision: ratio(right + wrong), recall: ratio(right + missed),
    iou: ratio(right + wrong + missed) };
}

/** Points (recall, precision) with the same IoU: 1 / IoU + 1 = 1 / recall + 1 / precision. */
export const alike = (iou) => range(201).map((n) => iou + ((1 - iou) * n) / 200).map((recall) =>
  [recall, 1 / (1 / iou + 1 - 1 / recall)]);

/** Where the axes of precision and recall begin: a multiple of 0.2 that is not above any of them. */
export const floorOf = (values) => Math.min(0.8, Math.floor(5 * Math.min(1, ...values) + 1e-9) / 5);

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const short = (value) => String(Number(value.toPrecision(3)));

export function mount(root, state, publish) {
  const { names, classes, weights, label } = state, { width: W, height: H, src } = state.picture, name = names[label];
  const truth = unroll(state.truth), true_ = truth.map((one) => (one === IGNORED ? 0 : one));
  const maps = state.maps.map((text) => unroll(text).map((more, i) => (true_[i] + more) % names.length));
  const measures = maps.map((found) => ({ mine: measure(truth, found, label), ground: measure(truth, found, 0) }));
  const now = { chosen: state.start, shown: "labels" };
  const ious = measures.map(({ mine }) => mine.iou), best = ious.indexOf(Math.max(...ious));
  const low = floorOf(measures.flatMap(({ mine, ground }) => [mine, ground]).flatMap(({ precision, recall }) =>
    [precision, recall].filter((value) => value !== null)));
  const share = (value) => (value - low) / (1 - low), spotOf = (point) => plot.spot(...point.map(share));

  const view = picture({ width: W, height: H }, () => {}), pen = easel(W, H);
  view.frame.prepend(el("img", { src, alt: "The picture" }), pen.canvas);
  set(view.svg, { role: "img" });
  const plot = chart(400, 340, () => paintCurves()), [drawing] = plot.layers(1);
  set(plot.svg, { role: "img", onpointerdown: (event) => follow(event),
    onpointermove: (event) => (event.buttons ? follow(event) : null) });

  const weight = slider("weight", { min: 0, max: weights.length - 1, step: 1, value: now.chosen }, (i) => {
    now.chosen = i;
    draw();
  });
  const knob = weight.querySelector("input"), read = weight.querySelector("output");
  const top = button(`Go to the best IoU of ${name}`, () => put(weight, best));
  const status = announcer(true), legend = el("p", { class: "legend" });
  const numbers = table("Pixels of this picture", ["of the class", [swatch(label), name], [swatch(0), names[0]]]);
  const radio = (text, shown) => check(text, shown === now.shown, () => { now.shown = shown; draw(); }, "shown");

  root.append(
    caption(state.question, "Move the weight, or drag along the curve."),
    layout([group(`Weight of ${name}`, weight, row(top)), view.frame, legend,
      row(radio("all labels", "labels"), radio(`${name}: right, false, missed`, "outcomes"))], [
      el("div", {}, el("p", { class: "heading" }, "A dot for each weight; dotted lines have the same IoU"),
        plot.frame), numbers, status]));

  function swatch(c) {
    return el("span", { class: "key", style: `--fill:${classes[c]}`, "aria-hidden": "true" });
  }

  function follow(event) {
    const [u, v] = plot.share(event);
    const far = measures.map(({ mine: { recall, precision } }) =>
      (precision === null ? Infinity : (share(recall) - u) ** 2 + (share(precision) - v) ** 2));
    const near = Math.min(...far);
    if (near < Infinity && far.indexOf(near) !== now.chosen) put(weight, far.indexOf(near));
  }

  function draw() {
    const { mine, ground } = measures[now.chosen];
    read.textContent = `× ${short(weights[now.chosen])}`;
    set(knob, { "aria-valuetext": `${short(weights[now.chosen])} times` });
    offer([[top, best !== now.chosen]]);
    tell(mine, ground);
    paint();
    paintCurves();
    publish({ ...now, weight: weights[now.chosen], mine, ground, best });
  }

  const number = (value) => (value === null ? "–" : fixed(value, 3));

  function tell(mine, ground) {
    const line = (text, show, kind = null, ...mark) => el("tr", { class: kind },
      el("th", { scope: "row" }, ...mark, text), ...[mine, ground].map((one) => el("td", {}, show(one))));
    numbers.body.replaceChildren(
      line("right", (one) => grouped(one.right)), line("false", (one) => grouped(one.false), null, key("prediction")),
      line("missed", (one) => grouped(one.missed), null, key("truth")),
      line("precision", (one) => number(one.precision), "first"), line("recall", (one) => number(one.recall)),
      line("IoU", (one) => number(one.iou), "main"));
    const words = (one) => `precision ${number(one.precision)}, recall ${number(one.recall)}, IoU ${number(one.iou)}`;
    status.textContent = `Weight ${short(weights[now.chosen])}. ${name}: ${words(mine)}; `
      + `${names[0]}: ${words(ground)}.`;
    set(plot.svg, { "aria-label": `Precision against recall. ${status.textContent}` });
    set(view.svg, { "aria-label": now.shown === "labels" ? "The picture under the predicted labels"
      : `The picture; where ${name} is right it is seen plainly, and false and missed pixels are marked` });
    const present = new Set([...maps[now.chosen], ...true_]);
    const entry = (mark, text) => el("span", {}, mark, text);
    legend.replaceChildren(...(now.shown === "labels"
      ? range(names.length).filter((c) => present.has(c)).map((c) => entry(swatch(c), names[c]))
      : [entry(el("i", { class: "sight", "aria-hidden": "true" }), "right: as it is"),
        entry(key("prediction"), "false"), entry(key("truth"), "missed")]));
  }

  /** All labels over the picture; or false and missed pixels of the class, and everything else but right ones dark. */
  function paint() {
    const found = maps[now.chosen], pixels = pen.createImageData(W, H);
    const colours = classes.map((colour) => [...rgb(colour), 165]);
    const [grey, dark] = [[140, 140, 140, 255], [18, 20, 24, 175]];
    const [wrong, missed] = ["prediction", "truth"].map((role) => [...rgb(state.colours[role]), 255]);
    const outcome = (i) => {
      if (found[i] === label) return truth[i] === label ? [0, 0, 0, 0] : wrong;
      return truth[i] === label ? missed : dark;
    };
    truth.forEach((one, i) => {
      const colour = one === IGNORED ? grey : now.shown === "labels" ? colours[found[i]] : outcome(i);
      pixels.data.set(colour, 4 * i);
    });
    pen.putImageData(pixels, 0, 0);
  }

  /** Lines of equal IoU, the curves of the class and of the background, and where they are now. */
  function paintCurves() {
    const ticks = range(Math.round(5 * (1 - low)) + 1).map((n) => low + n / 5).map((at) => [share(at), fixed(at, 1)]);
    const lines = (low < 0.6 ? [0.2, 0.4, 0.6, 0.8] : [0.7, 0.8, 0.9]).map((iou) =>
      ({ iou, points: alike(iou).filter((point) => Math.min(...point) >= low) })).filter(({ points }) => points.length);
    const point = ({ recall, precision }) => (recall === null || precision === null ? [] : [[recall, precision]]);
    const curves = ["ground", "mine"].map((who) => ({ who, points: measures.flatMap((one) => point(one[who])),
      here: point(measures[now.chosen][who]), name: names[who === "mine" ? label : 0] }));
    const path = (points) => plot.path(points.map((one) => one.map(share)));
    const circle = (one, kind, r) => {
      const [cx, cy] = spotOf(one);
      return el("circle", { class: kind, cx, cy, r });
    };
    const text = ([x, y], kind, anchor, words) => el("text", { x, y, class: kind, "text-anchor": anchor }, words);
    const title = ({ who, here, name: words }) => here.map((one) => {
      const [x, y] = spotOf(one), beside = who === "ground" || share(one[0]) > 0.85;
      return beside ? text([x - 11, y + 4], "name", "end", words) : text([x, y + 21], "name", "middle", words);
    });
    const level = ({ iou }) => { // where precision and recall are equal, unless the point of now is there
      const [x, y] = spotOf([(2 * iou) / (1 + iou), (2 * iou) / (1 + iou)]);
      const hidden = curves[1].here.map(spotOf).some(([u, v]) => Math.hypot(u - x, v - y) < 60);
      return hidden ? "" : text([x - 3, y + 11], "iou", "end", `IoU ${iou}`);
    };
    drawing.replaceChildren(
      ...axes(plot, { name: "recall: found of what is there", ticks },
        { name: "precision: right of what is found", ticks }),
      ...lines.map(({ points }) => el("path", { class: "alike", d: path(points) })), ...lines.map(level),
      ...curves.map(({ who, points }) => el("path", { class: `curve ${who}`, d: path(points) })),
      ...curves.flatMap(({ who, points }) => points.map((one) => circle(one, `stop ${who}`, 2.5))),
      ...curves.flatMap(({ who, here }) => here.map((one) => circle(one, `dot ${who}`, 6.5))),
      ...curves.flatMap(title));
  }

  draw();
}
