// Hierarchical grouping step by step: which region each pixel belongs to, the last merge, and the boxes so far.
import {
  announcer, button, caption, drawBox, easel, el, fixed, group, iou, key, layout, offer, picture, put, range, row, set,
  slider, table, tag,
} from "./common.js";

/** The first region of each pixel, from pairs of a number and how often it comes. */
export const unpack = (runs) => range(runs.length / 2).flatMap((i) => Array(runs[2 * i + 1]).fill(runs[2 * i]));

/** After so many merges: to which region each of the first ones belongs. */
export function owners(count, merges, step) {
  const parent = range(count + merges.length);
  merges.slice(0, step).forEach(([a, b], k) => { parent[a] = parent[b] = count + k; });
  const root = (i) => (parent[i] === i ? i : root(parent[i]));
  return range(count).map(root);
}

/** The boxes proposed after so many merges: those of the first regions, and one for each merge. */
export const proposed = (boxes, count, step) => boxes.slice(0, count + step);

/** How well the best of some boxes overlaps each object. */
export const reach = (boxes, truths) => truths.map((truth) => Math.max(0, ...boxes.map((box) => iou(box, truth))));

export function mount(root, state, publish) {
  const { boxes, merges, truths, picture: { width, height } } = state, count = boxes.length - merges.length;
  const first = unpack(state.runs), pen = easel(width, height), now = { step: state.step };

  const view = picture(state.picture, () => paint());
  const overlay = view.svg.appendChild(el("image", { width: "100%", height: "100%", preserveAspectRatio: "none",
    style: "image-rendering:pixelated" }));
  const [layer] = view.layers(1);
  const go = (step) => put(steps, step);
  const steps = slider("merges", { min: 0, max: merges.length, step: 1, value: now.step },
    (value) => { now.step = value; draw(); });
  const back = button("One back", () => go(now.step - 1)), next = button("Merge", () => go(now.step + 1));
  const find = button("To the next find", () => go(nextFind()));
  const numbers = table("Now"), objects = table("Objects", ["object", "best IoU"]), status = announcer(true);

  root.append(
    caption(state.question, "Each step merges the two neighbours that are most alike (orange). The box around the new "
      + "region is one more proposal."),
    layout([view.frame, row(back, next, find), status], [
      group("Step", steps), numbers, truths.length ? objects : null]));

  const found = (step) => reach(proposed(boxes, count, step), truths).map((value) => value >= 0.5);
  function nextFind() {
    const had = found(now.step).filter(Boolean).length;
    return range(merges.length + 1).find((s) => s > now.step && found(s).filter(Boolean).length > had) ?? merges.length;
  }

  function draw() {
    const best = reach(proposed(boxes, count, now.step), truths), hits = best.filter((value) => value >= 0.5).length;
    const [, , similarity] = merges[now.step - 1] ?? [];
    offer([[back, now.step > 0], [next, now.step < merges.length], [find, now.step < merges.length]]);
    const line = (name, value) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value));
    numbers.body.replaceChildren(
      line("regions", String(count - now.step)), line("proposals", String(count + now.step)),
      line("similarity of the last two", similarity === undefined ? "–" : fixed(similarity)));
    objects.body.replaceChildren(...best.map((value, t) => el("tr", {},
      el("th", { scope: "row" }, key("truth"), `${t + 1}`),
      el("td", {}, `${value >= 0.5 ? "✓ " : ""}${fixed(value)}`))));
    status.textContent = `${now.step} merges: ${count - now.step} regions, ${count + now.step} proposals, `
      + `${hits} of ${truths.length} objects found.`;
    paint();
    publish({ step: now.step, regions: count - now.step, proposals: count + now.step, best,
      box: boxes[count + now.step - 1] ?? null });
  }

  /** Regions' edges in white, the last merge's two parts tinted; above them the boxes. */
  function paint() {
    const owner = owners(count, merges, now.step), before = owners(count, merges, Math.max(0, now.step - 1));
    const merge = merges[now.step - 1], image = pen.createImageData(width, height);
    const of = (x, y) => owner[first[y * width + x]];
    for (const y of range(height)) {
      for (const x of range(width)) {
        const here = of(x, y), edge = (x + 1 < width && of(x + 1, y) !== here) || (y + 1 < height && of(x, y + 1) !== here);
        const part = merge ? merge.slice(0, 2).indexOf(before[first[y * width + x]]) : -1;
        const colour = edge ? [255, 255, 255, 200] : part === 0 ? [230, 159, 0, 130] : part === 1 ? [230, 159, 0, 70] : null;
        if (colour) image.data.set(colour, 4 * (y * width + x));
      }
    }
    pen.putImageData(image, 0, 0);
    set(overlay, { href: pen.canvas.toDataURL() });
    const best = reach(proposed(boxes, count, now.step), truths);
    layer.replaceChildren(
      ...truths.map((truth, t) => drawBox(view, truth, "truth", best[t] >= 0.5 ? { width: 3 } : { width: 2, dash: "3 4" })),
      ...(merge ? [drawBox(view, boxes[count + now.step - 1], "anchor", { width: 3 })] : []),
      ...truths.map((truth, t) => tag(view, truth, "truth", `${t + 1}${best[t] >= 0.5 ? " ✓" : ""}`)));
  }

  draw();
}
