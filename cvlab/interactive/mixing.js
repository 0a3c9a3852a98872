// Two pictures mixed into one, by MixUp or CutMix, and the soft label that goes with the mixture.
import {
  announcer, area, arrowKeys, bar, button, caption, check, clamp, decode, draggable, drawBox, el, fixed, framed,
  group, grouped, intersect, layout, picture, place, put, range, row, seeded, set, slider, tag, unitSlider,
} from "./common.js";

/** Mix RGBA bytes: lambda of the first and 1 - lambda of the second. */
export function mix(first, second, lambda) {
  const mixed = new Uint8ClampedArray(first.length);
  for (let i = 0; i < mixed.length; i += 1) mixed[i] = lambda * first[i] + (1 - lambda) * second[i];
  return mixed;
}

/** The box that CutMix pastes: 1 - lambda of the picture's area about a centre, in whole pixels, cut at the border. */
export function patch(lambda, [x, y], W, H) {
  const side = Math.sqrt(1 - lambda), w = (side * W) / 2, h = (side * H) / 2;
  return [[x - w, W], [y - h, H], [x + w, W], [y + h, H]].map(([edge, end]) => clamp(Math.round(edge), 0, end));
}

/** The weight of the first label: lambda itself, or for CutMix the share of the picture that is not pasted over. */
export const weight = ({ method, lambda, at }, W, H) =>
  (method === "mixup" ? lambda : 1 - area(patch(lambda, at, W, H)) / (W * H));

/** The box around what is left of a box beside a pasted one: shorter only where a whole side of it is hidden. */
function remaining(box, pasted) {
  const left = [...box];
  for (const axis of [0, 1]) {
    const [low, high, other] = [axis, axis + 2, 1 - axis];
    if (pasted[other] > box[other] || pasted[other + 2] < box[other + 2]) continue;
    if (pasted[low] <= box[low]) left[low] = clamp(pasted[high], box[low], box[high]);
    if (pasted[high] >= box[high]) left[high] = clamp(pasted[low], left[low], box[high]);
  }
  return left;
}

/**
 * The boxes of both pictures in the mixture. MixUp keeps them all, each `shown` as strongly as its picture; CutMix
 * keeps what is left of them, and drops those of which less than `least` is left to be seen.
 */
export function mixBoxes({ method, lambda, at, least }, [first, second], W, H) {
  if (method === "mixup") {
    const of = (source, boxes, shown) => boxes.map((box) => ({ source, box, shown, kept: true }));
    return [...of(0, first, lambda), ...of(1, second, 1 - lambda)];
  }
  const pasted = patch(lambda, at, W, H);
  const share = (box) => (area(box) > 0 ? area(intersect(box, pasted)) / area(box) : 0);
  const left = (source, box, shown, rest) => ({ source, box: rest, shown, kept: shown > 0 && shown >= least });
  return [...first.map((box) => left(0, box, 1 - share(box), remaining(box, pasted))),
    ...second.map((box) => left(1, box, share(box), intersect(box, pasted)))];
}

/** The logarithm of the gamma function, by Stirling's series far enough from 0. */
function logGamma(x) {
  if (x < 8) return logGamma(x + 1) - Math.log(x);
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + 1 / (12 * x) - 1 / (360 * x ** 3);
}

/** The density of Beta(alpha, alpha) at a lambda between 0 and 1. */
export const density = (alpha, lambda) =>
  Math.exp((alpha - 1) * Math.log(lambda * (1 - lambda)) + logGamma(2 * alpha) - 2 * logGamma(alpha));

/** Draw from Beta(alpha, alpha) by throwing away what does not fit; where the density has no peak, as Jöhnk (1964). */
export function drawBeta(alpha, random) {
  for (;;) {
    const u = random(), v = random();
    if (alpha >= 1 && v < (4 * u * (1 - u)) ** (alpha - 1)) return u;
    const x = u ** (1 / alpha), y = v ** (1 / alpha);
    if (alpha < 1 && x + y <= 1) return x / (x + y);
  }
}

const METHODS = { mixup: "MixUp: blend everywhere", cutmix: "CutMix: paste a patch" };
const BINS = 20, TOP = 4; // of the histogram: bars, and the greatest density shown

export function mount(root, state, publish) {
  const { names, boxes } = state, { width: W, height: H } = state.pictures[0];
  const now = { method: "mixup", lambda: 0.6, alpha: 1, draws: [], least: 0.25,
    at: [Math.round(0.6 * W), Math.round(0.55 * H)] };
  const random = seeded(1);
  let pens = null, bytes = null, mixed = []; // of the two pictures: pens and pixels; the boxes of the mixture

  const view = picture({ width: W, height: H }, () => paint()), screen = el("canvas");
  view.frame.prepend(screen);
  const [layer] = view.layers(1);
  const hand = view.svg.appendChild(el("rect", { class: "hand", tabindex: 0, role: "application",
    "aria-roledescription": "movable patch" }));
  const move = (x, y) => { now.at = [clamp(x, 0, W), clamp(y, 0, H)]; redraw(); };
  arrowKeys(hand, (dx, dy) => move(now.at[0] + dx, now.at[1] + dy));
  draggable(hand, view, () => now.at, ([x, y], dx, dy) => move(x + dx, y + dy), () => {});

  const methods = Object.entries(METHODS).map(([name, label]) =>
    check(label, name === now.method, () => { now.method = name; redraw(); }, "method"));
  const lambda = unitSlider("λ", now.lambda, (value) => { now.lambda = value; redraw(); });
  const alpha = slider("α", { min: 0.1, max: 8, step: 0.1, value: now.alpha, digits: 1 },
    (value) => { now.alpha = value; now.draws = []; redraw(); });
  const curve = el("svg", { viewBox: "0 0 100 40", preserveAspectRatio: "none" });
  const axis = el("div", { class: "axis" }, ...["0", "λ", "1"].map((text) => el("span", {}, text)));
  const plot = el("div", { class: "slider plot", "aria-hidden": "true" }, el("span", {}, "density"),
    el("div", {}, curve, axis));
  const labels = state.pictures.map(({ src }, i) => ({ share: el("output"), fill: el("div"),
    thumb: el("img", { src, alt: `picture ${names[i]}` }), name: names[i] }));
  const formula = el("p", { class: "note formula" }), status = announcer(), tally = el("span", { class: "note" });

  root.append(
    caption(state.question, "Choose a way to mix and move λ. In CutMix, drag the patch, by hand or arrow keys."),
    layout([view.frame, formula, status], [
      group("Way to mix", ...methods),
      group(`λ, the share of ${names[0]}`, lambda),
      group("The mixture’s soft label", ...labels.map(({ thumb, name, fill, share }) =>
        el("div", { class: "label" }, thumb, el("span", {}, name), share, fill))),
      group("In training, λ is drawn from Beta(α, α)", plot, alpha,
        row(button("Draw λ", () => draw(1)), button("Draw 100", () => draw(100)), tally))]));

  /** Draw lambdas, and for the last of them a place for the patch. */
  function draw(count) {
    now.draws = [...now.draws, ...range(count).map(() => drawBeta(now.alpha, random))];
    now.at = [Math.floor(random() * (W + 1)), Math.floor(random() * (H + 1))];
    put(lambda, now.draws.at(-1));
  }

  const redraw = framed(() => {
    if (!pens) return;
    const shares = [weight(now, W, H), 1 - weight(now, W, H)], pasted = patch(now.lambda, now.at, W, H);
    mixed = mixBoxes(now, boxes, W, H);
    develop(pasted);
    for (const [i, { share, fill }] of labels.entries()) {
      share.textContent = fixed(shares[i]);
      fill.replaceChildren(bar(0, shares[i], "truth", i ? 1 - now.lambda : now.lambda));
    }
    formula.textContent = now.method === "mixup" ? blendFormula(shares) : pasteFormula(shares, area(pasted));
    status.textContent = explain(shares);
    tally.textContent = now.draws.length ? `${now.draws.length} drawn` : "";
    curve.replaceChildren(...graph());
    paint();
    publish({ ...now, weight: shares[0], patch: pasted, boxes: mixed });
  });

  function develop([x1, y1, x2, y2]) {
    const { width, height } = screen, pen = screen.getContext("2d"), [a, b] = pens;
    if (now.method === "mixup") {
      pen.putImageData(new ImageData(mix(...bytes, now.lambda), width, height), 0, 0);
      return;
    }
    const k = width / W, l = height / H, part = [k * x1, l * y1, k * (x2 - x1), l * (y2 - y1)];
    pen.drawImage(a.canvas, 0, 0);
    if (part[2] > 0 && part[3] > 0) pen.drawImage(b.canvas, ...part, ...part);
  }

  function blendFormula([a, b]) {
    return `mixture = λ × ${names[0]} + (1 − λ) × ${names[1]} = ${fixed(a)} × ${names[0]} + ${fixed(b)} × ${names[1]}`;
  }

  function pasteFormula([a], pasted) {
    return `share of ${names[0]} = 1 − pasted / picture = 1 − ${grouped(pasted)} / ${grouped(W * H)} = ${fixed(a)}`;
  }

  function explain([a]) {
    const stay = mixed.length ? " All boxes stay, with the weight of their picture." : "";
    if (now.method === "mixup") return `Each pixel and the label are mixed alike.${stay}`;
    const cut = a - now.lambda > 0.005
      ? `The border cuts the patch: the label says ${fixed(a)}, not ${fixed(now.lambda)}.`
      : "The whole patch is inside: the label is λ.";
    const dropped = mixed.filter((one) => !one.kept).map((one) => names[one.source]);
    return dropped.length ? `${cut} Dropped, because too little is left: ${dropped.join(", ")}.` : cut;
  }

  /** The density of Beta(alpha, alpha), below it the histogram of what was drawn, and across both the λ of now. */
  function graph() {
    const { draws, alpha: a, lambda: x } = now, high = (value) => 40 * (1 - Math.min(value / TOP, 1));
    const binOf = (one) => Math.min(Math.floor(one * BINS), BINS - 1);
    const counts = range(BINS).map((bin) => draws.filter((one) => binOf(one) === bin).length);
    const bars = counts.map((count, bin) => {
      const y = high((count * BINS) / Math.max(draws.length, 1));
      return el("rect", { x: (100 * bin) / BINS, y, width: 100 / BINS, height: 40 - y });
    });
    const points = range(199).map((i) => (i + 1) / 200).map((one) => `${100 * one} ${high(density(a, one))}`);
    return [...bars, el("path", { d: `M${points.join("L")}` }),
      el("line", { x1: 100 * x, x2: 100 * x, y1: 0, y2: 40 })];
  }

  function paint() {
    const cut = now.method === "cutmix", pasted = patch(now.lambda, now.at, W, H);
    const { x, y, width, height } = place(view, pasted), [u, v] = [width, height].map((length) => Math.max(length, 28));
    set(hand, { x: x + (width - u) / 2, y: y + (height - v) / 2, width: u, height: v, // large enough for a finger
      display: cut ? null : "none",
      "aria-label": `Patch of ${names[1]}, centre at x ${now.at[0]}, y ${now.at[1]}. Arrow keys move it.` });
    const seen = mixed.filter((one) => one.shown > 0).sort((a, b) => a.kept - b.kept);
    const role = (one) => (one.kept ? "truth" : "ignored");
    layer.replaceChildren(...(cut ? [drawBox(view, pasted, "reader", { width: 1.5 })] : []),
      ...seen.map((one) => set(drawBox(view, one.box, role(one), one.kept ? {} : { dash: "5 4" }),
        { opacity: cut ? null : 0.2 + 0.8 * one.shown })),
      ...seen.map((one) => tag(view, one.box, role(one), `${names[one.source]} ${fixed(100 * one.shown, 0)} %`,
        { below: one.source === 1 })));
  }

  decode(state.pictures[0].src).then(async (first) => {
    const { width, height } = first.canvas;
    pens = [first, await decode(state.pictures[1].src, [width, height])];
    bytes = pens.map((pen) => pen.getImageData(0, 0, width, height).data);
    set(screen, { width, height });
    redraw();
  });
}
