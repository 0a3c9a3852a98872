// Assignment of anchors to objects, one decision a step: first the largest entries of the IoU matrix, each taking its
// row and its column with it; then the anchors that are left, by a threshold.
import {
  announcer, button, caption, drawBox, el, fixed, iou, key, layout, offer, picture, range, row, table, tag,
  unitSlider,
} from "./common.js";

/**
 * All decisions in their order, from the IoU of each anchor (row) with each object (column). A decision is of the kind
 * "largest" while objects are left without an anchor, then "above" or "below" the threshold for each anchor that is
 * left. Of equal entries the first is taken.
 */
export function decide(matrix, threshold) {
  const anchors = new Set(range(matrix.length)), truths = new Set(range(matrix[0]?.length ?? 0)), decisions = [];
  while (anchors.size && truths.size) {
    let best = { iou: -1 };
    for (const anchor of anchors) for (const truth of truths)
      if (matrix[anchor][truth] > best.iou) best = { kind: "largest", anchor, truth, iou: matrix[anchor][truth] };
    decisions.push(best);
    anchors.delete(best.anchor);
    truths.delete(best.truth);
  }
  for (const anchor of anchors) {
    const best = Math.max(...matrix[anchor]), truth = matrix[anchor].indexOf(best); // -Infinity and -1 without objects
    const kind = truth >= 0 && best >= threshold ? "above" : "below";
    decisions.push({ kind, anchor, truth, iou: Math.max(best, 0) });
  }
  return decisions;
}

export function mount(root, state, publish) {
  const { anchors, truths, names } = state;
  const matrix = anchors.map((anchor) => truths.map((truth) => iou(anchor, truth)));
  let threshold = state.threshold, step = 0, pointed = null; // `step` decisions are taken; the anchor under the hand

  const view = picture(state.picture, () => paint());
  const [layer] = view.layers(1);
  const go = (to) => () => { step = to(); draw(); };
  const back = button("Back", go(() => step - 1)), next = button("Next", go(() => step + 1));
  const last = button("To the end", go(() => anchors.length)), first = button("Start over", go(() => 0));
  const headings = ["anchor", ...names.map((name) => [key("truth"), name]), "gets"];
  const entries = table("IoU of each anchor with each object", headings);
  const status = announcer();

  root.append(
    caption(state.question, "Guess, then press Next."),
    layout([view.frame, row(back, next, last, first), status], [
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "IoU of each anchor with each object" }, entries),
      unitSlider("threshold", threshold, (value) => { threshold = value; draw(); }),
      el("p", { class: "note" }, "The threshold speaks only in part two, to anchors that no object has taken.")]));

  /** What is decided by now: the last decision, and for each anchor its object, -1 for background, or null. */
  function present() {
    const taken = decide(matrix, threshold).slice(0, step), gets = anchors.map(() => null);
    for (const { kind, anchor, truth } of taken) gets[anchor] = kind === "below" ? -1 : truth;
    return { taken, now: taken.at(-1) ?? null, gets };
  }

  function draw() {
    const { taken, now, gets } = present();
    const firsts = taken.filter(({ kind }) => kind === "largest"), partOne = firsts.length === taken.length;
    entries.body.replaceChildren(...anchors.map((_, i) => entryRow(i, gets, now, partOne ? firsts : [])));
    const more = step < anchors.length;
    offer([[back, step > 0], [next, more], [last, more], [first, step > 0]]);
    status.textContent = now ? explain(now) : "Part one: which entry of the table is the largest?";
    if (step === anchors.length) status.append(` All ${anchors.length} anchors are decided.`);
    paint();
    publish({ step, steps: anchors.length, threshold, matrix, now, labels: gets });
  }

  function explain({ kind, anchor, truth, iou: value }) {
    if (!truths.length) return `There is no object: anchor ${anchor} is background.`;
    const best = `Part two: the best of anchor ${anchor} is ${fixed(value)}`, name = names[truth];
    return {
      largest: `The largest entry left is ${fixed(value)}: anchor ${anchor} goes to ${name}. `
        + "Its row and its column are crossed out.",
      above: `${best}, which reaches ${fixed(threshold)}. It goes to ${name}, too.`,
      below: `${best}, below ${fixed(threshold)}. It is background.`,
    }[kind];
  }

  function entryRow(i, gets, now, firsts) {
    const point = (anchor) => () => { pointed = anchor; paint(); };
    const cells = matrix[i].map((value, j) => {
      const chosen = gets[i] === j;
      const crossed = !chosen && firsts.some(({ anchor, truth }) => anchor === i || truth === j);
      const current = now && now.anchor === i && now.truth === j;
      const kind = [chosen && "chosen", crossed && "crossed", current && "current"].filter(Boolean).join(" ");
      return el("td", { class: kind || null, style: `--share:${100 * value}%` }, fixed(value),
        crossed ? el("span", { class: "hidden" }, " crossed out") : null);
    });
    const label = gets[i] === null ? "" : gets[i] < 0 ? "background" : names[gets[i]];
    const kind = now?.anchor === i ? "now" : null;
    return el("tr", { class: kind, "data-anchor": i, onpointerenter: point(i), onpointerleave: point(null) },
      el("th", { scope: "row" }, key(gets[i] === -1 ? "ignored" : "anchor"), String(i)),
      ...cells, el("td", { class: "gets" }, label));
  }

  /** Draw objects, then anchors: background dashed, decided ones named, and on top the one that is spoken of. */
  function paint() {
    const { now, gets } = present(), spoken = pointed ?? now?.anchor;
    const height = (i) => (i === spoken ? 2 : gets[i] >= 0 && gets[i] !== null ? 1 : 0);
    const order = range(anchors.length).sort((i, j) => height(i) - height(j));
    const role = (i) => (gets[i] === -1 ? "ignored" : "anchor");
    const name = (i) => (names[gets[i]] ? `${i} → ${names[gets[i]]}` : String(i));
    const drawn = order.map((i) => {
      const out = gets[i] === -1, strong = i === spoken;
      return drawBox(view, anchors[i], role(i), {
        width: [1.5, 2.5, 3.5][height(i)], dash: out ? "5 4" : null, fill: strong ? 0.22 : 0, faint: out && !strong });
    });
    layer.replaceChildren(...truths.map((truth) => drawBox(view, truth, "truth", { width: 3 })), ...drawn,
      ...order.map((i) => tag(view, anchors[i], role(i), name(i), { below: true })),
      ...truths.map((truth, j) => tag(view, truth, "truth", names[j])));
  }

  draw();
}
