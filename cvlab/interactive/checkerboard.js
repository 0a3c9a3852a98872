// Checkerboards: a picture enlarged in three ways, the kernel entries that each pixel of a line gets, and its spectrum.
import {
  announcer, arrowKeys, axes, caption, chart, check, clamp, easel, el, fixed, group, layout, picture, range, row, set,
  slider,
} from "./common.js";

const SIDE = 48; // pixels of the result along each side: 2, 3 and 4 divide it
const MARGIN = 6; // pixels of the input around those that are shown, so that no border is seen

const wave = (pixels) => Math.cos((2 * Math.PI * pixels) / SIDE);

/** A picture in pixels of the result, from about 0.1 to 0.9; the smooth one repeats after its side. */
export const PICTURES = {
  constant: () => 0.5,
  smooth: (y, x) => 0.45 + 0.17 * wave(x - 15) + 0.12 * wave(y - 20),
};

/** The picture before it is enlarged: each pixel has the value in its middle; `MARGIN` more on every side. */
export function shrink(value, stride) {
  const middle = (i) => (i - MARGIN) * stride + (stride - 1) / 2, n = SIDE / stride + 2 * MARGIN;
  return range(n).map((i) => range(n).map((j) => value(middle(i), middle(j))));
}

/** Lay the kernel on the result once for each pixel of the input, times its value. */
export function layKernels(input, kernel, stride) {
  const k = kernel.length, side = (input.length - 1) * stride + k, sums = range(side).map(() => new Float64Array(side));
  input.forEach((line, i) => line.forEach((value, j) => kernel.forEach((weights, a) => {
    weights.forEach((weight, b) => { sums[i * stride + a][j * stride + b] += value * weight; });
  })));
  return sums.map((line) => [...line]);
}

/** A convolution without padding, the kernel not flipped. */
export const convolve = (input, kernel) => range(input.length - kernel.length + 1).map((i) =>
  range(input.length - kernel.length + 1).map((j) => kernel.reduce((sum, weights, a) =>
    sum + weights.reduce((part, weight, b) => part + input[i + a][j + b] * weight, 0), 0)));

/** Repeat each pixel along both sides: resizing to the nearest pixel, and what shuffled equal channels give. */
export const repeat = (input, times) => range(input.length * times).map((i) =>
  range(input.length * times).map((j) => input[Math.floor(i / times)][Math.floor(j / times)]));

/** Divide a kernel by its sum, so that convolution keeps the mean of a picture. */
export function normalised(kernel) {
  const sum = kernel.flat().reduce((a, b) => a + b, 0);
  return kernel.map((line) => line.map((weight) => weight / sum));
}

/** From the middle of the enlarged picture, `SIDE` pixels along each side. */
export function enlarge(input, kernel, stride, method) {
  const k = kernel.length, lead = Math.floor((k - 1) / 2), even = normalised(kernel);
  const [whole, first] = method === "transposed"
    ? [layKernels(input, even.map((line) => line.map((weight) => weight * stride ** 2)), stride),
      MARGIN * stride + Math.floor((k - stride) / 2)]
    : method === "resize" ? [convolve(repeat(input, stride), even), MARGIN * stride - lead]
      : [repeat(convolve(input, even), stride), (MARGIN - lead) * stride];
  return whole.slice(first, first + SIDE).map((line) => line.slice(first, first + SIDE));
}

/** Which rows (or columns) of the kernel reach each line of the result. */
export function reaching(k, stride, method) {
  if (method !== "transposed") return range(SIDE).map(() => range(k));
  const first = Math.floor((k - stride) / 2);
  return range(SIDE).map((at) => range(k).filter((tap) => (((at + first - tap) % stride) + stride) % stride === 0));
}

/** What each pixel of line `i` gets: its kernel entries along the line, each the sum over the rows, 1 on average. */
export function entries(kernel, stride, method, i) {
  const taps = reaching(kernel.length, stride, method), rows = taps[i];
  const sums = range(kernel.length).map((b) => rows.reduce((sum, a) => sum + kernel[a][b], 0));
  const mean = sums.reduce((a, b) => a + b, 0) / kernel.length;
  return taps.map((some) => (rows.length ? some.map((b) => sums[b] / mean) : []));
}

/** The strength of each frequency, j / SIDE for j from 1 to SIDE / 2, as a share of the mean: 0.5 for 1 + cos. */
export function spectrum(line) {
  const mean = line.reduce((a, b) => a + b, 0);
  return range(SIDE / 2).map((n) => {
    const [re, im] = [Math.cos, Math.sin].map((part) =>
      line.reduce((sum, value, at) => sum + value * part((2 * Math.PI * (n + 1) * at) / SIDE), 0));
    return mean > 0 ? Math.hypot(re, im) / mean : 0;
  });
}

const METHODS = {
  transposed: "transposed convolution", resize: "resize, then convolve", shuffle: "pixel shuffle, ICNR",
};
const grey = (value) => Math.round(255 * clamp(value, 0, 1));

export function mount(root, state, publish) {
  const now = { size: state.size, stride: state.stride, method: state.method, kernel: state.kernel,
    picture: state.picture, line: SIDE / 2 + 1 };
  const holder = easel(SIDE, SIDE);
  let shown = null; // what holds now

  const view = picture({ width: SIDE, height: SIDE }, () => paint());
  const image = view.svg.appendChild(pixels()), [marks] = view.layers(1);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "enlarged picture" }));
  const pick = (line) => { now.line = clamp(line, 0, SIDE - 1); draw(); };
  const point = (event) => pick(Math.floor(view.at(event)[1]));
  set(hand, { onpointermove: point, onpointerdown: point });
  arrowKeys(hand, (dx, dy) => pick(now.line + dx + dy), 8);

  const bars = picture({ width: SIDE, height: 10 }, () => paintBars()), [heap] = bars.layers(1);
  bars.frame.style.maxWidth = "460px"; // as wide as the picture above: each bar stands below its pixel
  bars.svg.classList.add("chart");
  const plot = chart(400, 210, () => paintSpectrum()), [drawing] = plot.layers(1);
  for (const one of [bars, plot]) set(one.svg, { role: "img" });
  const small = Object.fromEntries(["input", "kernel"].map((name) => {
    const one = picture({ width: 1, height: 1 }, () => paintKernel()), heading = el("p", { class: "heading" });
    set(one.svg, { role: "img" });
    return [name, { one, svg: one.svg, heading, node: el("div", {}, heading, one.frame) }];
  }));
  const source = small.input.svg.appendChild(pixels()), [weights] = small.kernel.one.layers(1);
  const words = announcer(), change = (name) => (value) => { now[name] = value; draw(); };
  const choose = (name, value, text) => check(text, now[name] === value, () => change(name)(value), name);

  root.append(
    caption(state.question, "The bars count the kernel entries that each pixel of the orange line gets. Point at the "
      + "picture, tap it, or Tab to it and use the arrow keys to choose another line."),
    layout([
      view.frame,
      el("p", { class: "heading under" }, "kernel entries that each pixel of the line gets; a larger one is taller"),
      bars.frame, words], [
      el("div", { class: "sliders" },
        slider("kernel", { min: 2, max: 6, step: 1, value: now.size }, change("size")),
        slider("stride", { min: 1, max: 4, step: 1, value: now.stride }, change("stride"))),
      group("Method", ...Object.entries(METHODS).map(([value, text]) => choose("method", value, text))),
      el("div", { class: "pairs" },
        group("Kernel", choose("kernel", "ones", "ones"), choose("kernel", "random", "random")),
        group("Picture", choose("picture", "smooth", "smooth"), choose("picture", "constant", "constant")),
        small.kernel.node, small.input.node),
      el("div", {}, el("p", { class: "heading" }, "Spectrum of the line, as shares of its mean"), plot.frame)]));

  function pixels() {
    const style = "image-rendering:pixelated";
    return el("image", { width: "100%", height: "100%", preserveAspectRatio: "none", style });
  }

  /** Put grey levels from 0 to 1 into an image. */
  function fill(image, grid) {
    const pen = grid.length === SIDE ? holder : easel(grid[0].length, grid.length);
    const { width, height } = pen.canvas, data = pen.createImageData(width, height);
    grid.flat().forEach((value, at) => data.data.set([grey(value), grey(value), grey(value), 255], 4 * at));
    pen.putImageData(data, 0, 0);
    set(image, { href: pen.canvas.toDataURL() });
  }

  function draw() {
    const { size, stride, method, line } = now;
    const kernel = range(size).map((a) => range(size).map((b) => (now.kernel === "ones" ? 1 : state.weight[a][b])));
    const input = shrink(PICTURES[now.picture], stride), output = enlarge(input, kernel, stride, method);
    const strengths = spectrum(output[line]), every = SIDE / stride;
    const peaks = strengths.map((value, n) => ({ value, n: n + 1 })).filter(({ n }) => n % every === 0);
    const strongest = peaks.reduce((best, one) => (one.value > best.value ? one : best), { value: 0, n: 0 });
    const piles = entries(kernel, stride, method, line), counts = piles.map((pile) => pile.length);
    shown = { kernel, output, strengths, peaks, strongest, piles, counts };
    tell(input);
    fill(image, output);
    fill(source, input.slice(MARGIN, -MARGIN).map((one) => one.slice(MARGIN, -MARGIN)));
    paint();
    paintKernel();
    paintBars();
    paintSpectrum();
    publish({ ...now, values: output[line], counts, strengths, peak: strongest.value, at: strongest.n / SIDE,
      totals: piles.map((pile) => pile.reduce((a, b) => a + b, 0)) });
  }

  function tell(input) {
    const { counts, strongest } = shown, { stride, size, line } = now, side = input.length - 2 * MARGIN;
    const [title, text] = verdict(counts.slice(0, stride));
    const peak = stride === 1 ? "" : strongest.value > 0.0005
      ? ` The spectrum peaks at ${fraction(strongest.n)}: ${fixed(strongest.value)} of the mean.`
      : ` The spectrum has no peak at ${multiples().map(fraction).join(" or ")}.`;
    words.replaceChildren(el("b", {}, title), ` ${text}${peak}`);
    set(hand, { "aria-label": `Enlarged picture of ${SIDE} × ${SIDE} pixels, line ${line} chosen. Arrow keys choose `
      + "another." });
    set(bars.svg, { "aria-label": `Kernel entries for each pixel of line ${line}: `
      + `${counts.slice(0, 12).join(", ")} and so on` });
    set(plot.svg, { "aria-label": `Spectrum of line ${line}.${peak || " Stride 1 repeats nothing."}` });
    small.kernel.heading.textContent = `kernel, ${size} × ${size}`;
    small.input.heading.textContent = `input, ${side} × ${side}`;
    set(small.kernel.svg, { "aria-label": `Kernel of ${size} × ${size} entries` });
    set(small.input.svg, { "aria-label": `Picture of ${side} × ${side} pixels before it is enlarged` });
  }

  const multiples = () => range(Math.floor(now.stride / 2)).map((n) => ((n + 1) * SIDE) / now.stride);
  const fraction = (n) => { // n / SIDE in lowest terms; only multiples of 1 / stride and 1 / 2 are written
    const down = [2, 3, 4].find((bottom) => (n * bottom) % SIDE === 0);
    return `${(n * down) / SIDE}/${down}`;
  };

  /** Even or not, in words, and why. */
  function verdict(pattern) {
    const { stride, size, method, kernel } = now, least = Math.min(...pattern), same = least === Math.max(...pattern);
    if (method === "resize") return ["Even:", `the picture is resized first, and each pixel gets all ${size} entries.`];
    if (method === "shuffle") return ["Even:", stride === 1 ? "with stride 1 there is nothing to shuffle."
      : `the ${stride ** 2} kernels start as one, so each block of ${stride} × ${stride} pixels has one value.`];
    if (!reaching(size, stride, method)[now.line].length) return ["Empty:", "no row of the kernel reaches this line."];
    const list = [...pattern, ...pattern].join(", ");
    if (!same) return [`Uneven: ${list}.`, least ? `The stride ${stride} does not divide the kernel ${size}.`
      : `The kernel ${size} is narrower than the stride ${stride} and leaves holes.`];
    const start = `the stride ${stride} divides the kernel ${size}, each pixel gets ${least}.`;
    return kernel === "ones" || stride === 1 ? ["Even:", start]
      : ["Even counts, uneven sums:", `${start} But the entries differ until training makes their sums alike.`];
  }

  function paint() {
    if (!shown) return;
    const y = (now.line + 0.5) * view.scale, width = SIDE * view.scale;
    marks.replaceChildren(...["casing", "line"].map((kind) =>
      el("path", { class: `line ${kind}`, d: `M0 ${y - view.scale / 2}H${width}M0 ${y + view.scale / 2}H${width}` })));
  }

  /** The kernel, the largest entry in white; all sizes at one scale. */
  function paintKernel() {
    if (!shown) return;
    const most = Math.max(...shown.kernel.flat()), cell = small.kernel.one.scale / 6;
    weights.replaceChildren(...shown.kernel.flatMap((line, a) => line.map((weight, b) => {
      const style = `fill:rgb(${Array(3).fill(grey(weight / most))})`;
      return el("rect", { class: "weight", x: b * cell, y: a * cell, width: cell, height: cell, style });
    })));
  }

  /** A bar below each pixel: as many segments as entries, each as tall as its entry. */
  function paintBars() {
    if (!shown) return;
    const s = bars.scale, height = 10 * s, sums = shown.piles.map((pile) => pile.reduce((a, b) => a + b, 0));
    const unit = Math.max(0, height - 15) / Math.max(3, ...sums), top = (level) => height - level * unit;
    const ground = el("path", { class: "axis", d: `M0 ${height}H${SIDE * s}` });
    heap.replaceChildren(ground, ...shown.piles.flatMap((pile, at) => {
      let level = 0;
      const segments = pile.map((weight) => {
        level += weight;
        const x = at * s + s * 0.08;
        return el("rect", { class: "entry", x, width: s * 0.84, y: top(level), height: weight * unit });
      });
      const label = s < 6.5 ? "" : el("text", { x: (at + 0.5) * s, y: top(level) - 3, "text-anchor": "middle",
        style: `font-size:${Math.min(11, 1.3 * s)}px` }, String(pile.length));
      return [...segments, label];
    }));
  }

  /** A stem for each frequency; those that repeat with the stride are the checkerboard's. */
  function paintSpectrum() {
    if (!shown) return;
    const whole = shown.peaks.map(({ n }) => n), across = (n) => (2 * n) / SIDE;
    const ticks = [[0, "0"], ...[...new Set([...multiples(), SIDE / 2])].map((n) => [across(n), fraction(n)])];
    const stem = (n, value) => plot.path([[across(n), 0], [across(n), Math.min(value, 1.04)]]);
    drawing.replaceChildren(
      ...axes(plot, { name: "cycles per pixel", ticks },
        { name: "strength", ticks: [0, 0.5, 1].map((v) => [v, fixed(v, 1)]) }),
      ...whole.map((n) => el("path", { class: "multiple", d: plot.path([[across(n), 0], [across(n), 1]]) })),
      ...shown.strengths.flatMap((value, i) => {
        const [cx, cy] = plot.spot(across(i + 1), Math.min(value, 1.04)), kind = whole.includes(i + 1) ? "peak" : "own";
        return [el("path", { class: `stem ${kind}`, d: stem(i + 1, value) }),
          el("circle", { class: kind, cx, cy, r: kind === "peak" ? 5 : 2.2 })];
      }));
  }

  draw();
}
