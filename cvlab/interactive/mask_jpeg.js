// A label map stored as JPEG and read back: which pixels change their label, and which labels were never there.
import {
  announcer, arrowKeys, button, caption, check, clamp, easel, el, fixed, group, grouped, layout, picture, place, range,
  row, set, slider, table,
} from "./common.js";

// The steps of the frequencies of brightness in the standard's example, which quality 50 uses as they are.
const STEPS = [
  16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
  87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
  72, 92, 95, 98, 112, 100, 103, 99,
];
const DCT = range(64).map((n) => (n < 8 ? Math.sqrt(1 / 8) : Math.cos((Math.PI / 8) * (n >> 3) * ((n & 7) + 0.5)) / 2));
const INVERSE = range(64).map((n) => DCT[8 * (n & 7) + (n >> 3)]); // transposed: the matrix is orthonormal

/** The product of two 8 x 8 matrices, each an array of 64 numbers, row by row. */
function product(a, b) {
  const result = new Array(64).fill(0);
  for (let n = 0; n < 64; n += 1) for (let k = 0; k < 8; k += 1) result[n] += a[(n & 56) + k] * b[8 * k + (n & 7)];
  return result;
}

/** The steps to which JPEG rounds the 64 frequencies of a block, scaled by the quality as libjpeg does. */
export function quantizationTable(quality) {
  const percent = quality < 50 ? Math.floor(5000 / quality) : 200 - 2 * quality;
  return STEPS.map((step) => clamp(Math.floor((step * percent + 50) / 100), 1, 255));
}

/** What comes back of one block of 64 grey values. A frequency halfway between two steps goes to the outer one. */
function codeBlock(values, steps) {
  const frequencies = product(product(DCT, values.map((value) => value - 128)), INVERSE);
  const stored = frequencies.map((frequency, i) =>
    Math.sign(frequency) * Math.round(Math.abs(frequency / steps[i]) * (1 + 1e-9)));
  const decoded = product(product(INVERSE, stored.map((count, i) => count * steps[i])), DCT);
  return decoded.map((value) => clamp(value + 128, 0, 255));
}

/** What comes back of a plane of grey values, row by row, not rounded; the last row and column fill up blocks. */
export function jpeg(plane, width, quality) {
  const steps = quantizationTable(quality), height = plane.length / width, result = new Array(plane.length);
  for (let top = 0; top < height; top += 8) for (let left = 0; left < width; left += 8) {
    const at = (n) => width * Math.min(top + (n >> 3), height - 1) + Math.min(left + (n & 7), width - 1);
    const decoded = codeBlock(range(64).map((n) => plane[at(n)]), steps);
    for (let n = 63; n >= 0; n -= 1) result[at(n)] = decoded[n]; // where a pixel fills up, its own value comes last
  }
  return result;
}

/** Round to whole grey values, a half upwards; the little more is for halves that arithmetic has made smaller. */
export const whole = (plane) => plane.map((value) => Math.floor(value + 0.5 + 1e-9));

/** The label whose grey value is the nearest. */
export const readBack = (greys, spacing, last) => greys.map((grey) => clamp(Math.floor(grey / spacing + 0.5), 0, last));

/** Tell of each pixel whether one of its eight neighbours has another label. */
export function borders(labels, width) {
  const height = labels.length / width, near = (x, end) => [x - 1, x, x + 1].filter((v) => v >= 0 && v < end);
  return labels.map((label, i) => near(Math.floor(i / width), height).some((y) =>
    near(i % width, width).some((x) => labels[y * width + x] !== label)));
}

/** Count wrong pixels, everywhere and at borders, and the pixels of each label before and after. */
export function count(truth, found, width, classes) {
  const border = borders(truth, width), wrong = truth.map((label, i) => label !== found[i]);
  const number = (test) => truth.reduce((sum, _, i) => sum + (test(i) ? 1 : 0), 0);
  const tally = (labels) => {
    const pixels = new Array(classes).fill(0);
    for (const label of labels) pixels[label] += 1;
    return pixels;
  };
  const before = tally(truth), after = tally(found);
  return { wrong: number((i) => wrong[i]), border: number((i) => border[i]),
    wrongAtBorder: number((i) => wrong[i] && border[i]), before, after,
    ghosts: range(classes).filter((label) => after[label] > 0 && before[label] === 0) };
}

const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const brightness = ([r, g, b]) => 0.3 * r + 0.59 * g + 0.11 * b;
const LENS = 10; // pixels a side: a block and one more all around

export function mount(root, state, publish) {
  const { width: W, height: H, names, classes } = state, last = names.length - 1;
  const truth = state.runs.flatMap(([label, length]) => new Array(length).fill(label));
  const wide = Math.floor(255 / Math.max(1, last)); // the widest spacing that all labels have room for
  const now = { quality: state.quality, spacing: wide, mark: true, at: null };
  let stored, greys, found, numbers; // follow from quality and spacing

  const maps = [["The map", "before"], ["After JPEG", "after"]].map(panel);
  const status = announcer(), next = button("Next block with a wrong pixel", () => { seek(); draw(); });
  const summary = table("After storing and reading back", ["error", "JPEG", "PNG"]);
  const list = table("Pixels of each label (marked: from nowhere)", ["label", "grey", "before", "after"]);
  const storing = (spacing) => {
    const first = range(Math.min(3, last + 1)).map((label) => label * spacing).join(", ");
    const choose = () => { now.spacing = spacing; store(); };
    return check(last > 2 ? `${first}, …` : first, now.spacing === spacing, choose, "spacing");
  };
  const photo = state.image
    ? el("img", { src: state.image.src, alt: "The picture that the labels belong to", class: "photo" }) : null;

  root.append(
    caption(state.question,
      "Point at a map, tap it, or Tab to one and use the arrow keys (with Shift: a block): the lens follows."),
    layout([el("div", { class: "maps" }, ...maps.map(({ node }) => node)), status, row(next)], [
      el("div", { class: "start" }, group("Labels stored as", storing(wide), storing(1)), photo),
      group("JPEG", slider("quality", { min: 5, max: 100, step: 1, value: now.quality },
        (value) => { now.quality = value; store(); }),
      check("mark the wrong pixels", now.mark, (on) => { now.mark = on; draw(); })),
      summary, list]));

  /** A map over its lens. */
  function panel([title, name]) {
    const map = picture({ width: W, height: H }, paint), lens = picture({ width: LENS, height: LENS }, paint);
    const pen = easel(W, H);
    map.frame.prepend(pen.canvas);
    const layers = { map: map.layers(1)[0], lens: lens.layers(1)[0] };
    const hand = map.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "label map" }));
    const point = (event) => choose(...map.at(event));
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => choose(now.at[0] + dx, now.at[1] + dy), 8);
    set(lens.svg, { role: "img", "aria-label": `${title}: the grey values of one block, enlarged` });
    const node = el("div", { class: name }, el("p", { class: "heading" }, title), map.frame,
      el("p", { class: "heading narrow" }, `${title}, enlarged`), lens.frame);
    return { node, map, lens, pen, layers, hand, title };
  }

  function choose(x, y) {
    now.at = [clamp(Math.floor(x), 0, W - 1), clamp(Math.floor(y), 0, H - 1)];
    draw();
  }

  /** Store the map and read it back. */
  function store() {
    stored = truth.map((label) => label * now.spacing);
    greys = whole(jpeg(stored, W, now.quality));
    found = readBack(greys, now.spacing, last);
    numbers = count(truth, found, W, names.length);
    if (!now.at) seek();
    draw();
  }

  const blockOf = ([x, y]) => [x, y].map((number) => Math.floor(number / 8));

  /** Go to the worst pixel of the next block, row by row, that has a wrong one; without any stay, or start amid. */
  function seek() {
    const across = Math.ceil(W / 8), blocks = across * Math.ceil(H / 8), worst = new Array(blocks).fill(null);
    const error = (i) => Math.abs(greys[i] - stored[i]), number = ([x, y]) => across * y + x;
    truth.forEach((label, i) => {
      const block = number(blockOf([i % W, Math.floor(i / W)]));
      if (found[i] !== label && (worst[block] === null || error(i) > error(worst[block]))) worst[block] = i;
    });
    const here = now.at ? number(blockOf(now.at)) : blocks - 1;
    const there = range(blocks).map((step) => worst[(here + 1 + step) % blocks]).find((i) => i !== null);
    now.at = there === undefined ? now.at ?? [W >> 1, H >> 1] : [there % W, Math.floor(there / W)];
  }

  function draw() {
    paint();
    tell();
    const [bx, by] = blockOf(now.at), i = W * now.at[1] + now.at[0];
    const block = range(64).map((n) => [8 * bx + (n & 7), 8 * by + (n >> 3)]).filter(([x, y]) => x < W && y < H)
      .map(([x, y]) => W * y + x);
    publish({ ...now, ...numbers, last, pixel: { truth: truth[i], stored: stored[i], grey: greys[i], found: found[i] },
      block: Object.fromEntries(Object.entries({ stored, greys, found }).map(([name, all]) =>
        [name, block.map((n) => all[n])])) });
  }

  function paint() {
    if (!numbers) return;
    paintPanel(maps[0], truth, stored, false);
    paintPanel(maps[1], found, greys, true);
  }

  function paintPanel({ map, lens, pen, layers }, labels, values, marked) {
    const pixels = pen.createImageData(W, H), colours = classes.map(rgb);
    labels.forEach((label, i) => {
      const wrong = label !== truth[i], colour = colours[label];
      const shown = !marked || !now.mark ? colour : wrong ? rgb(state.colours.prediction) : faded(colour);
      pixels.data.set([...shown, 255], 4 * i);
    });
    pen.putImageData(pixels, 0, 0);

    const [left, top] = blockOf(now.at).map((number) => 8 * number);
    const block = [left, top, Math.min(left + 8, W), Math.min(top + 8, H)];
    const frame = (view, box) => ["casing", "window"].map((kind) => el("rect", { ...place(view, box), class: kind }));
    layers.map.replaceChildren(...frame(map, block));
    const cells = range(LENS * LENS).map((n) => [left - 1 + (n % LENS), top - 1 + Math.floor(n / LENS)])
      .filter(([x, y]) => x >= 0 && y >= 0 && x < W && y < H);
    const shift = ([x1, y1, x2, y2]) => [x1 - left + 1, y1 - top + 1, x2 - left + 1, y2 - top + 1];
    layers.lens.replaceChildren(
      ...cells.map(([x, y]) => cell(lens, shift([x, y, x + 1, y + 1]), labels[W * y + x], values[W * y + x],
        marked && labels[W * y + x] !== truth[W * y + x])),
      ...frame(lens, shift(block)),
      el("rect", { ...place(lens, shift([...now.at, now.at[0] + 1, now.at[1] + 1])), class: "pointed" }));
  }

  /** A pixel as the lens shows it: its label's colour, its grey value, and a mark that stands out on every colour. */
  function cell(lens, box, label, grey, wrong) {
    const inner = box.map((side, i) => side + (i < 2 ? 0.13 : -0.13));
    const { x, y, width, height } = place(lens, box), ink = brightness(rgb(classes[label])) > 115 ? "#000" : "#fff";
    const style = `fill:${ink};font-size:${clamp(width * 0.42, 7, 14)}px`;
    return el("g", {},
      el("rect", { x, y, width, height, class: "pixel", style: `fill:${classes[label]}` }),
      ...(wrong ? ["edge", "wrong"].map((kind) => el("rect", { ...place(lens, inner), class: kind })) : []),
      el("text", { x: x + width / 2, y: y + height / 2, style }, String(grey)));
  }

  function tell() {
    const { wrong, border, wrongAtBorder, before, after, ghosts } = numbers, [x, y] = now.at, i = W * y + x;
    const text = `Row ${y}, column ${x}: ${names[truth[i]]}, stored as ${stored[i]}, comes back as ${greys[i]}; `
      + `nearest is ${names[found[i]]} (${found[i] * now.spacing}). ${truth[i] === found[i] ? "Right." : "Wrong."}`;
    status.textContent = text;
    for (const { hand, title } of maps)
      set(hand, { "aria-label": `${title}. ${text} Arrow keys choose another pixel.` });
    next.disabled = wrong === 0;
    const line = (name, jpeg, png) =>
      el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, jpeg), el("td", {}, png));
    summary.body.replaceChildren(
      line("wrong pixels", grouped(wrong), "0"),
      line("share of all", `${fixed((100 * wrong) / truth.length, 1)} %`, "0.0 %"),
      line("wrong at borders", `${grouped(wrongAtBorder)} of ${grouped(border)}`, "0"),
      line("labels from nowhere", String(ghosts.length), "0"));
    list.body.replaceChildren(...names.map((name, label) => {
      const kind = ghosts.includes(label) ? "ghost" : after[label] || before[label] ? null : "absent";
      const swatch = el("span", { class: "key", style: `--fill:${classes[label]}`, "aria-hidden": "true" });
      const cells = [label * now.spacing, before[label], after[label]].map((number) => el("td", {}, grouped(number)));
      return el("tr", { class: kind }, el("th", { scope: "row" }, swatch, name), ...cells);
    }));
  }

  store();
}

/** A colour so dark and grey that vermilion stands out beside it. */
function faded(colour) {
  const grey = brightness(colour);
  return colour.map((part) => Math.round(0.28 * (0.5 * part + 0.5 * grey) + 18));
}
