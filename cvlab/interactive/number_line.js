// A number line stored in a few bits: bounds to drag, the numbers that can be told, and the error of each number.
import {
  announcer, arrowKeys, caption, check, clamp, draggable, el, fixed, group, key, layout, range, set, slider, table,
} from "./common.js";
import { even, niceStep, strip } from "./strip.js";

/** Scale and zero point for all numbers between two bounds, and the whole numbers that are used. */
export function chooseParams(low, high, { bits, signed, symmetric }) {
  const smallest = Math.min(low, 0), largest = Math.max(high, 0), least = signed ? -(2 ** (bits - 1)) : 0;
  const exact = symmetric ? Math.max(-smallest, largest) / (2 ** (bits - 1) - 1)
    : (largest - smallest) / (2 ** bits - 1);
  const scale = exact > 0 ? exact : 1;
  const zero = symmetric ? 0 : even(least - smallest / scale);
  return { scale: Math.fround(scale), zero, least, most: least + 2 ** bits - 1 };
}

/** The whole number for a real one, in the steps that float32 takes. */
export function quantize(x, { scale, zero, least, most }) {
  return clamp(clamp(even(Math.fround(Math.fround(x) / scale)), -(2 ** 24), 2 ** 24) + zero, least, most);
}

export const dequantize = (q, { scale, zero }) => Math.fround((q - zero) * scale);

const KINDS = {
  signed: { text: "asymmetric, signed", signed: true, symmetric: false },
  unsigned: { text: "asymmetric, unsigned", signed: false, symmetric: false },
  symmetric: { text: "symmetric: zero point 0", signed: true, symmetric: true },
};
const LEFT = 52, RIGHT = 16; // margins of the line
const TOP = 34, LINE = 118, PIN = 162, SAW = [190, 352], HEIGHT = 378; // from above: bounds, line, number, errors
const ZERO = (SAW[0] + SAW[1]) / 2; // no error
const minus = (text) => String(text).replace("-", "−");
const short = (value, digits = 4) => minus(Number(value.toPrecision(digits)));
const signedText = (value) => (value < 0 ? `− ${-value}` : `+ ${value}`);

export function mount(root, state, publish) {
  const { extent: [left, right], step } = state, places = Math.max(0, -Math.round(Math.log10(step)));
  const kind = state.symmetric ? "symmetric" : state.signed ? "signed" : "unsigned";
  const now = { low: state.low, high: state.high, bits: state.bits, kind, x: state.x };
  const snap = (value) => Number((Math.round(value / step) * step).toFixed(places));
  const text = (value) => fixed(value, Math.min(places, 4));

  const view = strip(HEIGHT, draw);
  const [below, marks, grips] = view.layers(3);
  for (const layer of [below, marks]) set(layer, { "pointer-events": "none" });
  const limits = { low: () => [left, now.high], high: () => [now.low, right], x: () => [left, right] };
  const titles = { low: "Lower bound", high: "Upper bound", x: "The number x" };
  const handles = Object.fromEntries(["low", "x", "high"].map((name) => [name, handle(name)]));

  const bits = slider("bits", { min: 2, max: 8, step: 1, value: now.bits }, (value) => { now.bits = value; draw(); });
  const radios = Object.entries(KINDS).map(([name, one]) =>
    check(one.text, name === now.kind, () => { now.kind = name; draw(); }, "kind"));
  const grid = table("The grid"), stored = table("x, stored"), status = announcer();

  root.append(
    caption(state.question, "Drag both bounds and the number x, or Tab to them and use the arrow keys (with Shift: "
      + "10 steps)."),
    layout([view.frame, status], [
      group("Whole numbers", bits, el("div", { class: "kinds" }, ...radios)), grid, stored]));

  /** A handle; those of the bounds stand outside the range, so that they never cover each other. */
  function handle(name) {
    const side = name === "low" ? -1 : 1, beside = (width, inside) => (side < 0 ? inside - width : -inside);
    const shape = name === "x" ? [el("circle", { class: "reach", r: 18 }), el("circle", { class: "knob", r: 8 })]
      : [el("rect", { class: "reach", x: beside(26, 0), y: -14, width: 26, height: LINE - TOP + 14 }),
        el("path", { class: "stem", d: `M0 0V26M0 48V${LINE - TOP}` }),
        el("rect", { class: "knob", x: beside(13, 1), y: -9, width: 13, height: 20, rx: 3 })];
    const node = el("g", { class: `grip ${name}`, tabindex: 0, role: "slider", "aria-orientation": "horizontal" },
      ...shape);
    const go = (value) => { now[name] = clamp(snap(value), ...limits[name]()); draw(); };
    arrowKeys(node, (dx, dy) => go(now[name] + (dx - dy) * step * 5), 10);
    draggable(node, view, () => now[name], (begun, dx) => go(begun + (dx * (right - left)) / inner()), () => {});
    return grips.appendChild(node);
  }

  const inner = () => Math.max(view.width - LEFT - RIGHT, 1);
  const at = (value) => LEFT + ((value - left) / (right - left)) * inner();

  function draw() {
    const { signed, symmetric } = KINDS[now.kind];
    const params = chooseParams(now.low, now.high, { bits: now.bits, signed, symmetric });
    const q = quantize(now.x, params), value = dequantize(q, params), error = value - now.x;
    const cut = even(Math.fround(Math.fround(now.x) / params.scale)) + params.zero !== q;
    tell(params, q, value, error, cut);
    if (view.width > 1) paint(params, q, value, error, cut);
    publish({ low: now.low, high: now.high, bits: now.bits, signed, symmetric, x: now.x, scale: params.scale,
      zero_point: params.zero, least: params.least, most: params.most, q, value, error, cut });
  }

  function tell({ scale, zero, least, most }, q, value, error, cut) {
    const line = (name, ...cells) => el("tr", {}, el("th", { scope: "row" }, ...[name].flat()),
      ...cells.map((cell) => el("td", {}, cell)));
    const wholes = `${minus(least)} to ${minus(most)}`;
    grid.body.replaceChildren(
      line("scale", short(scale)), line("zero point: 0.0 is", minus(zero)), line("whole numbers", wholes),
      line("real numbers", `${short((least - zero) * scale, 3)} to ${short((most - zero) * scale, 3)}`));
    const steps = even(Math.fround(Math.fround(now.x) / scale));
    stored.body.replaceChildren(
      line([key("reader"), "x"], text(now.x)),
      line("round(x / scale)", minus(steps)),
      line([key("prediction"), "q: plus zero point", cut ? ", cut off" : ""], minus(q)),
      line([key("prediction"), "stored: (q − zero point) · scale"], short(value)),
      line("error: stored − x", `${error > 1e-9 ? "+" : ""}${short(Math.abs(error) < 1e-9 ? 0 : error, 3)}`));
    const half = short(scale / 2, 3), off = short(Math.abs(error) < 1e-9 ? 0 : Math.abs(error), 3);
    const sum = zero === 0 ? minus(q) : `${minus(steps)} ${signedText(zero)} = ${minus(q)}`;
    const words = cut
      ? `${text(now.x)} lies beyond the last number of the grid and is cut off to ${short(value)}: off by ${off}.`
      : `${text(now.x)} is stored as ${sum}, which stands for ${short(value)}: off by ${off}, `
        + `at most scale\u00a0/\u00a02\u00a0=\u00a0${half}.`;
    const odd = now.low > 0 || now.high < 0 ? " The range always reaches to 0, which must be exact." : "";
    status.textContent = words + odd;
    for (const name of ["low", "high", "x"]) {
      const [first, last] = limits[name]();
      set(handles[name], { "aria-label": titles[name], "aria-valuenow": now[name], "aria-valuemin": first,
        "aria-valuemax": last, "aria-valuetext": text(now[name]) });
    }
  }

  function paint(params, q, value, error, cut) {
    const { scale, zero, least, most } = params, gap = (scale / (right - left)) * inner();
    const [first, last] = [least, most].map((n) => (n - zero) * scale), label = (x, y, anchor, words, type = null) =>
      el("text", { x, y, "text-anchor": anchor, class: type }, words);
    set(handles.low, { transform: `translate(${at(now.low)} ${TOP})` });
    set(handles.high, { transform: `translate(${at(now.high)} ${TOP})` });
    set(handles.x, { transform: `translate(${at(now.x)} ${PIN})` });
    below.replaceChildren(
      el("rect", { class: "range", x: at(now.low), y: TOP, width: at(now.high) - at(now.low), height: 26 }),
      ...outside(first - scale / 2, last + scale / 2, label));
    marks.replaceChildren(
      ...scaleOf(label), ...gridOf(params, gap, q, label), ...boundNames(label), ...numberName(label),
      ...saw(params, gap, label), ...here(value, error, scale, cut));
  }

  /** Where numbers are cut off: grey down to the errors. */
  function outside(from, to, label) {
    const zone = (a, b) => {
      const x = clamp(at(a), LEFT, LEFT + inner()), width = clamp(at(b), LEFT, LEFT + inner()) - x;
      if (width < 1) return [];
      const words = width > 52 ? label(x + width / 2, SAW[1] - 9, "middle", "cut off", "whole") : "";
      return [el("rect", { class: "outside", x, y: SAW[0], width, height: SAW[1] - SAW[0] }), words];
    };
    return [...zone(left, from), ...zone(to, right)];
  }

  /** The line itself with round numbers below it. */
  function scaleOf(label) {
    const unit = niceStep(right - left, Math.max(2, Math.floor(inner() / 46)));
    const ticks = range(Math.floor((right - left) / unit) + 2).map((i) => (Math.ceil(left / unit - 1e-9) + i) * unit)
      .filter((v) => v <= right + unit * 1e-6);
    const digits = Math.max(0, -Math.floor(Math.log10(unit) + 1e-9));
    return [el("path", { class: "axis", d: `M${LEFT} ${LINE}H${LEFT + inner()}` }),
      el("path", { class: "axis", d: ticks.map((v) => `M${at(v)} ${LINE}v5`).join("") }),
      el("path", { class: "axis", d: ticks.map((v) => `M${at(v)} ${SAW[1]}v-5`).join("") }),
      ...ticks.map((v) => label(at(v), LINE + 19, "middle", fixed(v, digits)))];
  }

  /** A tick for each number that can be stored, thinned where they would touch, and the whole numbers above some. */
  function gridOf({ scale, zero, least, most }, gap, q, label) {
    const every = 2 ** Math.max(0, Math.ceil(Math.log2(3 / gap))), all = range(most - least + 1).map((i) => least + i);
    const spot = (n) => at((n - zero) * scale), seen = (n) => spot(n) >= LEFT - 1 && spot(n) <= LEFT + inner() + 1;
    const drawn = all.filter((n) => seen(n) && ((n - zero) % every === 0 || n === least || n === most));
    const wide = Math.max(...[least, most].map((n) => view.textWidth(minus(n)))) + 9, taken = [];
    const free = (n) => {
      const x = spot(n);
      if (!seen(n) || taken.some((other) => Math.abs(other - x) < wide)) return false;
      return taken.push(x);
    };
    const far = 2 ** Math.max(0, Math.ceil(Math.log2(wide / gap)));
    const named = [q, least, most, zero, ...all.filter((n) => (n - zero) % far === 0)].filter(free);
    const tick = (n) => `M${spot(n)} ${LINE}V${n === zero ? LINE - 36 : LINE - 22}`;
    return [el("path", { class: "level", d: drawn.map(tick).join("") }),
      seen(zero) ? el("path", { class: "level zero", d: tick(zero) }) : "",
      seen(q) ? el("path", { class: "level chosen", d: `M${spot(q)} ${LINE}V${LINE - 30}` }) : "",
      ...named.map((n) => label(spot(n), LINE - 42, "middle", minus(n), n === q ? "name" : "whole"))];
  }

  /** The bounds above their handles; where they would meet they move apart. */
  function boundNames(label) {
    const words = [`low ${text(now.low)}`, `high ${text(now.high)}`], widths = words.map(view.textWidth);
    const end = view.width - 2, starts = [now.low, now.high].map((value, i) =>
      clamp(at(value) - widths[i] / 2, 2, end - widths[i]));
    let [a, b] = starts;
    const lack = a + widths[0] + 14 - b;
    if (lack > 0) {
      a = clamp(a - lack / 2, 2, end - widths[0] - widths[1] - 14);
      b = a + widths[0] + 14;
    }
    return [label(a, 14, "start", words[0], "name"), label(b, 14, "start", words[1], "name")];
  }

  function numberName(label) {
    const words = `x = ${text(now.x)}`, x = at(now.x), flip = x + 22 + view.textWidth(words) > view.width;
    return [el("path", { class: "drop", d: `M${x} ${LINE}V${SAW[1]}` }),
      label(flip ? x - 15 : x + 15, PIN + 4, flip ? "end" : "start", words, "name")];
  }

  /** Where an error lies in the lower part. */
  function height(error, scale) {
    return ZERO - (error / (1.3 * scale)) * ((SAW[1] - SAW[0]) / 2);
  }

  /** The error over the line: a saw inside the grid, and outside one that grows with the distance. */
  function saw({ scale, zero, least, most }, gap, label) {
    const [first, last] = [least, most].map((n) => (n - zero) * scale);
    const [top, base] = [0.5, -0.5].map((e) => height(e, 1));
    const tall = SAW[1] - SAW[0], end = LEFT + inner(), spot = (v, error) => `${at(v)} ${height(error, scale)}`;
    const tooth = (v) => `L${spot(v - scale / 2, scale / 2)}L${spot(v + scale / 2, -scale / 2)}`;
    const dense = gap < 3; // teeth that could not be told apart are a band
    const teeth = dense ? `L${at(first)} ${top}M${at(last)} ${base}`
      : range(most - least + 1).map((i) => tooth(first + i * scale)).join("");
    const d = `M${spot(first - 9 * scale, 9 * scale)}${teeth}L${spot(last + 9 * scale, -9 * scale)}`;
    const clip = el("svg", { x: LEFT, y: SAW[0], width: inner(), height: tall,
      viewBox: `${LEFT} ${SAW[0]} ${inner()} ${tall}` },
    dense ? el("rect", { class: "band", x: at(first), y: top, width: at(last) - at(first), height: base - top }) : "",
    el("path", { class: "saw", d }));
    const plain = String(Number((scale / 2).toPrecision(2)));
    const half = plain.length < 7 ? plain : minus((scale / 2).toExponential(0));
    return [el("path", { class: "axis", d: `M${LEFT} ${SAW[0]}V${SAW[1]}M${LEFT} ${ZERO}H${end}` }), clip,
      el("path", { class: "half", d: `M${LEFT} ${top}H${end}M${LEFT} ${base}H${end}` }),
      label(LEFT - 6, top + 4, "end", `+${half}`), label(LEFT - 6, base + 4, "end", `−${half}`),
      label(LEFT - 6, ZERO + 4, "end", "0"),
      label(LEFT, HEIGHT - 6, "start", "error: stored − x; dashed: ± scale / 2")];
  }

  /** What is stored in place of x, and how far off it is. */
  function here(value, error, scale) {
    const y = clamp(height(error, scale), SAW[0], SAW[1]), x = at(now.x);
    const moved = at(clamp(value, left, right));
    return [el("path", { class: "move", d: `M${x} ${LINE}H${moved}` }),
      el("circle", { class: "stored", cx: moved, cy: LINE, r: 5 }),
      el("circle", { class: "own", cx: x, cy: LINE, r: 4 }),
      el("path", { class: "off", d: `M${x} ${ZERO}V${y}` }), el("circle", { class: "stored", cx: x, cy: y, r: 5 })];
  }

  draw();
}
