// Non-maximum suppression, one kept box at a time, with both thresholds under the hand.
import {
  announcer, button, caption, check, drawBox, el, fixed, group, iou, key, layout, offer, picture, range, row, table,
  tag, unitSlider,
} from "./common.js";

/**
 * Greedy suppression: keep the best box that waits, strike out what overlaps it more than `threshold`, and again, for
 * at most `rounds` kept boxes. Boxes that score less than `least` take no part; ties go to the lower index.
 */
export function suppress({ boxes, scores, labels }, { threshold, least, byClass }, rounds = Infinity) {
  const order = range(boxes.length).sort((i, j) => scores[j] - scores[i] || i - j), kept = [];
  const fate = scores.map((score) => ({ state: score < least ? "low" : "waiting", by: null }));
  for (const best of order) {
    if (fate[best].state !== "waiting" || kept.length >= rounds) continue;
    kept.push(best);
    fate[best] = { state: "kept", by: null };
    for (const other of order) {
      if (fate[other].state !== "waiting" || (byClass && labels[other] !== labels[best])) continue;
      const overlap = iou(boxes[best], boxes[other]);
      if (overlap > threshold) fate[other] = { state: "suppressed", by: best, iou: overlap };
    }
  }
  return { order, kept, fate };
}

export function mount(root, state, publish) {
  const { boxes, scores, labels, names } = state;
  const now = { threshold: state.iou_threshold, least: state.score_threshold, byClass: state.by_class };
  let rounds = 0, atEnd = false, pointed = null; // boxes kept so far; whether to stay at the end; the box pointed at

  const view = picture(state.picture, () => paint());
  const [layer] = view.layers(1);
  const next = button("Keep the best", () => { rounds += 1; draw(); });
  const last = button("To the end", () => { atEnd = true; draw(); });
  const first = button("Start over", () => { rounds = 0; atEnd = false; draw(); });
  const change = (name) => (value) => { now[name] = value; draw(); };
  const list = table("Boxes by score", ["box", names && "class", "score", "what becomes of it"].filter(Boolean));
  const status = announcer();

  root.append(
    caption(state.question,
      "Each step keeps the best box that is left and strikes out what overlaps it more than the threshold."),
    layout([view.frame, row(next, last, first), status], [
      group("Thresholds", unitSlider("IoU above", now.threshold, change("threshold")),
        unitSlider("score at least", now.least, change("least")),
        names ? check("class by class", now.byClass, change("byClass")) : null), list]));

  const title = (i) => (names ? `box ${i} (${names[labels[i]]})` : `box ${i}`);

  function draw() {
    const total = suppress(state, now).kept.length;
    rounds = atEnd ? total : Math.min(rounds, total);
    const { order, kept, fate } = suppress(state, now, rounds);
    offer([[next, rounds < total], [last, rounds < total], [first, rounds > 0]]);
    status.textContent = explain(total, order, kept, fate);
    list.body.replaceChildren(...order.map((i) => entry(i, fate[i], i === kept.at(-1) && !atEnd)));
    paint();
    publish({ ...now, rounds, kept, total, order, fate });
  }

  function explain(total, order, kept, fate) {
    const waiting = fate.filter((one) => one.state === "waiting").length;
    if (total === 0) return "No box takes part.";
    if (rounds === 0) return `${waiting} boxes wait. The first to be kept is ${title(order[0])}.`;
    const done = `Done: ${total} of ${boxes.length} boxes kept.`, newest = kept.at(-1);
    if (atEnd) return done;
    const struck = range(boxes.length).filter((i) => fate[i].by === newest).map(title).join(", ") || "nothing";
    const left = waiting ? `${waiting} left.` : done;
    return `Kept ${title(newest)}, score ${fixed(scores[newest])}; it strikes out ${struck}. ${left}`;
  }

  /** Draw the struck boxes first, the kept ones last, of each kind the worst first; on top the one pointed at. */
  function paint() {
    const { order, kept, fate } = suppress(state, now, rounds), depth = ["low", "suppressed", "waiting", "kept"];
    const height = (i) => (i === pointed ? depth.length : depth.indexOf(fate[i].state));
    const visible = [...order].reverse().filter((i) => fate[i].state !== "low" || i === pointed);
    visible.sort((i, j) => height(i) - height(j));
    const out = (i) => fate[i].state === "low" || fate[i].state === "suppressed";
    const role = (i) => (out(i) ? "ignored" : "prediction"), strong = (i) => i === pointed || fate[i].state === "kept";
    const lit = (i) => i === pointed || (i === kept.at(-1) && !atEnd);
    const name = (i) => `${i} ${names ? `${names[labels[i]]} ` : ""}${fixed(scores[i])}`;
    layer.replaceChildren(
      ...visible.map((i) => drawBox(view, boxes[i], role(i), { width: strong(i) ? 3.5 : 1.6, fill: lit(i) ? 0.22 : 0,
        dash: out(i) ? "5 4" : null, faint: out(i) && i !== pointed })),
      ...visible.filter(strong).map((i) => tag(view, boxes[i], role(i), name(i))));
  }

  function entry(i, { state: what, by, iou: overlap }, newest) {
    const out = what === "low" || what === "suppressed", reason = `out: IoU ${fixed(overlap ?? 0)} with ${by}`;
    const words = { kept: "kept", waiting: "waiting", low: "score too low", suppressed: reason };
    const point = (box) => () => { pointed = box; paint(); };
    const kind = newest ? `${what} newest` : what;
    return el("tr", { class: kind, "data-box": i, onpointerenter: point(i), onpointerleave: point(null) },
      el("th", { scope: "row" }, key(out ? "ignored" : "prediction"), String(i)),
      names ? el("td", {}, names[labels[i]]) : null, el("td", {}, fixed(scores[i])), el("td", {}, words[what]));
  }

  draw();
}
