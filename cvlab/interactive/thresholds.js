// Detections of a few pictures under two thresholds, and the precision-recall curve on which the score threshold moves.
import {
  announcer, axes, button, caption, chart, drawJudged, el, fixed, group, iou, judge, layout, offer, outcomes, picture,
  put, range, row, set, table, take, tally, unitSlider,
} from "./common.js";

/** Non-maximum suppression class by class: the detections that no kept, better one overlaps more than `threshold`. */
export function keep({ boxes, scores, labels }, threshold) {
  const order = range(boxes.length).sort((i, j) => scores[j] - scores[i] || i - j), kept = [];
  for (const i of order)
    if (!kept.some((k) => labels[k] === labels[i] && iou(boxes[k], boxes[i]) > threshold)) kept.push(i);
  return kept;
}

/** Of each picture what suppression keeps, best first, and which object each finds: the same at any score threshold. */
export const detect = (pictures, threshold) => pictures.map(({ prediction, truth }) => {
  const kept = take(prediction, keep(prediction, threshold));
  return { kept, found: judge(kept, truth) };
});

/** Of what scores at least `score`: how many are right and false, how many objects are missed, and the measures. */
export function measure(detected, objects, score) {
  const shown = detected.flatMap(({ kept, found }) => found.filter((_, i) => kept.scores[i] >= score));
  const counts = tally(shown, objects), { right } = counts, ratio = (part, whole) => (whole > 0 ? part / whole : null);
  return { ...counts, precision: ratio(right, shown.length), recall: ratio(right, objects),
    f1: ratio(2 * right, shown.length + objects) };
}

/** Precision and recall after each detection of all pictures, best first; of equal scores the first picture's first. */
export function curve(detected, objects) {
  const all = detected.flatMap(({ kept, found }) =>
    found.map((truth, i) => ({ score: kept.scores[i], hit: truth >= 0 })));
  let right = 0;
  return all.sort((a, b) => b.score - a.score).map(({ score, hit }, i) => {
    right += hit;
    return { score, recall: objects ? right / objects : 0, precision: right / (i + 1) };
  });
}

/** The curve with each precision replaced by the largest at its recall or beyond. */
export function envelope(points) {
  const raised = points.map(({ recall, precision }) => ({ recall, precision }));
  for (let i = raised.length - 2; i >= 0; i -= 1)
    raised[i].precision = Math.max(raised[i].precision, raised[i + 1].precision);
  return raised;
}

/** Average precision: the area under the envelope. */
export const averagePrecision = (points) => envelope(points).reduce(
  ({ sum, from }, { recall, precision }) => ({ sum: sum + (recall - from) * precision, from: recall }),
  { sum: 0, from: 0 }).sum;

const GRID = range(101).map((i) => i / 100); // the score thresholds that the slider can have
const TICKS = range(6).map((i) => [i / 5, fixed(i / 5, 1)]);

export function mount(root, state, publish) {
  const { pictures, names } = state, objects = pictures.reduce((sum, { truth }) => sum + truth.boxes.length, 0);
  const now = { score: state.score_threshold, threshold: state.iou_threshold, chosen: 0 };
  let detected = detect(pictures, now.threshold), points = curve(detected, objects); // change with `threshold` only
  const first = envelope(points);

  const views = pictures.map((one, i) => picture(one.picture, () => paint(i)));
  const layers = views.map((view) => view.layers(1)[0]);
  const thumbs = pictures.map(thumbnail), plot = chart(400, 300, () => paintCurve());
  set(plot.svg, { role: "img", onpointerdown: (event) => follow(event),
    onpointermove: (event) => (event.buttons ? follow(event) : null) });
  const [drawing] = plot.layers(1);

  const score = unitSlider("score at least", now.score, (value) => { now.score = value; draw(); });
  const overlap = unitSlider("NMS IoU above", now.threshold, (value) => {
    now.threshold = value;
    detected = detect(pictures, value);
    points = curve(detected, objects);
    draw();
  });
  const best = button("Go to the best F1", () => put(score, bestScore()));
  const legend = el("div"), status = announcer(true), numbers = table("Over all pictures");

  root.append(
    caption(state.question, "Move both sliders, or drag along the curve. A box is right when it finds an object of its "
      + "class, with an IoU of at least 0.5, that no better box has found."),
    layout([...views.map(({ frame }) => frame), legend,
      pictures.length > 1 ? el("div", { class: "thumbs", role: "group", "aria-label": "Pictures" },
        ...thumbs.map(({ node }) => node)) : null],
    [group("Thresholds", score, overlap, row(best)),
      el("div", {}, plot.frame, el("p", { class: "note" }, "Grey, dashed: the curve at the NMS threshold of the start.")),
      numbers, status]));

  /** The score threshold of the largest F1, of equal ones the highest. */
  function bestScore() {
    const f1 = GRID.map((at) => measure(detected, objects, at).f1 ?? -1);
    return GRID[f1.lastIndexOf(Math.max(...f1))];
  }

  function follow(event) {
    const [u, v] = plot.share(event);
    const far = GRID.map((at) => {
      const { recall, precision } = measure(detected, objects, at);
      return precision === null || recall === null ? Infinity : (recall - u) ** 2 + (precision - v) ** 2;
    });
    const near = Math.min(...far);
    if (near < Infinity) put(score, GRID[far.indexOf(near)]);
  }

  /** What is shown of a picture, and how it fares. */
  function shownOf(i) {
    const { kept, found } = detected[i], shown = kept.scores.filter((value) => value >= now.score).length; // best first
    const hits = found.slice(0, shown);
    return { kept: take(kept, range(shown)), found: hits, counts: tally(hits, pictures[i].truth.boxes.length) };
  }

  function draw() {
    const all = measure(detected, objects, now.score), ap = objects ? averagePrecision(points) : null;
    offer([[best, objects > 0 && bestScore() !== now.score]]);
    for (const [i, view] of views.entries()) view.frame.hidden = i !== now.chosen;
    thumbs.forEach(({ refresh }) => refresh());
    legend.replaceChildren(outcomes(shownOf(now.chosen).counts));
    tell(all, ap);
    paint(now.chosen);
    paintCurve();
    publish({ ...now, ...all, ap, points, shown: range(pictures.length).map((i) => shownOf(i)) });
  }

  function tell({ right, false: wrong, missed, precision, recall, f1 }, ap) {
    const number = (value) => (value === null ? "–" : fixed(value)), shown = right + wrong;
    const line = (name, how, value) => el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "how" }, how),
      el("td", {}, number(value)));
    numbers.body.replaceChildren(
      line("precision", `right / shown = ${right} / ${shown}`, precision),
      line("recall", `right / objects = ${right} / ${objects}`, recall),
      line("F1", "2 right / (shown + objects)", f1),
      line("AP", "area under the curve", ap));
    status.textContent = `Precision ${number(precision)}, recall ${number(recall)}: ${right} right, ${wrong} false, `
      + `${missed} missed.`;
    set(plot.svg, { "aria-label": `Precision-recall curve with an area of ${number(ap)}; at a score of `
      + `${fixed(now.score)} precision is ${number(precision)} and recall ${number(recall)}` });
  }

  function paint(i) {
    if (i !== now.chosen) return;
    const { kept, found } = shownOf(i);
    layers[i].replaceChildren(...drawJudged(views[i], kept, found, pictures[i].truth, names));
  }

  /** The curve, its envelope and the area under it, that of the start for comparison, and the point of now. */
  function paintCurve() {
    const { recall, precision } = measure(detected, objects, now.score), raised = envelope(points);
    const d = steps(raised), [x0, y0] = plot.spot(0, 0), [end] = plot.spot(raised.at(-1)?.recall ?? 0, 0);
    const here = recall === null || precision === null ? null : plot.spot(recall, precision);
    drawing.replaceChildren(
      ...axes(plot, { name: "recall: found of the objects", ticks: TICKS }, { name: "precision", ticks: TICKS }),
      el("path", { class: "area", d: d && `${d}L${end} ${y0}L${x0} ${y0}Z` }),
      el("path", { class: "before", d: steps(first) }), el("path", { class: "curve", d }),
      el("path", { class: "saw", d: plot.path(points.map((p) => [p.recall, p.precision])) }),
      here ? el("g", { class: "point" }, el("path", { d: `M${x0} ${here[1]}H${here[0]}V${y0}` }),
        el("circle", { cx: here[0], cy: here[1], r: 7 })) : "");
  }

  /** An envelope as a stair: at each recall the precision that is reached from the one before on. */
  function steps(raised) {
    return plot.path(raised.flatMap(({ recall, precision }, i) =>
      [[i ? raised[i - 1].recall : 0, precision], [recall, precision]]));
  }

  /** A picture in small, a button that shows it in large, with its boxes and its tally. */
  function thumbnail({ picture: { width, height, src }, truth }, i) {
    const marks = el("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    const signs = el("span", { class: "tally" });
    const node = button("", () => { now.chosen = i; draw(); }, { class: "thumb" });
    node.append(el("span", { class: "mini" }, el("img", { src, alt: `Picture ${i + 1}:`, width, height }), marks), signs);
    const mark = (kind) => ([x, y, x2, y2]) => el("rect", { class: kind, x, y, width: x2 - x, height: y2 - y });
    const refresh = () => {
      const { kept, found, counts } = shownOf(i), hit = new Set(found);
      marks.replaceChildren(...truth.boxes.filter((_, t) => !hit.has(t)).map(mark("missed")),
        ...kept.boxes.map((box, k) => mark(found[k] >= 0 ? "right" : "false")(box)));
      signs.replaceChildren(...Object.entries({ right: "✓", false: "✗", missed: "○" }).map(([kind, sign]) =>
        el("span", { class: counts[kind] ? null : "none" }, `${sign}${counts[kind]}`,
          el("span", { class: "hidden" }, ` ${kind}`))));
      set(node, { "aria-pressed": String(i === now.chosen) });
    };
    return { node, refresh };
  }

  draw();
}
