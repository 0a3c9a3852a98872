// The numbers of a layer in a few bits: a bound to drag, and what rounding and clipping cost.
import {
  announcer, arrowKeys, axes, bar, button, caption, chart, check, clamp, draggable, el, fixed, group, key, layout,
  range, row, set, slider, table,
} from "./common.js";
import { even, niceStep, strip } from "./strip.js";

/** The grid of a layer up to a bound: zero point 0, with whole numbers below 0 where the layer has such. */
export function gridOf(bound, bits, symmetric) {
  const most = symmetric ? 2 ** (bits - 1) - 1 : 2 ** bits - 1, scale = bound / most;
  return { scale: Math.fround(scale > 0 ? scale : 1), least: symmetric ? -(2 ** (bits - 1)) : 0, most };
}

/** The middles of a layer's bins. */
export const middles = ({ low, high, counts }) =>
  counts.map((_, i) => low + ((i + 0.5) * (high - low)) / counts.length);

/** Mean squared error of a layer up to a bound, as its two parts, its signal to noise ratio, and the share clipped. */
export function errors(layer, bound, bits) {
  const { scale, least, most } = gridOf(bound, bits, layer.symmetric), at = middles(layer);
  let [rounding, clipping, signal, total, clipped] = [0, 0, 0, 0, 0];
  layer.counts.forEach((count, i) => {
    if (!count) return;
    const q = even(at[i] / scale), kept = clamp(q, least, most), off = Math.fround(kept * scale) - at[i];
    if (kept === q) rounding += count * off * off;
    else {
      clipping += count * off * off;
      clipped += count;
    }
    signal += count * at[i] * at[i];
    total += count;
  });
  const mse = (rounding + clipping) / total;
  return { rounding: rounding / total, clipping: clipping / total, mse, clipped: clipped / total,
    snr: mse > 0 ? 10 * Math.log10(signal / total / mse) : null };
}

const SHARES = range(100).map((i) => (i + 1) / 100); // the bounds of the curve
const LEFT = 12, RIGHT = 18, TOP = 30, BASE = 232, ROW = 262, HEIGHT = 290; // of the histogram
const WIDE = 4; // pixels of a bar
const minus = (text) => String(text).replace("-", "−");
const short = (value, digits = 3) => minus(Number(value.toPrecision(digits)));
const raised = (power) => [...String(power)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");

/** A small number as 1.23 · 10⁻⁴. */
function scientific(value) {
  if (!(value > 0)) return "0";
  if (value >= 0.01 && value < 1000) return value.toPrecision(3);
  const [digits, power] = value.toExponential(2).split("e");
  return `${digits} · 10${raised(Number(power))}`;
}

/** 1, 2 or 5 times a power of ten, short enough for an axis. */
function tickName(value) {
  if (value >= 0.01 && value < 1000) return String(value);
  const [digit, power] = value.toExponential(0).split("e");
  return `${digit === "1" ? "" : `${digit}·`}10${raised(Number(power))}`;
}

export function mount(root, state, publish) {
  const { layers } = state, now = { chosen: 0, bits: state.bits, share: 1, log: true };
  const layer = () => layers[now.chosen], largest = () => Math.max(-layer().low, layer().high);
  const bound = () => now.share * largest();
  const curves = new Map(); // of layer and bits, computed once

  const view = strip(HEIGHT, draw);
  const [bars, marks, grips] = view.layers(3);
  const handle = { high: grip("high", 1), low: grip("low", -1) };
  const plot = chart(400, 270, () => paintCurve()), [drawing] = plot.layers(1);
  const follow = (event) => go(plot.share(event)[0]);
  set(plot.svg, { role: "img", onpointerdown: follow,
    onpointermove: (event) => (event.buttons ? follow(event) : null) });

  const options = layers.map(({ name }, i) => el("option", { value: i }, name));
  const select = el("select", { "aria-label": "layer" }, ...options);
  select.addEventListener("change", () => { now.chosen = Number(select.value); draw(); });
  const bits = slider("bits", { min: 2, max: 8, step: 1, value: now.bits }, (value) => { now.bits = value; draw(); });
  const ways = { minmax: "min–max", percentile: `percentile ${state.percentile}`, mse: "least error" };
  const shareOf = (way) =>
    ({ minmax: 1, percentile: layer().percentile, mse: layer().mse[now.bits - 2] })[way];
  const buttons = Object.fromEntries(Object.entries(ways).map(([way, text]) =>
    [way, button(text, () => { now.share = shareOf(way); draw(); })]));
  const log = check("counts on a logarithmic scale", now.log, (on) => { now.log = on; draw(); });
  const cost = table("What it costs"), methods = table("What observers choose", ["observer", "bound", "error", "SNR"]);
  const status = announcer(true), legend = el("p", { class: "legend" }, item("level", "levels"),
    item("lost", "clipped"), item("bound", "the bound"));

  root.append(
    caption(state.question, "Drag the bound in the histogram or on the curve, or Tab to it and use the arrow keys "
      + "(with Shift: 10 steps)."),
    layout([
      el("div", { class: "controls" }, el("label", { class: "layer" }, el("span", {}, "layer"), select), bits),
      view.frame, legend,
      group("Put the bound where observers do", row(...Object.values(buttons))), log, methods], [
      cost, el("div", {}, el("p", { class: "heading" }, "Mean squared error over the bound"), plot.frame,
        el("p", { class: "legend" }, item("sum", "both"), item("fine", "rounding"), item("lost", "clipping"))),
      status]));

  function item(kind, words) {
    return el("span", {}, el("i", { class: `mark ${kind}`, "aria-hidden": "true" }), words);
  }

  /** The bound's handle; a symmetric layer has a second one on the other side, for the hand alone. */
  function grip(name, way) {
    const node = el("g", { class: "grip", role: "slider", tabindex: way > 0 ? 0 : -1, "aria-label": "Clipping bound",
      "aria-hidden": way < 0 ? "true" : null, "aria-valuemin": 0.01, "aria-valuemax": 1 },
      el("rect", { class: "reach", x: -16, y: -14, width: 32, height: BASE - TOP + 14 }),
      el("path", { class: "stem", d: `M0 0V${BASE - TOP}` }),
      el("rect", { class: "knob", x: -7, y: -9, width: 14, height: 18, rx: 3 }));
    arrowKeys(node, (dx, dy) => go(now.share + (way * dx - dy) / 100));
    draggable(node, view, () => now.share, (begun, dx) => go(begun + (way * dx) / unit()), () => {});
    return grips.appendChild(node);
  }

  function go(share) {
    now.share = clamp(Math.round(share * 1000) / 1000, 0.01, 1);
    draw();
  }

  const inner = () => Math.max(view.width - LEFT - RIGHT, 1);
  const unit = () => inner() / (layer().symmetric ? 2.08 : 1.04); // pixels of the largest absolute value
  const at = (value) => LEFT + (layer().symmetric ? inner() / 2 : 0) + (value / largest()) * unit();

  function curve() {
    const name = `${now.chosen} ${now.bits}`;
    if (!curves.has(name)) curves.set(name, SHARES.map((share) => errors(layer(), share * largest(), now.bits)));
    return curves.get(name);
  }

  function draw() {
    const found = errors(layer(), bound(), now.bits), grid = gridOf(bound(), now.bits, layer().symmetric);
    const choices = Object.fromEntries(Object.keys(ways).map((way) =>
      [way, { share: shareOf(way), ...errors(layer(), shareOf(way) * largest(), now.bits) }]));
    tell(found, grid, choices);
    if (view.width > 1) paint(grid);
    paintCurve();
    publish({ layer: layer().name, bits: now.bits, share: now.share, bound: bound(), symmetric: layer().symmetric,
      scale: grid.scale, ...found, choices, curve: curve().map(({ mse }) => mse) });
  }

  const decibels = (snr) => (snr === null ? "–" : `${fixed(snr, 1)} dB`);
  const percent = (share) => (share === 0 ? "0 %" : share < 0.0001 ? "< 0.01 %" : `${fixed(100 * share, 2)} %`);

  function tell({ rounding, clipping, mse, snr, clipped }, { scale }, choices) {
    const line = (name, value, share = null) => el("tr", {}, el("th", { scope: "row" }, ...[name].flat()),
      share && el("td", { class: "wide" }, share), el("td", { colspan: share ? null : 2 }, value));
    const part = (value) => (mse > 0 ? value / mse : 0);
    cost.body.replaceChildren(
      line("bound", `${short(bound())} = ${fixed(100 * now.share, 1)} %`),
      line("scale", short(scale)), line("clipped numbers", percent(clipped)),
      line([key("prediction"), "rounding"], scientific(rounding), bar(0, part(rounding), "prediction")),
      line([key("ignored"), "clipping"], scientific(clipping), bar(0, part(clipping), "ignored")),
      set(line("mean squared error", scientific(mse)), { class: "first" }),
      set(line("signal to noise", decibels(snr)), { class: "main" }));
    methods.body.replaceChildren(...Object.entries(choices).map(([way, one]) => el("tr", {},
      el("th", { scope: "row" }, ways[way]), el("td", {}, `${fixed(100 * one.share, 1)} %`),
      el("td", {}, scientific(one.mse)), el("td", {}, decibels(one.snr)))));
    for (const [way, node] of Object.entries(buttons))
      set(node, { "aria-pressed": String(Math.abs(choices[way].share - now.share) < 1e-9) });
    const words = `bound ${short(bound())}, ${fixed(100 * now.share, 1)} % of the largest absolute value`;
    for (const node of Object.values(handle)) set(node, { "aria-valuenow": now.share, "aria-valuetext": words });
    status.textContent = `${layer().name}, ${now.bits} bits, ${words}: signal to noise ${decibels(snr)}.`;
    set(plot.svg, { "aria-label": `Mean squared error over the bound. ${status.textContent}` });
  }

  /** Bars a few pixels wide, each of the bins that fall into it; grey where numbers are clipped; and the levels. */
  function paint(grid) {
    const { counts, symmetric } = layer(), spots = middles(layer()), { scale, least, most } = grid, heap = new Map();
    counts.forEach((count, i) => {
      if (!count) return;
      const place = Math.floor((at(spots[i]) - at(0)) / WIDE), q = even(spots[i] / scale);
      const one = heap.get(place) ?? { sum: 0, lost: 0 };
      heap.set(place, { sum: one.sum + count, lost: one.lost + (q < least || q > most ? count : 0) });
    });
    const grow = (count) => (now.log ? Math.log10(1 + count) : count);
    const highest = grow(Math.max(...[...heap.values()].map(({ sum }) => sum)));
    const column = ([place, { sum, lost }]) => {
      const height = Math.max(1.5, (grow(sum) / highest) * (BASE - TOP - 22));
      return el("rect", { class: 2 * lost > sum ? "column lost" : "column", x: at(0) + place * WIDE + 0.3,
        y: BASE - height, width: WIDE - 0.6, height });
    };
    const ground = el("path", { class: "axis", d: `M${LEFT} ${BASE}H${LEFT + inner()}` });
    bars.replaceChildren(...[...heap].map(column), ground);
    for (const [name, way] of [["high", 1], ["low", -1]])
      set(handle[name], { transform: `translate(${at(way * bound())} ${TOP})`,
        display: way < 0 && !symmetric ? "none" : null });
    paintLevels(grid);
  }

  /** The levels of the grid, thinned where they would touch, the axis, and the bound's name. */
  function paintLevels({ scale, least, most }) {
    const gap = at(scale) - at(0), every = 2 ** Math.max(0, Math.ceil(Math.log2(3 / gap)));
    const shown = range(most - least + 1).map((i) => least + i)
      .filter((n) => n % every === 0 || n === least || n === most);
    const levels = shown.map((n) => at(n * scale)).filter((x) => x >= 0 && x <= view.width);
    const far = largest() * (layer().symmetric ? 2 : 1), step = niceStep(far, Math.max(2, Math.floor(inner() / 50)));
    const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), last = Math.floor(largest() / step);
    const first = layer().symmetric ? -last : 0, ticks = range(last - first + 1).map((i) => (first + i) * step);
    const name = `${fixed(100 * now.share, 1)} %`, half = view.textWidth(name) / 2 + 3;
    const strokes = (from, to) => levels.map((x) => `M${x} ${from}V${to}`).join("");
    marks.replaceChildren(
      gap < 8 ? "" : el("path", { class: "level faint", d: strokes(TOP, BASE) }),
      el("path", { class: "level", d: strokes(BASE + 3, ROW - 6) }),
      el("path", { class: "axis", d: `M${LEFT} ${ROW}h${inner()}${ticks.map((v) => `M${at(v)} ${ROW}v5`).join("")}` }),
      ...ticks.map((v) => el("text", { x: at(v), y: ROW + 19, "text-anchor": "middle" }, fixed(v, digits))),
      el("text", { class: "name", x: clamp(at(bound()), half, view.width - half), y: 14, "text-anchor": "middle" },
        name));
  }

  /** Heights of the error's axis: powers of ten, or 1, 2 and 5 times them where there are few. */
  function heights(low, high, up) {
    const first = Math.ceil(low), powers = range(Math.max(0, Math.floor(high) - first + 1)).map((i) => first + i);
    const every = Math.ceil(powers.length / 5), some = powers.filter((_, i) => i % every === 0);
    const fine = range(3).flatMap((i) => [1, 2, 5].map((n) => Number(`${n}e${first - 1 + i}`)));
    const inside = fine.filter((value) => up(value) >= 0 && up(value) <= 1);
    return powers.length > 1 ? some.map((p) => [(p - low) / (high - low), `10${raised(p)}`])
      : inside.map((value) => [up(value), tickName(value)]);
  }

  /** The error and its parts over the bound, on a logarithmic scale, and the bound of now. */
  function paintCurve() {
    const all = curve(), sums = all.map(({ mse }) => mse).filter((value) => value > 0);
    const high = Math.log10(Math.max(...sums)), low = Math.min(Math.log10(Math.min(...sums)) - 0.35, high - 1);
    const up = (value) => (Math.log10(Math.max(value, 1e-300)) - low) / (high - low), ticks = heights(low, high, up);
    const line = (name) => { // broken where it lies below the axis
      const points = all.map((one, i) => [SHARES[i], up(one[name])]);
      const runs = points.reduce((made, [u, v]) => {
        if (v < 0) made.push([]); else made.at(-1).push([u, Math.min(v, 1)]);
        return made;
      }, [[]]);
      return runs.filter((run) => run.length > 1).map((run) => plot.path(run)).join("");
    };
    const { mse } = errors(layer(), bound(), now.bits), [, bottom] = plot.spot(0, 0);
    const [cx, cy] = plot.spot(now.share, clamp(up(mse), 0, 1)), across = range(6).map((i) => [i / 5, fixed(i / 5, 1)]);
    drawing.replaceChildren(
      ...axes(plot, { name: "bound, as a share of the largest", ticks: across },
        { name: "mean squared error", ticks }),
      el("path", { class: "sum", d: line("mse") }), el("path", { class: "lost", d: line("clipping") }),
      el("path", { class: "fine", d: line("rounding") }),
      el("path", { class: "here", d: `M${cx} ${bottom}V${cy}` }), el("circle", { class: "dot", cx, cy, r: 6.5 }));
  }

  draw();
}
