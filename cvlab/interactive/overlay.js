// A picture under its label map: predicted, true, or where the two differ. A loupe shows single pixels of it.
import {
  announcer, arrowKeys, bar, button, caption, check, clamp, decode, easel, el, fixed, group, grouped, layout, offer,
  picture, range, row, set, table, unitSlider,
} from "./common.js";

const IGNORED = 25; // the letter Z

/** The labels that a text stands for: a letter for each run, A for 0, and its length where that is not 1. */
export function unroll(text) {
  const runs = Array.from(text.matchAll(/([A-Z])(\d*)/g), ([, letter, length]) => [letter, Number(length || 1)]);
  const labels = new Uint8Array(runs.reduce((sum, [, length]) => sum + length, 0));
  let at = 0;
  for (const [letter, length] of runs) labels.fill(letter.charCodeAt(0) - 65, at, at += length);
  return labels;
}

/** How many pixels of each true class, in rows, have which predicted class, in columns; ignored ones do not count. */
export function confusion(truth, found, classes) {
  const counts = range(classes).map(() => new Array(classes).fill(0));
  truth.forEach((label, i) => { if (label !== IGNORED) counts[label][found[i]] += 1; });
  return counts;
}

/** Of each class its pixels in the truth, in the prediction and in both, and its IoU; null where there are none. */
export function fits(counts) {
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  return counts.map((line, c) => {
    const truth = sum(line), found = sum(counts.map((other) => other[c])), both = line[c], union = truth + found - both;
    return { truth, found, both, iou: union > 0 ? both / union : null };
  });
}

/** Tell of each pixel whether one of its eight neighbours has another label. */
export function borders(labels, width) {
  const edge = new Uint8Array(labels.length);
  const compare = (i, j) => { if (labels[i] !== labels[j]) edge[i] = edge[j] = 1; };
  for (let i = 0; i < labels.length; i += 1) { // with the neighbours that come later
    const x = i % width, below = i + width < labels.length;
    if (x + 1 < width) compare(i, i + 1);
    if (below) compare(i, i + width);
    if (below && x > 0) compare(i, i + width - 1);
    if (below && x + 1 < width) compare(i, i + width + 1);
  }
  return edge;
}

/** Regions of touching wrong pixels with the same true and predicted label, the largest first. */
export function mistakes(truth, found, width) {
  const height = truth.length / width, seen = truth.map((label, i) => label === found[i] || label === IGNORED);
  const regions = [];
  const same = (i, j) => !seen[j] && truth[i] === truth[j] && found[i] === found[j];
  truth.forEach((_, start) => {
    if (seen[start]) return;
    const region = [start];
    seen[start] = true;
    for (const i of region) { // grows while it is gone through
      const x = i % width, y = Math.floor(i / width);
      const beside = [x > 0 && i - 1, x + 1 < width && i + 1, y > 0 && i - width, y + 1 < height && i + width];
      for (const j of beside) if (j !== false && same(i, j)) { seen[j] = true; region.push(j); }
    }
    regions.push(region);
  });
  return regions.sort((a, b) => b.length - a.length || a[0] - b[0]);
}

/** The pixel of a region that is nearest to its middle. */
export function heart(region, width) {
  const spots = region.map((i) => [i % width, Math.floor(i / width)]);
  const [u, v] = [0, 1].map((axis) => spots.reduce((sum, spot) => sum + spot[axis], 0) / spots.length);
  const far = spots.map(([x, y]) => (x - u) ** 2 + (y - v) ** 2);
  return spots[far.indexOf(Math.min(...far))];
}

const count = (number, name) => `${grouped(number)} ${name}${number === 1 ? "" : "s"}`;
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const ACROSS = 13; // pixels that the loupe shows along its diameter
const SHOWN = { prediction: "the prediction", truth: "the truth", difference: "where they differ" };

export function mount(root, state, publish) {
  const { names, classes } = state, now = { chosen: 0, shown: state.shown, fade: state.fade, at: [0, 0], mistake: 0 };
  const pictures = state.pictures.map(prepare), panels = pictures.map(panel);
  const status = announcer(), total = el("p", { class: "total" }), where = el("p", { class: "note" });
  const list = table("Pixels of each class in this picture, and its IoU", ["class", "truth", "found", "IoU"]);
  const legend = el("p", { class: "legend" }, el("i", { class: "line truth", "aria-hidden": "true" }), "true and ",
    el("i", { class: "line found", "aria-hidden": "true" }), "predicted borders in the loupe");
  const thumbs = pictures.map(({ picture: { src, width, height }, miou }, i) => {
    const node = button("", () => choose(i), { class: "thumb" });
    const words = el("span", {}, el("span", { class: "hidden" }, "mean IoU "), fixed(miou));
    node.append(el("img", { src, alt: `Picture ${i + 1}:`, width, height }), words);
    return node;
  });
  const gallery = el("div", { class: "thumbs", style: `--many:${thumbs.length}` }, ...thumbs);
  const next = button("Next mistake", () => go(now.mistake + 1)), back = button("One back", () => go(now.mistake - 1));

  root.append(
    caption(state.question, "Fade the labels in and out. Point at the picture, tap it, or Tab to it and use the arrow "
      + "keys: the loupe follows."),
    layout([...panels.map(({ view }) => view.frame), legend, status,
      pictures.length > 1 ? group("Pictures, each with its mean IoU", gallery) : ""], [
      group("Over the picture", row(...Object.entries(SHOWN).map(([name, text]) =>
        check(text, name === now.shown, () => { now.shown = name; draw(); }, "shown"))),
      unitSlider("how much of it", now.fade, (value) => { now.fade = value; draw(); })),
      el("div", {}, total, row(back, next), where), list]));

  /** What is known of a picture from the start. */
  function prepare({ picture: one, truth, found }) {
    const W = one.width, T = unroll(truth), F = unroll(found), counts = confusion(T, F, names.length);
    const fit = fits(counts), present = range(names.length).filter((c) => fit[c].iou !== null);
    const wrong = T.map((label, i) => label !== IGNORED && label !== F[i]), edge = borders(T, W);
    const number = (test) => T.reduce((sum, _, i) => sum + (test(i) ? 1 : 0), 0);
    const counted = number((i) => T[i] !== IGNORED);
    return { picture: one, truth: T, found: F, counts, fit, present, wrong, counted,
      miou: present.reduce((sum, c) => sum + fit[c].iou, 0) / present.length,
      wrongs: number((i) => wrong[i]), atBorder: number((i) => wrong[i] && edge[i]), ...parted(mistakes(T, F, W)) };
  }

  /** The regions, and of each wrong pixel which of them it belongs to. */
  function parted(regions) {
    return { regions, belongs: new Map(regions.flatMap((region, n) => region.map((i) => [i, n]))) };
  }

  /** A picture with its labels over it, and the loupe over both. */
  function panel({ picture: one }) {
    const { width, height, src } = one, view = picture({ width, height }, () => paintLoupe());
    const labels = easel(width, height), glass = el("canvas").getContext("2d");
    const made = { view, labels, glass, photo: null, above: false };
    made.loupe = el("div", { class: "loupe", "aria-hidden": "true" }, glass.canvas);
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "picture with labels" }));
    const point = (event) => {
      made.above = event.pointerType === "touch"; // or the finger would hide it
      look(...view.at(event));
    };
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => { made.above = false; look(now.at[0] + dx, now.at[1] + dy); });
    view.frame.prepend(el("img", { src, alt: "The picture" }), labels.canvas);
    view.frame.append(made.loupe);
    decode(src, [width, height]).then((pen) => { made.photo = pen.canvas; paintLoupe(); });
    return Object.assign(made, { hand });
  }

  function choose(i) {
    now.chosen = i;
    go(0);
  }

  /** Look at one of the mistakes; without any, at the middle. */
  function go(n) {
    const { regions, picture: { width, height } } = pictures[now.chosen];
    now.mistake = 0;
    panels[now.chosen].above = false;
    look(...(regions.length ? heart(regions[clamp(n, 0, regions.length - 1)], width) : [width >> 1, height >> 1]));
  }

  function look(x, y) {
    const { picture: { width, height }, belongs } = pictures[now.chosen];
    now.at = [clamp(Math.floor(x), 0, width - 1), clamp(Math.floor(y), 0, height - 1)];
    now.mistake = belongs.get(now.at[1] * width + now.at[0]) ?? now.mistake;
    draw();
  }

  const here = ({ truth, found, picture: { width } }) => {
    const i = now.at[1] * width + now.at[0];
    return { truth: truth[i] === IGNORED ? null : truth[i], found: found[i] };
  };

  function draw() {
    const one = pictures[now.chosen], pixel = here(one);
    panels.forEach(({ view }, i) => { view.frame.hidden = i !== now.chosen; });
    thumbs.forEach((node, i) => set(node, { "aria-pressed": String(i === now.chosen) }));
    tell(one, pixel);
    paintLabels(one);
    paintLoupe();
    publish({ ...now, pixel, counts: one.counts, iou: one.fit.map(({ iou }) => iou), miou: one.miou, wrong: one.wrongs,
      atBorder: one.atBorder, counted: one.counted, mistakes: one.regions.map(({ length }) => length) });
  }

  const swatch = (c) => el("span", { class: "key", style: `--fill:${classes[c]}`, "aria-hidden": "true" });

  function tell(one, { truth, found }) {
    const [x, y] = now.at, known = truth !== null, right = truth === found;
    const verdict = !known ? "not counted" : right ? "right" : "wrong", word = known ? names[truth] : "ignored";
    status.replaceChildren(`Row ${y}, column ${x}: truth `, known ? swatch(truth) : "", el("b", {}, word),
      ", prediction ", swatch(found), el("b", {}, names[found]), `, ${verdict}${known ? ` ${right ? "✓" : "✗"}` : ""}`);
    const { hand } = panels[now.chosen];
    set(hand, { "aria-label": `${SHOWN[now.shown]} over the picture. Row ${y}, column ${x}: truth ${word}, prediction `
      + `${names[found]}, ${verdict}. Arrow keys move the loupe.` });

    total.replaceChildren(el("span", { class: "big" }, grouped(one.wrongs)), ` of ${count(one.counted, "pixel")} wrong `
      + `(${fixed((100 * one.wrongs) / one.counted, 1)} %), ${grouped(one.atBorder)} of them at a border`);
    const { regions } = one, region = regions[now.mistake];
    offer([[back, now.mistake > 0], [next, now.mistake + 1 < regions.length]]);
    where.textContent = region ? `Mistake ${now.mistake + 1} of ${grouped(regions.length)}, the largest first: `
      + `${count(region.length, "pixel")} of ${names[one.truth[region[0]]]} taken for ${names[one.found[region[0]]]}.`
      : "There is no mistake in this picture.";
    const line = (c) => {
      const { truth: t, found: f, iou } = one.fit[c];
      return el("tr", { class: c === truth || c === found ? "now" : null },
        el("th", { scope: "row" }, swatch(c), names[c]), el("td", {}, grouped(t)), el("td", {}, grouped(f)),
        el("td", {}, el("span", { class: "iou" }, bar(0, iou, "prediction"), fixed(iou))));
    };
    list.body.replaceChildren(...one.present.map(line), el("tr", { class: "sum" },
      el("th", { scope: "row", colspan: 3 }, "mean"), el("td", {}, fixed(one.miou))));
  }

  /** Paint what lies over the picture; where they differ, the rest is darkened. */
  function paintLabels(one) {
    const { labels } = panels[now.chosen], { width, height } = one.picture;
    const pixels = labels.createImageData(width, height), colours = classes.map((colour) => [...rgb(colour), 255]);
    const [grey, wrong, right] = [[140, 140, 140, 255], [...rgb(state.colours.prediction), 255], [18, 20, 24, 190]];
    const colourOf = (i) => {
      if (one.truth[i] === IGNORED && now.shown !== "prediction") return grey;
      if (now.shown === "difference") return one.wrong[i] ? wrong : right;
      return colours[now.shown === "truth" ? one.truth[i] : one.found[i]];
    };
    for (let i = 0; i < width * height; i += 1) pixels.data.set(colourOf(i), 4 * i);
    labels.putImageData(pixels, 0, 0);
    labels.canvas.style.opacity = now.fade;
  }

  /** What is under the loupe, enlarged, with the borders between true and between predicted labels. */
  function paintLoupe() {
    const one = pictures[now.chosen], { view, glass, loupe, labels, photo, above } = panels[now.chosen];
    const { width, height } = one.picture, [w, h] = [width * view.scale, height * view.scale];
    if (!view.svg.clientWidth) return;
    const side = 2 * Math.round(clamp(0.17 * w, 46, 76)), cell = side / ACROSS, [x, y] = now.at;
    const place = (centre, end) => clamp(centre - side / 2, -4, end - side + 4);
    const lift = above ? side * 0.75 : 0;
    Object.assign(loupe.style, { width: `${side}px`, height: `${side}px`,
      left: `${place((x + 0.5) * view.scale, w)}px`, top: `${place((y + 0.5) * view.scale - lift, h)}px` });
    const dense = Math.min(devicePixelRatio || 1, 3), first = ACROSS / 2 - 0.5;
    glass.canvas.width = glass.canvas.height = Math.round(side * dense); // which clears it
    glass.setTransform(dense * cell, 0, 0, dense * cell, dense * cell * (first - x), dense * cell * (first - y));
    glass.imageSmoothingEnabled = false;
    if (photo) glass.drawImage(photo, 0, 0);
    glass.globalAlpha = now.fade;
    glass.drawImage(labels.canvas, 0, 0);
    glass.globalAlpha = 1;
    const line = (lines, colour, thick) => {
      glass.strokeStyle = colour;
      glass.lineWidth = thick / cell;
      glass.stroke(lines);
    };
    const truth = edges(one.truth, width), found = edges(one.found, width), { colours } = state;
    glass.lineCap = "square";
    line(truth, "#000", 5);
    line(truth, colours.truth, 3.6);
    line(found, "#000", 2.6);
    line(found, colours.prediction, 1.8);
    const mark = new Path2D();
    mark.rect(x, y, 1, 1);
    line(mark, "#000", 4.5);
    line(mark, colours.reader, 2.5);
  }

  /** The borders between pixels with different labels, near the one that is looked at. */
  function edges(labels, width) {
    const [x, y] = now.at, height = labels.length / width, reach = Math.ceil(ACROSS / 2), path = new Path2D();
    const line = (...points) => { path.moveTo(...points.slice(0, 2)); path.lineTo(...points.slice(2)); };
    for (let v = Math.max(0, y - reach); v <= Math.min(height - 1, y + reach); v += 1)
      for (let u = Math.max(0, x - reach); u <= Math.min(width - 1, x + reach); u += 1) {
        const label = labels[v * width + u];
        if (u + 1 < width && labels[v * width + u + 1] !== label) line(u + 1, v, u + 1, v + 1);
        if (v + 1 < height && labels[(v + 1) * width + u] !== label) line(u, v + 1, u + 1, v + 1);
      }
    return path;
  }

  choose(0);
}
