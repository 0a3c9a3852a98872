// A training to go through: its loss curves with a marker, and what the network said of a picture at that moment.
import {
  announcer, axes, caption, chart, check, drawJudged, el, fixed, group, grouped, judge, layout, outcomes, picture,
  range, set, slider, table, take, tally, unitSlider,
} from "./common.js";

/** The numbers 1, 2 and 5 times powers of ten from `low` to `high`; only the powers where that would be too many. */
export function decades(low, high) {
  const powers = range(25).map((i) => i - 12), inside = (value) => value >= low && value <= high;
  const fine = powers.flatMap((p) => [1, 2, 5].map((d) => Number(`${d}e${p}`))).filter(inside);
  return fine.length <= 6 ? fine : powers.map((p) => Number(`1e${p}`)).filter(inside);
}

/** Round numbers from 0 to `high`, four to eight of them. */
export function rounds(high) {
  const unit = 10 ** Math.floor(Math.log10(high / 4)), step = [5, 2, 1].map((d) => d * unit).find((s) => high / s >= 4);
  return range(Math.floor(high / step) + 1).map((i) => i * step);
}

/** The place of the point whose step is nearest to `step`. */
export const nearest = (steps, step) =>
  steps.reduce((best, at, i) => (Math.abs(at - step) < Math.abs(steps[best] - step) ? i : best), 0);

/** What of a snapshot's predictions for a picture scores enough, and which object each finds. */
export function shownOf(prediction, truth, least) {
  const kept = take(prediction, range(prediction.scores.length).filter((i) => prediction.scores[i] >= least));
  return { kept, found: judge(kept, truth) };
}

const DASHES = [null, "7 4", "2 4", "9 3 2 3"];

export function mount(root, state, publish) {
  const { steps, terms, rate, snapshots, truths, names } = state, curves = Object.keys(terms);
  const last = Math.max(steps.at(-1), snapshots.at(-1).step, 2), objects = truths.flatMap(({ boxes }) => boxes).length;
  const positive = Object.values(terms).flat().filter((value) => value > 0); // 0 has no logarithm, and lies on the axis
  const high = 1.15 * Math.max(...positive, 1e-9), low = Math.min(...positive, high / 10) / 1.15;
  const measured = snapshots.some(({ ap50 }) => ap50 !== null);
  const now = { snapshot: 0, score: state.score_threshold, log: true };

  const views = state.pictures.map((one) => picture(one, () => paint()));
  const layers = views.map((view) => view.layers(1)[0]);
  const loss = chart(400, 250, () => plotLoss()), ap = chart(400, 150, () => plotAp());
  const [lossLayer] = loss.layers(1), [apLayer] = ap.layers(1);
  for (const view of [loss, ap]) {
    const follow = (event) => go(nearestSnapshot(view.share(event)[0]));
    set(view.svg, { role: "img", onpointerdown: follow,
      onpointermove: (event) => (event.buttons ? follow(event) : null) });
  }

  const moment = slider("step", { min: 0, max: snapshots.length - 1, step: 1, value: 0 }, (i) => go(i));
  const knob = moment.querySelector("input"), read = moment.querySelector("output");
  const score = unitSlider("score at least", now.score, (value) => { now.score = value; draw(); });
  const log = check("steps on a logarithmic scale", now.log, (on) => { now.log = on; draw(); });
  const legend = el("div"), status = announcer(true), numbers = table("At this moment");
  const sample = (i) => el("svg", { class: "line", viewBox: "0 0 26 8", "aria-hidden": "true" },
    el("path", { d: "M0 4H26", "stroke-dasharray": DASHES[i], class: `term term${i}` }));

  root.append(
    caption(state.question,
      "Move the step, or drag along the curve: the picture shows what the network predicted then."),
    layout([el("div", { class: "views" }, ...views.map(({ frame }) => frame)), legend, status], [
      group("Moment of the training", moment, score), el("div", {}, loss.frame, measured ? ap.frame : null, log)]));
  root.lastChild.append(numbers);

  function go(i) {
    now.snapshot = i;
    draw();
  }

  /** Where a step lies between the ends of the axis: the logarithm is that of step + 1, so that 0 has a place. */
  const across = (step) => (now.log ? Math.log1p(step) / Math.log1p(last) : step / last);
  const up = (value) => Math.max(Math.log(Math.max(value, 1e-12) / low) / Math.log(high / low), 0);

  const nearestSnapshot = (share) => nearest(snapshots.map(({ step }) => across(step)), share);

  const present = () => snapshots[now.snapshot].predictions.map((p, i) => shownOf(p, truths[i], now.score));

  function draw() {
    const { step, ap50 } = snapshots[now.snapshot], shown = present(), at = nearest(steps, step);
    const counts = tally(shown.flatMap(({ found }) => found), objects);
    knob.value = now.snapshot;
    read.textContent = grouped(step);
    set(knob, { "aria-valuetext": `step ${step}` });
    const values = Object.fromEntries(curves.map((name) => [name, terms[name][at]]));
    tell(step, counts, values, rate?.[at] ?? null, ap50);
    paint();
    plotLoss();
    plotAp();
    publish({ ...now, step, counts, values, rate: rate?.[at] ?? null, ap50, found: shown.map(({ found }) => found),
      kept: shown.map(({ kept }) => kept) });
  }

  function tell(step, counts, values, learning, ap50) {
    const entry = (name, value) => el("tr", {}, el("th", { scope: "row" }, ...name), el("td", {}, value));
    const short = (value) => String(Number(value.toPrecision(3)));
    numbers.body.replaceChildren(
      ...curves.map((name, i) => entry([sample(i), name.replaceAll("_", " ")], short(values[name]))),
      ...(learning === null ? [] : [entry(["learning rate"], short(learning))]),
      ...(measured ? [entry(["AP50"], ap50 === null ? "–" : fixed(ap50))] : []));
    legend.replaceChildren(outcomes(counts));
    status.textContent = `Step ${step}: ${counts.right} right, ${counts.false} false, ${counts.missed} missed.`;
    set(loss.svg, { "aria-label": `Loss curves over ${last} steps; at step ${step} `
      + curves.map((name) => `${name.replaceAll("_", " ")} ${short(values[name])}`).join(", ") });
    const measure = ap50 === null ? "" : `; at step ${step} ${fixed(ap50)}`;
    set(ap.svg, { "aria-label": `AP50 of ${snapshots.length} moments${measure}` });
  }

  function paint() {
    present().forEach(({ kept, found }, i) =>
      layers[i].replaceChildren(...drawJudged(views[i], kept, found, truths[i], names)));
  }

  const thousands = (step) => (step >= 10_000 ? `${step / 1000}k` : String(step));
  const stepTicks = () =>
    (now.log ? [0, ...decades(1, last)] : rounds(last)).map((step) => [across(step), thousands(step)]);

  /** The marker of now, and a small tick at each snapshot that one can go to. */
  function marker(view) {
    const stops = snapshots.map(({ step }) => view.spot(across(step), 0)).map(([x, y]) => `M${x} ${y}v-7`).join("");
    const [x, y] = view.spot(across(snapshots[now.snapshot].step), 0), d = `M${x} ${y}V${view.spot(0, 1)[1]}`;
    return [el("path", { class: "stops", d: stops }), el("path", { class: "marker", d })];
  }

  function plotLoss() {
    const at = nearest(steps, snapshots[now.snapshot].step);
    const points = (name) => steps.map((step, i) => [across(step), up(terms[name][i])]);
    const heights = decades(low, high).map((value) => [up(value), String(value)]);
    lossLayer.replaceChildren(
      ...axes(loss, { name: "step", ticks: stepTicks() }, { name: "loss", ticks: heights }), ...marker(loss),
      ...[...curves.keys()].reverse().map((i) => el("path", { class: `term term${i}`, d: loss.path(points(curves[i])),
        "stroke-dasharray": DASHES[i] })),
      ...curves.map((name) => dot(loss, across(snapshots[now.snapshot].step), up(terms[name][at]))));
  }

  function plotAp() {
    const known = snapshots.filter(({ ap50 }) => ap50 !== null), { step, ap50 } = snapshots[now.snapshot];
    const heights = [0, 0.5, 1].map((value) => [value, String(value)]);
    apLayer.replaceChildren(
      ...axes(ap, { name: "step", ticks: stepTicks() }, { name: "AP50", ticks: heights }),
      ...marker(ap), el("path", { class: "ap", d: ap.path(known.map((one) => [across(one.step), one.ap50])) }),
      ...known.map((one) => dot(ap, across(one.step), one.ap50, "small")),
      ...(ap50 === null ? [] : [dot(ap, across(step), ap50)]));
  }

  function dot(view, u, v, kind = "dot") {
    const [cx, cy] = view.spot(u, v);
    return el("circle", { class: kind, cx, cy, r: kind === "dot" ? 5.5 : 3 });
  }

  draw();
}
