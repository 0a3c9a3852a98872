// Proposals over a picture, best first: the objects they find, and the recall against their number.
import {
  announcer, axes, bar, caption, chart, check, clamp, drawBox, el, fixed, group, iou, key, layout, picture, place,
  range, set, slider, table, tag, unitSlider,
} from "./common.js";

/** How many of the proposals, which come best first, are among the first `count` and score at least `least`. */
export function shownOf({ boxes, scores }, count, least) {
  const good = scores ? scores.filter((score) => score >= least).length : boxes.length;
  return Math.min(count, good);
}

/**
 * What becomes of each object (in rows its IoU with each proposal): its best IoU with the first `count` proposals and
 * which one has it, and the first proposal of all that finds it, by a threshold; -1 for none.
 */
export function reach(fits, count, threshold) {
  return fits.map((fit) => {
    const few = fit.slice(0, count), best = Math.max(0, ...few), first = fit.findIndex((value) => value >= threshold);
    return { iou: best, by: best > 0 ? few.indexOf(best) : -1, first, found: first >= 0 && first < count };
  });
}

/** The recall of the first 1, 2, ... proposals, up to `count`. */
export const recalls = (reached, count) => range(count).map((n) =>
  reached.filter(({ first }) => first >= 0 && first <= n).length / reached.length);

/** Numbers of proposals that the slider can have: every one up to 20, then fewer and fewer, and all. */
export function stops(count) {
  const all = [...range(20).map((n) => n + 1), ...[25, 30, 40, 50, 60, 80, 100, 125, 150, 200, 250, 300, 400, 500]];
  return [...all.filter((n) => n < count), count];
}

const percent = range(6).map((n) => [n / 5, fixed(n / 5, 1)]);

export function mount(root, state, publish) {
  const { sets, truths, names } = state;
  const fits = sets.map(({ boxes }) => truths.map((truth) => boxes.map((box) => iou(truth, box))));
  const most = Math.max(1, ...sets.map(({ boxes }) => boxes.length)), numbers = stops(most);
  const near = (count) => numbers.findLastIndex((n) => n <= Math.max(count, numbers[0]));
  const now = { set: 0, count: numbers[near(state.count)], least: 0, threshold: state.iou_threshold };

  const view = picture(state.picture, () => paint()), [layer] = view.layers(1);
  const plot = chart(400, 250, () => paintCurve()), [drawing] = plot.layers(1);
  set(plot.svg, { role: "img", onpointerdown: (event) => follow(event),
    onpointermove: (event) => (event.buttons ? follow(event) : null) });
  const change = (name) => (value) => { now[name] = value; draw(); };
  const kinds = sets.map(({ title, boxes }, i) =>
    check(`${title}: ${boxes.length}`, i === 0, () => { now.set = i; draw(); }, "set"));
  const many = slider("best first", { min: 0, max: numbers.length - 1, step: 1, value: near(now.count) }, (i) => {
    now.count = numbers[i];
    draw();
  });
  const least = unitSlider("objectness from", now.least, change("least"));
  const [amount, level] = [many, least].map((node) => node.querySelector("output"));
  const [knob, gate] = [many, least].map((node) => node.querySelector("input"));
  const headline = el("p", { class: "recall" }), status = announcer(true), legend = el("p", { class: "note" });
  const objects = table("Each object’s best among them", ["object", "IoU", "first found by"]);

  root.append(
    caption(state.question, "Show more or fewer of the proposals, best first, or drag along the curve. An object is "
      + "found when one of them overlaps it enough."),
    layout([view.frame, headline], [
      sets.length > 1 ? group("Proposals of", ...kinds) : "",
      group("Shown", many, least),
      group("Found", slider("from an IoU of", { min: 0.5, max: 0.9, step: 0.05, value: now.threshold, digits: 2 },
        change("threshold"))),
      el("div", {}, plot.frame, sets.length > 1 ? legend : null), status]));
  root.lastChild.append(objects); // below the picture; on a narrow page below all else

  function follow(event) {
    const [u] = plot.share(event), far = numbers.map((n) => Math.abs(across(n) - clamp(u, 0, 1)));
    now.count = numbers[far.indexOf(Math.min(...far))];
    draw();
  }

  /** Where a number lies on the axis: the first ones have most of the room. */
  const across = (count) => (most > 1 ? Math.log(count) / Math.log(most) : 0.5);

  function present(which = now.set) {
    const shown = shownOf(sets[which], now.count, now.least), all = shownOf(sets[which], Infinity, now.least);
    const reached = reach(fits[which], shown, now.threshold), right = reached.filter(({ found }) => found).length;
    return { shown, all, reached, right, recall: truths.length ? right / truths.length : null };
  }

  function draw() {
    const { shown, all, reached, right, recall } = present(), { scores } = sets[now.set];
    knob.value = near(now.count);
    amount.textContent = String(now.count);
    set(knob, { "aria-valuetext": `${now.count} proposals` });
    gate.disabled = !scores;
    level.textContent = scores ? fixed(now.least) : "none";
    legend.textContent = `Grey, dashed: ${sets[1 - now.set]?.title}.`;
    tell(shown, reached, right, recall);
    paint();
    paintCurve();
    publish({ ...now, shown, reached, right, recall, curve: recalls(reached, all) });
  }

  function tell(shown, reached, right, recall) {
    const total = sets[now.set].boxes.length, number = recall === null ? "–" : fixed(recall);
    headline.replaceChildren(el("span", { class: "big" }, `${right} of ${truths.length}`),
      ` objects found by ${shown} of ${total} proposals: recall ${number}`);
    objects.body.replaceChildren(...reached.map(({ iou: value, first, found }, t) =>
      el("tr", { class: found ? "found" : null },
        el("th", { scope: "row" }, key("truth"), names[t]),
        el("td", {}, `${found ? "✓ " : ""}${fixed(value)}`, bar(0, value, "anchor", now.threshold)),
        el("td", {}, first < 0 ? "none" : `no. ${first + 1}`))));
    status.textContent = headline.textContent;
    set(plot.svg, { "aria-label": `Recall against the number of proposals; with ${shown} it is ${number}` });
  }

  /** All shown proposals thin, those that find an object best thick, then the objects: those not found are dotted. */
  function paint() {
    const { shown, reached } = present(), { boxes } = sets[now.set], opacity = clamp(6 / Math.sqrt(shown), 0.3, 1);
    const d = boxes.slice(0, shown).map((box) => place(view, box))
      .map(({ x, y, width, height }) => `M${x} ${y}h${width}v${height}h${-width}Z`).join("");
    layer.replaceChildren(
      ...["thin casing", "thin"].map((kind) => el("path", { class: kind, d, opacity })),
      ...reached.map(({ found }, t) =>
        drawBox(view, truths[t], "truth", found ? { width: 3.5 } : { width: 4, dash: "2 4" })),
      ...reached.filter(({ found }) => found).map(({ by }) => drawBox(view, boxes[by], "anchor", { width: 2.5 })),
      ...reached.map(({ found, iou: value }, t) =>
        tag(view, truths[t], "truth", found ? `✓ ${names[t]} ${fixed(value)}` : `missed ${names[t]}`)));
  }

  /** The recall of each number of proposals; that of the other kind is grey and dashed. */
  function paintCurve() {
    const curve = (which) => {
      const { all, reached } = present(which), points = truths.length ? recalls(reached, all) : [];
      const stair = points.flatMap((value, n) => [points[n - 1] ?? value, value].map((v) => [across(n + 1), v]));
      return el("path", { class: which === now.set ? "curve" : "curve other", d: plot.path(stair) });
    };
    const { recall, shown } = present(), at = Math.max(shown, 1), [x, y] = plot.spot(across(at), recall ?? 0);
    const ticks = [1, 2, 5, 10, 20, 50, 100, 200, 500].filter((n) => n <= most).map((n) => [across(n), String(n)]);
    const order = [...sets.keys()].sort((i, j) => (i === now.set) - (j === now.set)), [, y0] = plot.spot(0, 0);
    drawing.replaceChildren(
      ...axes(plot, { name: "proposals", ticks }, { name: "recall", ticks: percent }), ...order.map(curve),
      ...(recall === null ? [] : [el("path", { class: "here", d: `M${x} ${y0}V${y}` }),
        el("circle", { class: "dot", cx: x, cy: y, r: 6 })]));
  }

  draw();
}
