// A detector of int8 and a painter in floating point, both WebAssembly, at work on the reader's picture.
import {
  announcer, button, caption, clamp, decode, drawBox, easel, el, fixed, group, iou, layout, picture, range, row, set, slider, tag,
} from "./common.js";
import { bytes, load, network } from "./wasm.js";

const GREY = "rgb(114,114,114)"; // around a picture that is not square, as in training

/** Where a picture lies on a square of `side`, its aspect ratio kept. */
export function letterbox(width, height, side) {
  const scale = side / Math.max(width, height), even = (v) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));
  const w = Math.max(1, even(width * scale)), h = Math.max(1, even(height * scale));
  return { x: even((side - w) / 2), y: even((side - h) / 2), w, h };
}

/** Real numbers of the maps: first the logits of all anchors, then their offsets. */
export function dequantized(output, parts) {
  let start = 0;
  return parts.map(({ numbers, scale, zero }) =>
    Float64Array.from(output.subarray(start, start += numbers), (value) => (value - zero) * scale));
}

/** The box that offsets make of an anchor [x1, y1, x2, y2], cut off at the border of a square. */
export function decodeBox([dx, dy, dw, dh], [x1, y1, x2, y2], side) {
  const w = x2 - x1, h = y2 - y1, most = Math.log(1000 / 16);
  const x = x1 + w / 2 + (dx / 10) * w, y = y1 + h / 2 + (dy / 10) * h;
  const half = [(w * Math.exp(Math.min(dw / 5, most))) / 2, (h * Math.exp(Math.min(dh / 5, most))) / 2];
  return [x - half[0], y - half[1], x + half[0], y + half[1]].map((v) => clamp(v, 0, side));
}

/** Keep the best of boxes that overlap by more than `most`, class by class. */
export function suppress(found, most) {
  const kept = [];
  for (const one of found.sort((a, b) => b.score - a.score)) {
    if (!kept.some((other) => other.label === one.label && iou(other.box, one.box) > most)) kept.push(one);
  }
  return kept;
}

/** Detections of one output of the network. */
export function detections(output, net) {
  const real = dequantized(output, net.parts), half = real.length / 2, count = net.classes.length;
  const anchors = new Float32Array(bytes(net.anchors).buffer), found = [];
  const join = (maps) => Float64Array.from(maps.flatMap((map) => [...map]));
  const logits = join(real.slice(0, half)), offsets = join(real.slice(half));
  range(logits.length / count).forEach((a) => {
    const rows = logits.subarray(a * count, (a + 1) * count), most = Math.max(...rows);
    const powers = rows.map((v) => Math.exp(v - most)), total = powers.reduce((s, v) => s + v, 0);
    for (let label = 1; label < count; label += 1) {
      const score = powers[label] / total;
      if (score > net.least) found.push({ label, score, anchor: a });
    }
  });
  const best = range(count).flatMap((label) => found.filter((one) => one.label === label)
    .sort((a, b) => b.score - a.score).slice(0, net.candidates));
  for (const one of best) {
    one.box = decodeBox(offsets.subarray(4 * one.anchor, 4 * one.anchor + 4), anchors.subarray(4 * one.anchor, 4 * one.anchor + 4), net.size);
  }
  return suppress(best, net.nms).slice(0, net.most).filter(({ box: [x1, y1, x2, y2] }) => x2 > x1 && y2 > y1);
}

/** A sum in which every number counts differently, to compare outputs with. */
export const checksum = (values) => values.reduce((sum, value, i) => sum + value * ((i % 251) + 1), 0);

export async function mount(root, state, publish) {
  const { side } = state, now = { scene: 0, found: null, painted: null, least: 0.5, times: {} };
  const shown = easel(side, side), original = easel(side, side), nets = {};
  const view = picture({ width: side, height: side }, () => drawBoxes());
  view.frame.prepend(shown.canvas);
  const [layer] = view.layers(1), status = announcer(), note = el("p", { class: "note" });
  const list = el("ul", { class: "found" });

  const file = el("input", { type: "file", accept: "image/*", class: "hidden", tabindex: -1, "aria-hidden": "true",
    onchange: () => {
      const [chosen] = file.files;
      file.value = ""; // so that the same file can be chosen again
      if (chosen) act(() => take(chosen));
    } });
  set(view.frame, {
    ondragover: (event) => { event.preventDefault(); view.frame.classList.add("over"); },
    ondragleave: () => view.frame.classList.remove("over"),
    ondrop: (event) => {
      event.preventDefault();
      view.frame.classList.remove("over");
      const dropped = [...event.dataTransfer.files], chosen = dropped.find(({ type }) => type.startsWith("image/")) ?? dropped[0];
      act(() => (chosen ? take(chosen) : say("That was no file with a picture.")));
    },
  });
  const style = el("select", { "aria-label": "Style" }, ...state.styles.map((name) => el("option", {}, name)));
  root.append(
    caption(state.question, "Press a button; drop a picture of your own on the square. It never leaves this page."),
    layout([view.frame, status], [
      group("The picture", row(button("Another still life", () => act(another)), button("Your own …", () => file.click()), file)),
      group("A detector of int8 numbers", row(button("Find fruit", () => act(detect))),
        slider("Score at least", { min: 0.05, max: 0.95, step: 0.05, value: now.least, digits: 2 },
          (value) => { now.least = value; drawBoxes(); tell(); }), list),
      group("A painter in floating point", row(style, button("Repaint", () => act(paint)), button("As it was", () => act(restore)))),
      note]));

  show(await decode(state.picture.src));

  function say(text) { status.textContent = text; }

  /** Put a picture on the square, its aspect ratio kept. */
  function show(pen) {
    const { width, height } = pen.canvas, { x, y, w, h } = letterbox(width, height, side);
    for (const each of [original, shown]) {
      each.fillStyle = GREY;
      each.fillRect(0, 0, side, side);
      each.drawImage(pen.canvas, x, y, w, h);
    }
    Object.assign(now, { found: null, painted: null, source: pen });
    drawBoxes();
    tell();
  }

  async function take(blob) {
    let bitmap;
    try { bitmap = await createImageBitmap(blob); } catch { say("This file cannot be read as a picture."); return; }
    const pen = easel(bitmap.width, bitmap.height);
    pen.drawImage(bitmap, 0, 0);
    show(pen);
    say("Your picture is shown.");
  }

  async function another() {
    const scenes = await load("scenes"), again = now.found !== null;
    now.scene += 1;
    show(await decode(scenes[(now.scene - 1) % scenes.length]));
    if (again) await detect();
  }

  /** Do one thing after the other; where one needs a file that is not there, say so. */
  function act(what) {
    now.doing = (now.doing ?? Promise.resolve()).then(what).catch((error) => {
      view.frame.classList.remove("busy");
      say("The networks and the still lifes are files of the book's built pages, and they were not found here.");
      publish({ error: String(error.message) });
    });
  }

  async function ready(name) {
    if (!nets[name]) {
      say("Loading the network …");
      const net = await load(name);
      nets[name] = { net, run: await network(net) };
    }
    return nets[name];
  }

  async function detect() {
    const { net, run } = await ready("detector"), size = net.size, pen = easel(size, size);
    const { width, height } = now.source.canvas, { x, y, w, h } = letterbox(width, height, size);
    pen.fillStyle = GREY;
    pen.fillRect(0, 0, size, size);
    pen.drawImage(now.painted ? shown.canvas : now.source.canvas, ...(now.painted ? [0, 0, size, size] : [x, y, w, h]));
    const { data } = pen.getImageData(0, 0, size, size);
    const input = Int8Array.from(range(3 * size * size), (i) => net.table[256 * (i % 3) + data[4 * Math.floor(i / 3) + (i % 3)]]);
    const { ms, output } = run(input);
    now.times.detector = ms;
    now.sum = checksum(output);
    now.found = detections(output, net).map((one) => ({ ...one, name: net.classes[one.label],
      box: one.box.map((v) => (v * side) / size) }));
    drawBoxes();
    tell();
  }

  async function paint() {
    const name = style.value, { run } = await ready(`painter_${name}`);
    say(`Painting in the style “${name}” …`);
    view.frame.classList.add("busy");
    await new Promise((done) => { setTimeout(done, 60); }); // so that the words are seen before the page is busy
    const { data } = original.getImageData(0, 0, side, side), image = new ImageData(side, side);
    const input = Float32Array.from(range(3 * side * side), (i) => data[4 * Math.floor(i / 3) + (i % 3)] / 127.5 - 1);
    const { ms, output } = run(input);
    range(side * side).forEach((n) => image.data.set([0, 1, 2].map((c) => Math.round(255 * output[3 * n + c])).concat(255), 4 * n));
    shown.putImageData(image, 0, 0);
    view.frame.classList.remove("busy");
    Object.assign(now, { painted: name, found: null });
    now.times.painter = ms;
    now.sum = checksum(output);
    drawBoxes();
    tell();
  }

  function restore() {
    shown.drawImage(original.canvas, 0, 0);
    Object.assign(now, { painted: null, found: null });
    drawBoxes();
    tell();
    say("This is the picture as it was.");
  }

  function chosen() { return (now.found ?? []).filter(({ score }) => score >= now.least); }

  function drawBoxes() {
    layer.replaceChildren(...[...chosen()].reverse().flatMap(({ box, name, score }) => [
      drawBox(view, box, "prediction", { width: 3 }), tag(view, box, "prediction", `${name} ${fixed(score)}`)]));
    list.replaceChildren(...chosen().map(({ name, score }) => el("li", {}, `${name}, ${fixed(score)}`)));
  }

  function tell() {
    const { detector, painter } = now.times, ms = (value) => `${Math.round(value)} ms`, many = chosen().length;
    const best = chosen().slice(0, 3).map(({ name }) => name).join(", ");
    if (now.found) say(many ? `${many} found (${best}${many > 3 ? ", …" : ""}), in ${ms(detector)}.` : `Nothing found, in ${ms(detector)}.`);
    else if (now.painted) say(`Repainted in the style “${now.painted}”, in ${ms(painter)}.`);
    else say("");
    note.textContent = [
      detector === undefined ? null : `The detector, ${Math.round(nets.detector.net.multiplications / 1e6)} million multiplications: ${ms(detector)}.`,
      painter === undefined ? null : `The painter, ${side} × ${side} pixels: ${ms(painter)}.`].filter(Boolean).join(" ");
    publish({ times: now.times, sum: now.sum, painted: now.painted, scene: now.scene, least: now.least, shown: many,
      found: (now.found ?? []).map(({ box, label, score }) => ({ box, label, score })) });
  }
}
