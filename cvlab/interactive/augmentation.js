// A photograph under augmentation: sliders turn, shift and recolour it, and its boxes follow as far as boxes can.
import {
  announcer, area, arrowKeys, bar, button, caption, check, clamp, decode, draggable, drawBox, easel, el, fixed, framed,
  group, key, layout, picture, put, row, seeded, set, slider, table, tag, unitSlider,
} from "./common.js";

export const START = {
  rotate: 0, shear: 0, scale: 1, dx: 0, dy: 0, crop: 1, flip: false,
  brightness: 1, contrast: 1, saturation: 1, hue: 0, blur: 0, jpeg: false, quality: 30,
};
const LUMA = [0.2989, 0.587, 0.114]; // how much red, green and blue count for the grey value
const FILL = "rgb(114 114 114)"; // where there is no picture

// --- geometry: 3 x 3 matrices for points (x, y, 1), the first step rightmost ---------------------------------------

const multiply = (p, q) => p.map((line) => line.map((_, j) => line.reduce((sum, one, k) => sum + one * q[k][j], 0)));
const translation = (dx, dy) => [[1, 0, dx], [0, 1, dy], [0, 0, 1]];
const scaling = (s) => [[s, 0, 0], [0, s, 0], [0, 0, 1]];
const about = (map, x, y) => [translation(x, y), map, translation(-x, -y)].reduce(multiply);

/** Where the settings bring each point: flip, then turn, slant and scale about the centre, then shift, then crop. */
export function matrix({ rotate, shear, scale, dx, dy, crop, flip }, W, H) {
  const turn = (rotate * Math.PI) / 180, c = Math.cos(turn), s = Math.sin(turn);
  const rotation = [[c, -s, 0], [s, c, 0], [0, 0, 1]];
  const shearing = [[1, Math.tan((shear * Math.PI) / 180), 0], [0, 1, 0], [0, 0, 1]];
  const centred = (map) => about(map, W / 2, H / 2), shape = [rotation, shearing, scaling(scale)].reduce(multiply);
  const mirror = flip ? [[-1, 0, W], [0, 1, 0], [0, 0, 1]] : scaling(1);
  return [centred(scaling(1 / crop)), translation(dx, dy), centred(shape), mirror].reduce(multiply);
}

/**
 * Carry a box along: its moved corners, the upright box around them, the part of that inside the picture; the share
 * of it that is `visible`, and how `tight` it is, the share of it that the moved corners fill.
 */
export function warpBox(map, [x1, y1, x2, y2], W, H) {
  const corners = [[x1, y1], [x2, y1], [x2, y2], [x1, y2]].map(([x, y]) =>
    map.slice(0, 2).map(([a, b, c]) => a * x + b * y + c));
  const [xs, ys] = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
  const box = [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)], whole = area(box);
  const clipped = [clamp(box[0], 0, W), clamp(box[1], 0, H), clamp(box[2], 0, W), clamp(box[3], 0, H)];
  const filled = Math.abs(map[0][0] * map[1][1] - map[0][1] * map[1][0]) * (x2 - x1) * (y2 - y1);
  const [visible, tight] = whole > 0 ? [area(clipped) / whole, filled / whole] : [0, 1];
  return { corners, box, clipped, visible, tight };
}

// --- colour: maps [A | b] of RGB in [0, 1] -------------------------------------------------------------------------

const colourOf = (map, rgb) => map.map((line) => line[0] * rgb[0] + line[1] * rgb[1] + line[2] * rgb[2] + line[3]);
const grey = (rgb) => rgb.reduce((sum, value, i) => sum + LUMA[i] * value, 0);

/** Brightness, contrast, saturation and hue, in this order, as one map for a picture of that mean colour. */
export function colourMap({ brightness, contrast, saturation, hue }, mean) {
  const axes = [0, 1, 2], same = (i, j) => (i === j ? 1 : 0);
  const linear = (entry, shift = 0) => axes.map((i) => [...axes.map((j) => entry(i, j)), shift]);
  const then = (first, second) => second.map((line) => axes.map((j) =>
    axes.reduce((sum, k) => sum + line[k] * first[k][j], 0)).concat(colourOf([line], first.map((one) => one[3]))));

  const bright = linear((i, j) => brightness * same(i, j));
  const middle = grey(colourOf(bright, mean)); // what contrast moves away from
  const angle = 2 * Math.PI * hue, c = Math.cos(angle), s = Math.sin(angle) / Math.sqrt(3);
  const steps = [
    linear((i, j) => contrast * same(i, j), (1 - contrast) * middle),
    linear((i, j) => saturation * same(i, j) + (1 - saturation) * LUMA[j]),
    linear((i, j) => c * same(i, j) + (1 - c) / 3 + s * [0, -1, 1][(j - i + 3) % 3]), // a turn about the grey axis
  ];
  return steps.reduce(then, bright);
}

/** Recolour RGBA bytes; an array of clamped bytes cuts off at 0 and 255, and rounds. */
export function apply(bytes, map) {
  const changed = new Uint8ClampedArray(bytes), [r, g, b] = map;
  for (let i = 0; i < bytes.length; i += 4) {
    const x = bytes[i], y = bytes[i + 1], z = bytes[i + 2];
    changed[i] = r[0] * x + r[1] * y + r[2] * z + r[3] * 255;
    changed[i + 1] = g[0] * x + g[1] * y + g[2] * z + g[3] * 255;
    changed[i + 2] = b[0] * x + b[1] * y + b[2] * z + b[3] * 255;
  }
  return changed;
}

/** The mean colour of RGBA bytes, each channel in [0, 1]. */
function meanColour(bytes) {
  const sums = [0, 0, 0];
  for (let i = 0; i < bytes.length; i += 4) for (let c = 0; c < 3; c += 1) sums[c] += bytes[i + c];
  return sums.map((sum) => sum / 255 / (bytes.length / 4));
}

/** Blur RGBA bytes with a Gaussian, along rows and then along columns; the picture is mirrored at its edges. */
export function blur(bytes, width, height, sigma) {
  const radius = Math.ceil(3 * sigma), weights = new Float64Array(2 * radius + 1);
  weights.forEach((_, i) => { weights[i] = Math.exp(-0.5 * ((i - radius) / sigma) ** 2); });
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const pass = (from, length, step, lines, stride) => {
    const to = new Float32Array(from.length), line = new Float32Array(length + 2 * radius);
    const inside = Array.from(line, (_, i) => { // which pixel is read where, with those mirrored at the ends
      const at = Math.abs(i - radius);
      return clamp(Math.min(at, 2 * (length - 1) - at), 0, length - 1);
    });
    for (let n = 0; n < lines; n += 1) for (let channel = 0; channel < 3; channel += 1) {
      const start = n * stride + channel;
      for (let i = 0; i < line.length; i += 1) line[i] = from[start + inside[i] * step];
      for (let i = 0; i < length; i += 1) {
        let sum = 0;
        for (let k = 0; k < weights.length; k += 1) sum += weights[k] * line[i + k];
        to[start + i * step] = sum / total;
      }
    }
    return to;
  };
  const rows = pass(bytes, width, 4, height, 4 * width), both = pass(rows, height, 4 * width, width, 4);
  for (let i = 3; i < bytes.length; i += 4) both[i] = bytes[i]; // what is opaque stays so
  return new Uint8ClampedArray(both);
}

// --- the figure ----------------------------------------------------------------------------------------------------

/** Settings as a training pipeline would draw them: each a little, and not all of them at once. */
export function surprise(random, W, H) {
  const between = (low, high, step) => Number((Math.round((low + random() * (high - low)) / step) * step).toFixed(2));
  const perhaps = (chance, make, otherwise) => (random() < chance ? make() : otherwise);
  return {
    rotate: between(-25, 25, 1), shear: perhaps(0.5, () => between(-15, 15, 1), 0), scale: between(0.7, 1.4, 0.01),
    dx: between(-0.2 * W, 0.2 * W, 1), dy: between(-0.2 * H, 0.2 * H, 1),
    crop: perhaps(0.5, () => between(0.6, 1, 0.01), 1), flip: random() < 0.5,
    brightness: between(0.7, 1.3, 0.01), contrast: between(0.7, 1.3, 0.01), saturation: between(0.5, 1.5, 0.01),
    hue: between(-0.06, 0.06, 0.01), blur: perhaps(0.3, () => between(0.5, 2, 0.1), 0),
    jpeg: random() < 0.3, quality: between(15, 80, 1),
  };
}

/** A sum written out, such as "0.87 x − 0.50 y + 94.30". */
const sum = (values, names) => values.map((value, i) => {
  const size = `${fixed(Math.abs(value))}${names[i] ? ` ${names[i]}` : ""}`, minus = fixed(value).startsWith("−");
  return i === 0 ? `${minus ? "−" : ""}${size}` : ` ${minus ? "−" : "+"} ${size}`;
}).join("");

/** Maps of `names` in lines of their own, such as "x′ = 0.87 x − 0.50 y + 94.30". */
const written = (map, names) =>
  names.map((name, i) => el("span", {}, `${name}′ = ${sum(map[i], [...names, ""])}`));

const percent = (share) => `${fixed(100 * share, 0)}\u00a0%`;

export function mount(root, state, publish) {
  const { boxes, names } = state, { width: W, height: H } = state.picture, now = { ...START, least: state.least };
  const random = seeded(1);
  let source = null, mean = null, followed = [], coloured = null; // the photograph's pen; its mean; its latest colours

  const view = picture({ width: W, height: H }, () => paint()), screen = el("canvas");
  view.frame.prepend(screen);
  const [layer] = view.layers(1);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "movable picture" }));

  const change = (name) => (value) => { now[name] = value; redraw(); };
  const dial = (name, label, min, max, step, digits = 0) =>
    [name, slider(label, { min, max, step, value: START[name], digits }, change(name))];
  const half = [Math.round(W / 2), Math.round(H / 2)];
  const geometry = [dial("rotate", "rotate, °", -45, 45, 1), dial("shear", "shear, °", -30, 30, 1),
    dial("scale", "scale, ×", 0.5, 2, 0.01, 2), dial("dx", "shift x, px", -half[0], half[0], 1),
    dial("dy", "shift y, px", -half[1], half[1], 1), dial("crop", "crop to share", 0.3, 1, 0.01, 2)];
  const colour = [dial("brightness", "brightness, ×", 0.4, 1.6, 0.01, 2),
    dial("contrast", "contrast, ×", 0.4, 1.6, 0.01, 2), dial("saturation", "saturation, ×", 0, 2, 0.01, 2),
    dial("hue", "hue, turns", -0.5, 0.5, 0.01, 2), dial("blur", "blur σ, px", 0, 4, 0.1, 1),
    dial("quality", "JPEG quality", 5, 100, 1)];
  const dials = Object.fromEntries([...geometry, ...colour]);
  const switches = { flip: check("flip left and right", false, change("flip")),
    jpeg: check("store as JPEG", false, change("jpeg")) };
  const stored = el("span", { class: "note" });
  const nodes = (pairs) => pairs.map(([, node]) => node);

  const list = table("The boxes afterwards", ["box", "x1", "y1", "x2", "y2", "visible", "tight"]);
  const status = announcer(), formulas = el("p", { class: "note maps" });
  const least = unitSlider("drop below", now.least, change("least"));
  const controls = layout([view.frame, row(button("Surprise me", () => choose(surprise(random, W, H))),
    button("Reset", () => choose(START)))], [
    group("Geometry: the boxes go along", ...nodes(geometry), switches.flip),
    group("Colour: the boxes stay", ...nodes(colour), row(switches.jpeg, stored)),
    el("details", {}, el("summary", {}, "Each as one map"), formulas)]);
  if (boxes.length) controls.append(el("div", { class: "boxes" }, status, list, least));

  const hint = "Drag the picture, by hand or arrow keys, and move the sliders.";
  const lines = boxes.length ? " Thin: each box carried along; thick: the upright box around it." : "";
  root.append(caption(state.question, hint + lines), controls);

  arrowKeys(hand, (dx, dy) => shift(now.dx + dx, now.dy + dy));
  draggable(hand, view, () => [now.dx, now.dy],
    ([x, y], dx, dy) => shift(x + Math.round(dx * now.crop), y + Math.round(dy * now.crop)), () => {});

  function shift(dx, dy) {
    put(dials.dx, dx);
    put(dials.dy, dy);
  }

  function choose(settings) {
    for (const [name, node] of Object.entries(dials)) put(node, settings[name]);
    for (const [name, node] of Object.entries(switches)) {
      now[name] = settings[name];
      node.querySelector("input").checked = now[name];
    }
    redraw();
  }

  const redraw = framed(async () => {
    if (!source) return;
    const settings = { ...now }, map = matrix(settings, W, H), recolouring = colourMap(settings, mean);
    const bytes = await develop(map, recolouring, settings); // the reader may have moved on meanwhile
    followed = boxes.map((box) => {
      const moved = warpBox(map, box, W, H);
      return { ...moved, kept: moved.visible > 0 && moved.visible >= settings.least };
    });
    dials.quality.querySelector("input").disabled = !settings.jpeg;
    dials.quality.classList.toggle("off", !settings.jpeg);
    stored.textContent = bytes === null ? "" : `${fixed(bytes / 1000, 1)} kB`;
    tell(map, recolouring);
    paint();
    publish({ ...settings, matrix: map, boxes: followed, colour: recolouring, mean, bytes });
  });

  /** Make the pixels: colours on the photograph, then the warp, blur and JPEG; return the file's size, if any. */
  async function develop(map, recolouring, { blur: sigma, jpeg, quality }) {
    const { width, height } = source.canvas, k = width / W, l = height / H;
    if (coloured?.map !== JSON.stringify(recolouring)) {
      const pen = coloured?.pen ?? easel(width, height), original = source.getImageData(0, 0, width, height);
      pen.putImageData(new ImageData(apply(original.data, recolouring), width, height), 0, 0);
      coloured = { pen, map: JSON.stringify(recolouring) };
    }
    const pen = easel(width, height), [[a, c, e], [b, d, f]] = map;
    pen.fillStyle = FILL;
    pen.fillRect(0, 0, width, height);
    pen.setTransform(k * a, l * b, k * c, l * d, k * e, l * f);
    pen.drawImage(coloured.pen.canvas, 0, 0, W, H);
    if (sigma > 0) {
      const sharp = pen.getImageData(0, 0, width, height);
      pen.putImageData(new ImageData(blur(sharp.data, width, height, sigma * k), width, height), 0, 0);
    }
    const file = jpeg ? await new Promise((done) => { pen.canvas.toBlob(done, "image/jpeg", quality / 100); }) : null;
    screen.getContext("2d").drawImage(file ? await createImageBitmap(file) : pen.canvas, 0, 0);
    return file ? file.size : null;
  }

  function tell(map, recolouring) {
    list.body.replaceChildren(...followed.map((one, i) => el("tr", { class: one.kept ? null : "dropped" },
      el("th", { scope: "row" }, key(one.kept ? "truth" : "ignored"), names[i]),
      ...one.clipped.map((number) => el("td", {}, fixed(number, 0))),
      el("td", {}, percent(one.visible), bar(0, one.visible, one.kept ? "truth" : "ignored", now.least)),
      el("td", {}, percent(one.tight)))));
    status.textContent = explain();
    formulas.replaceChildren(...written(map.slice(0, 2), ["x", "y"]), ...written(recolouring, ["R", "G", "B"]));
    set(hand, { "aria-label": `Picture, shifted by ${now.dx} to the right and ${now.dy} down. Arrow keys shift it.` });
  }

  function explain() {
    const dropped = names.filter((_, i) => followed[i] && !followed[i].kept), count = boxes.length - dropped.length;
    const worst = followed.reduce((low, one, i) => (one.kept && !(one.tight >= followed[low]?.tight) ? i : low), -1);
    const kept = `${count} of ${boxes.length} boxes kept${dropped.length ? `; dropped: ${dropped.join(", ")}` : ""}.`;
    if (worst < 0) return kept;
    if (followed[worst].tight > 0.995) return `${kept} They are as tight as they were drawn.`;
    const filled = percent(followed[worst].tight);
    return `${kept} Loosest: ${names[worst]}, whose outline fills ${filled} of its upright box.`;
  }

  /** Draw the dropped boxes first; a box that has left the picture is not there to be drawn. */
  function paint() {
    const order = followed.map((_, i) => i).filter((i) => followed[i].visible > 0);
    order.sort((i, j) => followed[i].kept - followed[j].kept);
    const role = (i) => (followed[i].kept ? "truth" : "ignored");
    layer.replaceChildren(
      ...order.map((i) => outline(followed[i].corners, role(i))),
      ...order.map((i) => drawBox(view, followed[i].clipped, role(i),
        followed[i].kept ? { width: 3 } : { width: 2, dash: "5 4" })),
      ...order.map((i) => tag(view, followed[i].clipped, role(i), names[i])));
  }

  function outline(corners, role) {
    const d = `M${corners.map((corner) => corner.map((number) => number * view.scale).join(" ")).join("L")}Z`;
    const line = el("path", { d, style: `stroke:var(--${role})` });
    return el("g", { class: "outline" }, el("path", { class: "casing", d }), line);
  }

  decode(state.picture.src).then((pen) => {
    const { width, height } = pen.canvas;
    source = pen;
    set(screen, { width, height });
    mean = meanColour(pen.getImageData(0, 0, width, height).data);
    redraw();
  });
}
