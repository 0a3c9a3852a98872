// A pad to draw a digit on; a network of int8 in WebAssembly reads it with every stroke, and its maps can be looked at.
import {
  announcer, arrowKeys, bar, button, caption, clamp, easel, el, fixed, framed, layout, picture, range, row, set, table,
} from "./common.js";
import { bytes, network } from "./wasm.js";

const WIDE = 4.2; // of the pen, pixels of the network
const MOST_MAPS = 64;

/** Shares that add up to 1, from whole numbers, their scale and their zero point. */
export function softmax(values, scale, zero) {
  const real = values.map((value) => (value - zero) * scale), most = Math.max(...real);
  const powers = real.map((value) => Math.exp(value - most)), total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/** Spread ink as the 8 x 8 scans of the training pictures are spread: each pixel takes from a disc around it. */
export function spread(ink, width, height, radius = 1.5) {
  const reach = Math.ceil(radius), disc = [];
  for (let y = -reach; y <= reach; y += 1) for (let x = -reach; x <= reach; x += 1) {
    const weight = Math.max(0, radius + 0.5 - Math.hypot(x, y));
    if (weight > 0) disc.push([x, y, weight]);
  }
  const total = disc.reduce((sum, [, , weight]) => sum + weight, 0);
  return ink.map((_, n) => {
    const row = Math.floor(n / width), column = n % width;
    let sum = 0;
    for (const [x, y, weight] of disc) {
      const r = row + y, c = column + x;
      if (r >= 0 && c >= 0 && r < height && c < width) sum += weight * ink[r * width + c];
    }
    return sum / total;
  });
}

export async function mount(root, state, publish) {
  const { width, height, names, layers, count } = state, cells = width * height, run = await network(state.net);
  const examples = range(count).map((i) => bytes(state.examples).slice(3 * cells * i, 3 * cells * (i + 1)));
  const now = { layer: 0, pixels: examples[0], example: 0, ink: null, pen: [width / 2, height / 2], down: false };

  const view = picture({ width, height }, () => draw()), shown = easel(width, height);
  view.frame.prepend(shown.canvas);
  set(view.frame, { class: "frame pad" });
  const sheet = easel(4 * width, 4 * height); // where strokes are drawn, finer than the network sees
  const [cursor] = view.layers(1);
  const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "drawing pad",
    "aria-label": "Drawing pad. Arrow keys move the pen, Space lowers or lifts it, Delete wipes the pad." }));

  set(hand, {
    onpointerdown: (event) => {
      if (event.button) return;
      hand.setPointerCapture(event.pointerId);
      now.last = view.at(event);
      stroke(now.last, now.last);
    },
    onpointermove: (event) => {
      if (!hand.hasPointerCapture(event.pointerId)) return;
      const next = view.at(event);
      stroke(now.last, next);
      now.last = next;
    },
    onkeydown: (event) => {
      if (event.key === "Delete" || event.key === "Backspace") wipe();
      else if (event.key === " ") {
        now.down = !now.down;
        if (now.down) stroke(now.pen, now.pen);
        draw();
      } else return;
      event.preventDefault();
    },
  });
  arrowKeys(hand, (dx, dy) => {
    const next = [clamp(now.pen[0] + dx, 0, width), clamp(now.pen[1] + dy, 0, height)];
    if (now.down) stroke(now.pen, next);
    now.pen = next;
    draw();
  }, 4);

  const answer = el("p", { class: "answer" }), status = announcer(true), odds = table("How likely the network holds each");
  odds.body.replaceChildren(...names.map((name) => el("tr", {}, el("th", { scope: "row" }, name), el("td"), el("td"))));
  const choice = el("select", { "aria-label": "Layer", onchange: () => { now.layer = choice.selectedIndex; ask(); } },
    ...layers.map(({ name }) => el("option", {}, name)));
  const maps = el("div", { class: "maps" }), note = el("p", { class: "note" });
  root.append(
    caption(state.question, "Draw with mouse, pen or finger. What you draw stays in this page."),
    layout([view.frame, row(button("Wipe", wipe), button("Another example", () => example(now.example + 1))), answer, status],
      [odds]),
    el("div", { class: "layers" }, row(choice), maps, note));

  /** Draw a line on the sheet; the first one wipes an example away. */
  function stroke([x, y], [u, v]) {
    if (now.example !== null) wipe();
    Object.assign(sheet, { lineWidth: 4 * WIDE, lineCap: "round", strokeStyle: "#fff" });
    sheet.beginPath();
    sheet.moveTo(4 * x, 4 * y);
    sheet.lineTo(4 * u + 0.01, 4 * v);
    sheet.stroke();
    const { data } = sheet.getImageData(0, 0, 4 * width, 4 * height);
    now.ink = range(cells).map((n) => {
      let sum = 0;
      for (let i = 0; i < 16; i += 1) {
        const r = 4 * Math.floor(n / width) + (i >> 2), c = 4 * (n % width) + (i & 3);
        sum += data[4 * (r * 4 * width + c)];
      }
      return sum / (16 * 255);
    });
    ask();
  }

  function wipe() {
    sheet.clearRect(0, 0, 4 * width, 4 * height);
    Object.assign(now, { ink: new Array(cells).fill(0), example: null });
    ask();
  }

  function example(i) {
    now.example = (now.example === null ? 0 : i) % count;
    sheet.clearRect(0, 0, 4 * width, 4 * height);
    now.ink = null;
    ask();
  }

  const GROUND = [38, 44, 60], INK = [214, 196, 150];
  const coloured = () => {
    const ink = spread(now.ink, width, height);
    return Uint8Array.from(range(3 * cells).map((i) => Math.round(GROUND[i % 3] + (INK[i % 3] - GROUND[i % 3]) * ink[Math.floor(i / 3)])));
  };

  const ask = framed(() => {
    now.pixels = now.example === null ? coloured() : examples[now.example];
    now.found = run(Int8Array.from(now.pixels, (byte) => byte - 128));
    now.odds = softmax([...now.found.output], state.scale, state.zero);
    draw();
  });

  function draw() {
    if (!now.found) return;
    const image = new ImageData(width, height);
    range(cells).forEach((n) => image.data.set([...now.pixels.slice(3 * n, 3 * n + 3), 255], 4 * n));
    shown.putImageData(image, 0, 0);
    const [x, y] = now.pen.map((value) => value * view.scale);
    cursor.replaceChildren(el("circle", { cx: x, cy: y, r: (WIDE / 2) * view.scale, class: now.down ? "pen down" : "pen" }));
    const best = now.odds.indexOf(Math.max(...now.odds)), blank = now.ink !== null && !now.ink.some((value) => value > 0);
    answer.replaceChildren(...(blank ? ["Draw something."]
      : ["It reads ", el("b", { class: "big" }, names[best]), ` in ${fixed(now.found.ms, 1)} ms.`]));
    status.textContent = blank ? "The pad is empty." : `It reads ${names[best]}, ${Math.round(100 * now.odds[best])} percent.`;
    [...odds.body.children].forEach((line, k) => {
      set(line, { class: k === best && !blank ? "best" : null });
      line.children[1].replaceChildren(bar(0, now.odds[k], k === best ? "prediction" : null));
      line.children[2].textContent = `${Math.round(100 * now.odds[k])} %`;
    });
    drawMaps();
    publish({ output: [...now.found.output], odds: now.odds, best, example: now.example, layer: now.layer,
      map: now.map, input: [...now.pixels] });
  }

  /** Show the maps of the chosen layer: black for -128, where a ReLU has cut off, white for 127. */
  function drawMaps() {
    const { place, shape: [h, w, c] } = layers[now.layer], values = now.found.map(place, h * w * c);
    const many = Math.min(c, MOST_MAPS), columns = many <= 16 ? 8 : 16, lines = Math.ceil(many / columns), gap = w > 4 ? 1 : 0.5;
    const zoom = Math.max(1, Math.round(24 / w)), side = Math.round((w + gap) * zoom), tall = Math.round((h + gap) * zoom);
    const pen = easel(columns * side, lines * tall);
    range(many).forEach((k) => {
      const one = easel(w, h), image = new ImageData(w, h);
      range(h * w).forEach((n) => image.data.set([0, 0, 0].map(() => values[n * c + k] + 128).concat(255), 4 * n));
      one.putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(one.canvas, (k % columns) * side, Math.floor(k / columns) * tall, w * zoom, h * zoom);
    });
    maps.replaceChildren(pen.canvas);
    set(pen.canvas, { role: "img", "aria-label": `${many} maps of layer ${layers[now.layer].name}` });
    now.map = [...values.slice(0, 64)];
    const used = new Set(values).size;
    note.textContent = `${many < c ? `The first ${many} of ${c} maps` : `All ${c} maps`}: black is −128, white 127. `
      + `They use ${used} of the 256 numbers, from ${String(Math.min(...values)).replace("-", "−")} to ${Math.max(...values)}.`;
  }

  ask();
}
