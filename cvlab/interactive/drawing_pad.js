// A pad to draw a digit on; a network of int8 in WebAssembly reads it with every stroke, and its maps can be looked at.
import {
  announcer, arrowKeys, bar, button, caption, clamp, easel, el, fixed, framed, layout, picture, range, row, set, table,
} from "./common.js";
import { bytes, network } from "./wasm.js";

const PEN = 5; // how wide lines are for the network, pixels
const BLOCK = 4; // the digits that it learned from were scans of so many times fewer pixels each way
const MARGIN = 1.1; // a picture's side is so many times the digit's
const DRAWN = 2.8; // how wide lines are on the pad, pixels of the network
const STEP = 0.4; // points of a line that are nearer than that to the last one are left out
const GROUND = [38, 44, 60], INK = [214, 196, 150];
const MOST_MAPS = 64;

/** Shares that add up to 1, from whole numbers, their scale and their zero point. */
export function softmax(values, scale, zero) {
  const real = values.map((value) => (value - zero) * scale), most = Math.max(...real);
  const powers = real.map((value) => Math.exp(value - most)), total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Bring lines to the middle of a picture, as large as a pen of width PEN leaves them room; a dot stays a dot. */
export function fitted(lines, width, height) {
  const ends = [0, 1].map((axis) => lines.flat().reduce(([low, high], point) =>
    [Math.min(low, point[axis]), Math.max(high, point[axis])], [Infinity, -Infinity]));
  const sides = [width, height], least = Math.min(...sides) / 6;
  const scale = Math.min(...ends.map(([low, high], axis) => (sides[axis] - PEN) / Math.max(high - low, least)));
  return lines.map((line) => line.map((point) =>
    point.map((value, axis) => (value - (ends[axis][0] + ends[axis][1]) / 2) * scale + sides[axis] / 2)));
}

/** How much of each pixel lines of width PEN cover, in [0, 1], row by row. */
export function covered(lines, width, height) {
  const distance = new Float64Array(width * height).fill(Infinity), reach = PEN / 2 + 1;
  const walk = (low, high, side) => [Math.max(0, Math.floor(low - reach)), Math.min(side - 1, Math.ceil(high + reach))];
  for (const line of lines) line.forEach(([u, v], i) => {
    const [a, b] = line[Math.max(0, i - 1)], [du, dv] = [u - a, v - b], long = du * du + dv * dv;
    const [left, right] = walk(Math.min(a, u), Math.max(a, u), width), [top, bottom] = walk(Math.min(b, v), Math.max(b, v), height);
    for (let y = top; y <= bottom; y += 1) for (let x = left; x <= right; x += 1) {
      const [px, py] = [x + 0.5 - a, y + 0.5 - b], t = long > 0 ? clamp((px * du + py * dv) / long, 0, 1) : 0;
      const n = y * width + x;
      distance[n] = Math.min(distance[n], Math.hypot(px - t * du, py - t * dv));
    }
  });
  return Array.from(distance, (far) => clamp(PEN / 2 + 0.5 - far, 0, 1));
}

/** Means of blocks of BLOCK x BLOCK pixels, as a coarse scan has them. */
export function scanned(ink, width, height) {
  const [w, h] = [width, height].map((side) => Math.floor(side / BLOCK)), means = new Array(w * h).fill(0);
  ink.forEach((value, n) => {
    const x = Math.floor((n % width) / BLOCK), y = Math.floor(n / width / BLOCK);
    if (x < w && y < h) means[y * w + x] += value / (BLOCK * BLOCK);
  });
  return means;
}

/** Enlarge a coarse scan smoothly to a picture that is MARGIN times as large, with nothing around it. */
export function enlarged(means, width, height) {
  const [w, h] = [width, height].map((side) => Math.floor(side / BLOCK));
  const at = (x, y) => (x >= 0 && y >= 0 && x < w && y < h ? means[y * w + x] : 0);
  const place = (n, side, small) => ((((2 * n + 1) / side - 1) * MARGIN + 1) * small - 1) / 2;
  return range(width * height).map((n) => {
    const x = place(n % width, width, w), y = place(Math.floor(n / width), height, h), c = Math.floor(x), r = Math.floor(y);
    const top = at(c, r) * (1 - x + c) + at(c + 1, r) * (x - c), low = at(c, r + 1) * (1 - x + c) + at(c + 1, r + 1) * (x - c);
    return top * (1 - y + r) + low * (y - r);
  });
}

/** The bytes that the network gets of lines: drawn, scanned and enlarged as the digits that it learned from were. */
export function coloured(lines, width, height) {
  const ink = lines.length === 0 ? new Array(width * height).fill(0)
    : enlarged(scanned(covered(fitted(lines, width, height), width, height), width, height), width, height);
  return ink.flatMap((share) => GROUND.map((ground, c) => Math.round(ground + (INK[c] - ground) * share)));
}

export async function mount(root, state, publish) {
  const { width, height, names, layers, count } = state, cells = width * height;
  const run = await network(state.net).catch(() => null);
  if (!run) {
    root.append(caption(state.question, "This figure needs WebAssembly, which this browser does not run here."));
    publish({ error: "WebAssembly" });
    return;
  }
  const examples = range(count).map((i) => bytes(state.examples).slice(3 * cells * i, 3 * cells * (i + 1)));
  const now = { layer: 0, example: 0, lines: [], pen: [width / 2, height / 2], down: false, pointer: null };

  const view = picture({ width, height }, () => drawPad()), shown = easel(width, height), got = easel(width, height);
  view.frame.prepend(shown.canvas);
  set(view.frame, { class: "frame pad" });
  const [ink, cursor] = view.layers(2);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "drawing pad",
    "aria-label": "Drawing pad. Arrow keys move the pen, Space lowers or lifts it, Delete wipes the pad." }));

  // or the page would scroll under a finger: parts of an SVG do not hear touch-action
  hand.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  set(hand, {
    onpointerdown: (event) => {
      if (event.button || now.pointer !== null) return;
      now.pointer = event.pointerId;
      hand.setPointerCapture(event.pointerId);
      begin(view.at(event));
    },
    onpointermove: (event) => {
      if (event.pointerId !== now.pointer) return;
      const all = event.getCoalescedEvents?.() ?? [];
      for (const one of all.length ? all : [event]) follow(view.at(one));
    },
    onlostpointercapture: (event) => {
      if (event.pointerId === now.pointer) Object.assign(now, { pointer: null, pen: now.lines.at(-1)?.at(-1) ?? now.pen });
      ask();
    },
    onkeydown: (event) => {
      if (event.key === "Delete" || event.key === "Backspace") wipe();
      else if (event.key === " ") {
        now.down = !now.down;
        if (now.down) begin(now.pen); else ask();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    },
  });
  arrowKeys(hand, (dx, dy) => {
    now.pen = [clamp(now.pen[0] + dx, 0, width), clamp(now.pen[1] + dy, 0, height)];
    if (now.down) follow(now.pen); else drawPad();
  }, 4);

  const answer = el("p", { class: "answer" }), status = announcer(true), odds = table("How likely the network holds each");
  odds.body.replaceChildren(...names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), el("td"), el("td"))));
  const choice = el("select", { "aria-label": "Layer", onchange: () => { now.layer = choice.selectedIndex; ask(); } },
    ...layers.map(({ name }) => el("option", {}, name)));
  const maps = el("div", { class: "maps" }), note = el("p", { class: "note" });
  const words = el("p", { class: "note" });
  set(got.canvas, { role: "img", "aria-label": "What the network gets" });
  root.append(
    caption(state.question, "Draw with mouse, pen or finger. What you draw stays in this page."),
    layout([view.frame, row(button("Wipe", wipe), button("Another example", another))],
      [answer, odds, el("div", { class: "got" }, got.canvas, words), status]),
    el("div", { class: "layers" }, el("label", { class: "row" }, el("span", { class: "hint" }, "What a layer sees"), choice), maps, note));

  /** Begin a line; the first one wipes an example away. */
  function begin(point) {
    if (now.example !== null) Object.assign(now, { lines: [], example: null });
    now.lines.push([point]);
    ask();
  }

  /** Go on with the last line. */
  function follow(point) {
    const line = now.lines.at(-1), [x, y] = line.at(-1);
    if (Math.hypot(point[0] - x, point[1] - y) < STEP) return;
    line.push(point.map((value, axis) => clamp(value, 0, [width, height][axis])));
    ask();
  }

  function wipe() {
    Object.assign(now, { lines: [], example: null, down: false, pointer: null });
    ask();
  }

  function another() {
    Object.assign(now, { lines: [], example: now.example === null ? 0 : (now.example + 1) % count, down: false, pointer: null });
    ask();
  }

  const ask = framed(() => {
    now.pixels = now.example === null ? coloured(now.lines, width, height) : [...examples[now.example]];
    now.found = run(Int8Array.from(now.pixels, (byte) => byte - 128));
    now.odds = softmax([...now.found.output], state.scale, state.zero);
    drawPad();
    tell();
    drawMaps();
    publish({ output: [...now.found.output], odds: now.odds, best: best(), example: now.example, layer: now.layer,
      map: now.map, input: now.pixels, lines: now.lines.length, down: now.down, pen: now.pen });
  });

  const best = () => now.odds.indexOf(Math.max(...now.odds));

  function drawPad() {
    if (!now.pixels) return;
    const image = new ImageData(width, height);
    range(cells).forEach((n) => image.data.set([...now.pixels.slice(3 * n, 3 * n + 3), 255], 4 * n));
    got.putImageData(image, 0, 0);
    if (now.example === null) {
      shown.fillStyle = `rgb(${GROUND})`;
      shown.fillRect(0, 0, width, height);
    } else shown.putImageData(image, 0, 0);
    const spot = (point) => point.map((value) => (value * view.scale).toFixed(1)).join(" ");
    ink.replaceChildren(el("path", { class: "ink", "stroke-width": DRAWN * view.scale, style: `stroke:rgb(${INK})`,
      d: now.lines.map((line) => `M${spot(line[0])}L${line.map(spot).join("L")}`).join("") }));
    const [cx, cy] = now.pen.map((value) => value * view.scale);
    cursor.replaceChildren(el("circle", { cx, cy, r: (DRAWN / 2) * view.scale, class: now.down ? "pen down" : "pen" }));
  }

  function tell() {
    const blank = now.example === null && now.lines.length === 0, first = best(), { ms } = now.found;
    const time = ms < 0.05 ? "less than 0.1 ms" : `${fixed(ms, 1)} ms`;
    answer.replaceChildren(...(blank ? ["Draw something."] : ["It reads ", el("b", { class: "big" }, names[first]), ` in ${time}.`]));
    words.textContent = now.example === null
      ? `What the network gets: your lines in the middle, as large, as thick and as coarse as the digits that it learned from, ${width} × ${height} pixels.`
      : `What the network gets: this picture, ${width} × ${height} pixels.`;
    const spoken = `${now.down ? "Pen lowered. " : ""}${blank ? "The pad is empty."
      : `It reads ${names[first]}, ${Math.round(100 * now.odds[first])} percent.`}`;
    if (now.pointer === null && status.textContent !== spoken) status.textContent = spoken; // not at every move of a hand
    [...odds.body.children].forEach((line, k) => {
      set(line, { class: k === first && !blank ? "best" : null });
      line.children[1].replaceChildren(bar(0, blank ? 0 : now.odds[k], k === first ? "prediction" : null));
      line.children[2].textContent = blank ? "–" : `${Math.round(100 * now.odds[k])} %`;
    });
  }

  /** Show the maps of the chosen layer: black for -128, where a ReLU has cut off, white for 127. */
  function drawMaps() {
    const { place, shape: [h, w, c] } = layers[now.layer], values = now.found.map(place, h * w * c);
    const many = Math.min(c, MOST_MAPS), columns = many <= 16 ? 8 : 16, lines = Math.ceil(many / columns);
    const zoom = Math.max(1, Math.round(32 / w)), gap = 2, side = w * zoom + gap, tall = h * zoom + gap;
    const pen = easel(columns * side - gap, lines * tall - gap);
    pen.imageSmoothingEnabled = false;
    range(many).forEach((k) => {
      const one = easel(w, h), image = new ImageData(w, h);
      range(h * w).forEach((n) => {
        const grey = values[n * c + k] + 128;
        image.data.set([grey, grey, grey, 255], 4 * n);
      });
      one.putImageData(image, 0, 0);
      pen.drawImage(one.canvas, (k % columns) * side, Math.floor(k / columns) * tall, w * zoom, h * zoom);
    });
    maps.replaceChildren(pen.canvas);
    set(pen.canvas, { role: "img", "aria-label": `${many} maps of layer ${layers[now.layer].name}` });
    now.map = [...values.slice(0, 64)];
    const used = new Set(values).size, [low, high] = [Math.min(...values), Math.max(...values)];
    note.textContent = `${many < c ? `The first ${many} of ${c} maps` : `All ${c} maps`}: black is −128, white 127. `
      + `They use ${used} of the 256 numbers, from ${fixed(low, 0)} to ${fixed(high, 0)}.`;
  }

  ask();
}
