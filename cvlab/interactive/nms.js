// Non-maximum suppression, one kept box at a time, with both thresholds under the hand.
import { button, caption, check, drawBox, el, fixed, iou, key, picture, range, slider } from "./common.js";

/**
 * Greedy suppression: keep the best box that waits, strike what overlaps it more than `threshold`, and again.
 * Ends early after `rounds` kept boxes. Ties in score go to the lower index.
 */
export function suppress({ boxes, scores, labels }, { threshold, least, byClass, rounds = Infinity }) {
  const order = range(boxes.length).sort((i, j) => scores[j] - scores[i] || i - j);
  const fate = boxes.map((_, i) => ({ state: scores[i] < least ? "low" : "waiting", by: null, iou: null, round: null }));
  const kept = [];
  for (const best of order) {
    if (fate[best].state !== "waiting" || kept.length >= rounds) continue;
    kept.push(best);
    fate[best] = { state: "kept", by: null, iou: null, round: kept.length };
    for (const other of order) {
      if (fate[other].state !== "waiting" || (byClass && labels[other] !== labels[best])) continue;
      const overlap = iou(boxes[best], boxes[other]);
      if (overlap > threshold) fate[other] = { state: "suppressed", by: best, iou: overlap, round: kept.length };
    }
  }
  return { order, kept, fate };
}

export function mount(root, state, publish) {
  const { boxes, scores, labels, names } = state;
  const now = { threshold: state.iou_threshold, least: state.score_threshold, byClass: state.by_class };
  let rounds = 0, atEnd = false, pointed = null; // kept so far; whether to stay at the end; the box under the hand

  const view = picture(state.picture, state.alt, draw);
  const layer = el("g");
  view.svg.append(layer);
  const list = el("tbody"), status = el("p", { class: "status", role: "status" });
  const next = button("Keep the best", () => { rounds += 1; draw(); });
  const last = button("To the end", () => { atEnd = true; draw(); });
  const first = button("Start over", () => { rounds = 0; atEnd = false; draw(); });
  const unit = (name, start, change) => slider(name, { min: 0, max: 1, step: 0.01, value: start, format: (value) => value.toFixed(2) }, change);

  root.append(
    caption(state.question, "Each step keeps the best box that is left and strikes out what overlaps it more than the threshold."),
    el("div", { class: "layout" },
      el("div", {}, view.frame, el("div", { class: "row steps" }, next, last, first), status),
      el("div", { class: "side" },
        el("fieldset", {}, el("legend", {}, "Thresholds"),
          unit("IoU above", now.threshold, (value) => { now.threshold = value; draw(); }),
          unit("score at least", now.least, (value) => { now.least = value; draw(); }),
          names ? check("class by class", now.byClass, (on) => { now.byClass = on; draw(); }) : ""),
        el("table", { class: "list" }, el("caption", {}, "Boxes by score"),
          el("thead", {}, el("tr", {}, ...["box", names ? "class" : null, "score", "what becomes of it"].filter(Boolean).map((text) => el("th", { scope: "col" }, text)))), list))));

  const className = (i) => (names ? names[labels[i]] : "");
  const title = (i) => `box ${i}${names ? ` (${className(i)})` : ""}`;

  function draw() {
    const total = suppress(state, now).kept.length;
    rounds = atEnd ? total : Math.min(rounds, total);
    const { order, kept, fate } = suppress(state, { ...now, rounds });
    const newest = atEnd ? null : kept[kept.length - 1];
    const struck = range(boxes.length).filter((i) => fate[i].state === "suppressed" && fate[i].by === newest);
    const done = rounds === total;
    next.disabled = last.disabled = done;
    first.disabled = rounds === 0;

    paint(order, fate, newest);
    list.replaceChildren(...order.map((i) => entry(i, fate[i], i === newest)));
    status.textContent = !boxes.length ? "No boxes." : rounds === 0 ? `${waiting(fate)} boxes wait. The best will be ${total ? title(order[0]) : "none"}.`
      : newest === null || newest === undefined ? `Done: ${total} of ${boxes.length} boxes kept.`
        : `Kept ${title(newest)}, score ${fixed(scores[newest])}; it strikes out ${struck.length ? struck.map(title).join(", ") : "nothing"}. ${done ? `Done: ${total} kept.` : `${waiting(fate)} left.`}`;
    publish({ ...now, rounds, kept, total, order, fate: fate.map(({ state: what, by }) => ({ state: what, by })) });
  }
  const waiting = (fate) => fate.filter((one) => one.state === "waiting").length;

  /** The worst first, so that the best lie on top; struck boxes below all of them. */
  function paint(order, fate, newest) {
    const rank = { low: 0, suppressed: 1, waiting: 2, kept: 3 };
    const visible = [...order].reverse().filter((i) => fate[i].state !== "low" || i === pointed);
    visible.sort((i, j) => (i === pointed) - (j === pointed) || rank[fate[i].state] - rank[fate[j].state]);
    layer.replaceChildren(...visible.map((i) => {
      const keptNow = fate[i].state === "kept", gone = fate[i].state === "suppressed" || fate[i].state === "low";
      return drawBox(view, boxes[i], gone ? "ignored" : "prediction", { width: keptNow || i === pointed ? 3.5 : 1.6, dash: gone ? "5 4" : null,
        fill: i === newest || i === pointed ? 0.22 : 0, faint: gone && i !== pointed,
        name: keptNow || i === pointed ? `${i}${names ? ` ${className(i)}` : ""} ${fixed(scores[i])}` : "" });
    }));
  }

  function entry(i, { state: what, by, iou: overlap }, isNewest) {
    const words = { kept: "kept", waiting: "waiting", low: "score too low", suppressed: `out: ${fixed(overlap ?? 0)} with ${by}` }[what];
    const point = (on) => () => { pointed = on ? i : null; draw_(); };
    return el("tr", { class: `${what}${isNewest ? " newest" : ""}`, "data-box": i, onpointerenter: point(true), onpointerleave: point(false) },
      el("th", { scope: "row" }, key(what === "kept" || what === "waiting" ? "prediction" : "ignored"), String(i)), names ? el("td", {}, className(i)) : null,
      el("td", {}, fixed(scores[i])), el("td", {}, words));
  }
  /** Only the picture: the list under the hand must not be rebuilt. */
  function draw_() {
    const { order, kept, fate } = suppress(state, { ...now, rounds });
    paint(order, fate, atEnd ? null : kept[kept.length - 1]);
  }
  draw();
}
