// Assignment of anchors to objects, one decision a step: first the largest entries of the IoU matrix, each taking its
// row and its column with it; then the anchors that are left, by a threshold.
import { button, caption, drawBox, el, fixed, iou, key, picture, range, slider } from "./common.js";

/**
 * All decisions in their order. Each is { kind, anchor, truth, iou }: "largest" while objects are left without an
 * anchor, then "above" or "below" the threshold for each remaining anchor. Of equal entries the first is taken.
 */
export function decide(matrix, threshold) {
  const count = matrix.length ? matrix[0].length : 0, decisions = [];
  const anchors = new Set(range(matrix.length)), truths = new Set(range(count));
  while (anchors.size && truths.size) {
    let best = null;
    for (const anchor of anchors) for (const truth of truths)
      if (!best || matrix[anchor][truth] > best.iou) best = { kind: "largest", anchor, truth, iou: matrix[anchor][truth] };
    decisions.push(best);
    anchors.delete(best.anchor);
    truths.delete(best.truth);
  }
  for (const anchor of anchors) {
    const truth = matrix[anchor].reduce((best, value, i) => (value > matrix[anchor][best] ? i : best), 0);
    const value = count ? matrix[anchor][truth] : 0;
    decisions.push({ kind: count && value >= threshold ? "above" : "below", anchor, truth, iou: value });
  }
  return decisions;
}

export function mount(root, state, publish) {
  const { anchors, truths, names } = state;
  const matrix = anchors.map((anchor) => truths.map((truth) => iou(anchor, truth)));
  let threshold = state.threshold, step = 0, pointed = null; // `step` decisions are taken; the anchor under the hand

  const view = picture(state.picture, state.alt, draw);
  const layer = el("g");
  view.svg.append(layer);
  const body = el("tbody"), status = el("p", { class: "status", role: "status" });
  const total = () => decide(matrix, threshold).length;
  const go = (to) => () => { step = to(); draw(); };
  const back = button("Back", go(() => step - 1)), next = button("Next", go(() => step + 1));
  const last = button("To the end", go(total)), first = button("Start over", go(() => 0));
  const head = ["anchor", ...names, "gets"].map((text, i) => el("th", { scope: "col" }, i > 0 && i <= names.length ? key("truth") : "", text));

  root.append(
    caption(state.question, "Guess, then press Next."),
    el("div", { class: "layout" },
      el("div", {}, view.frame, el("div", { class: "row steps" }, back, next, last, first), status),
      el("div", { class: "side" },
        el("div", { class: "scroll" }, el("table", {}, el("caption", {}, "IoU of each anchor with each object"), el("thead", {}, el("tr", {}, ...head)), body)),
        slider("threshold", { min: 0, max: 1, step: 0.01, value: threshold, format: (value) => value.toFixed(2) }, (value) => { threshold = value; draw(); }),
        el("p", { class: "note" }, "The threshold speaks only in the second part, to anchors that no object has taken."))));

  function draw() {
    const decisions = decide(matrix, threshold), taken = decisions.slice(0, step), now = taken[step - 1];
    const gets = {}; // anchor -> object, or -1 for background
    for (const { kind, anchor, truth } of taken) gets[anchor] = kind === "below" ? -1 : truth;
    const firsts = taken.filter(({ kind }) => kind === "largest");
    const lost = firsts.length === decisions.filter(({ kind }) => kind === "largest").length && step > firsts.length; // crossings end with part one
    paint(gets, now);
    body.replaceChildren(...anchors.map((_, i) => row(i, gets, now, lost ? [] : firsts)));
    back.disabled = first.disabled = step === 0;
    next.disabled = last.disabled = step === decisions.length;
    status.textContent = now ? explain(now) + (step === decisions.length ? ` All ${anchors.length} anchors are decided.` : "")
      : anchors.length ? "Part one: which entry of the table is the largest?" : "No anchors.";
    const labels = anchors.map((_, i) => (i in gets ? gets[i] : null));
    publish({ step, steps: decisions.length, threshold, matrix, now: now ?? null, labels });
  }

  function explain({ kind, anchor, truth, iou: value }) {
    const entry = fixed(value);
    if (kind === "largest") return `The largest entry left is ${entry}: anchor ${anchor} goes to ${names[truth]}. Its row and its column are crossed out.`;
    if (kind === "above") return `Anchor ${anchor} was left over; its best is ${names[truth]} with ${entry}, which reaches ${fixed(threshold)}: it goes there too.`;
    return truths.length ? `Anchor ${anchor} was left over; its best is ${entry}, below ${fixed(threshold)}: background.` : `There is no object: anchor ${anchor} is background.`;
  }

  function row(i, gets, now, firsts) {
    const crossedRow = firsts.find(({ anchor }) => anchor === i);
    const cells = truths.map((_, j) => {
      const crossed = crossedRow || firsts.some(({ truth }) => truth === j), chosen = gets[i] === j;
      const current = now && now.anchor === i && now.truth === j;
      return el("td", { class: [chosen ? "chosen" : crossed ? "crossed" : "", current ? "current" : ""].join(" ").trim() || null, style: `--share:${Math.round(100 * matrix[i][j])}%` },
        fixed(matrix[i][j]), crossed && !chosen ? el("span", { class: "hidden" }, " crossed out") : "");
    });
    const label = !(i in gets) ? "" : gets[i] < 0 ? "background" : names[gets[i]];
    return el("tr", { "data-anchor": i, class: now && now.anchor === i ? "now" : null, onpointerenter: () => { pointed = i; paint(gets, now); }, onpointerleave: () => { pointed = null; paint(gets, now); } },
      el("th", { scope: "row" }, key(gets[i] === -1 ? "ignored" : "anchor"), String(i)), ...cells, el("td", { class: "gets" }, label));
  }

  /** Objects in green; anchors in sky blue, named once they are decided; background in grey. */
  function paint(gets, now) {
    const order = range(anchors.length).sort((i, j) => weight(i) - weight(j));
    function weight(i) { return (i === pointed) * 4 + (now && now.anchor === i) * 2 + (gets[i] >= 0); }
    layer.replaceChildren(...truths.map((truth, j) => drawBox(view, truth, "truth", { width: 3, name: names[j] })), ...order.map((i) => {
      const active = i === pointed || (now && now.anchor === i), out = gets[i] === -1;
      return drawBox(view, anchors[i], out ? "ignored" : "anchor", { width: active ? 3.5 : gets[i] >= 0 ? 2.5 : 1.5, dash: out ? "5 4" : null, fill: active ? 0.22 : 0,
        faint: out && !active, below: true, name: gets[i] >= 0 ? `${i} → ${names[gets[i]]}` : String(i) });
    }));
  }
  draw();
}
