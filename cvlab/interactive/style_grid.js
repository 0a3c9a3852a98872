// Pictures for pairs of weights: a handle over the grid, and the picture there, blended from its neighbours.
import {
  announcer, arrowKeys, caption, clamp, decode, easel, el, layout, picture, set, slider,
} from "./common.js";

/** How much each of the neighbours counts at a place between the grid's points: [index, share] of those above 0. */
export function shares(x, y, columns, rows) {
  const j = Math.min(Math.floor(x), columns - 2), i = Math.min(Math.floor(y), rows - 2), [u, v] = [x - j, y - i];
  return [[i, j, (1 - u) * (1 - v)], [i, j + 1, u * (1 - v)], [i + 1, j, (1 - u) * v], [i + 1, j + 1, u * v]]
    .filter(([, , share]) => share > 0).map(([row, column, share]) => [row * columns + column, share]);
}

const short = (value) => String(Number(value.toPrecision(2)));

/** The weight at a place between two: geometric, and linear beside 0. */
export function weightAt(weights, place) {
  const n = Math.min(Math.floor(place), weights.length - 2), part = place - n, [a, b] = [weights[n], weights[n + 1]];
  return a > 0 ? a ** (1 - part) * b ** part : a + (b - a) * part;
}

export async function mount(root, state, publish) {
  const { across, down, names, pictures } = state, [columns, rows] = [across.length, down.length];
  const now = { x: state.start[1], y: state.start[0] }, { width, height } = pictures[0];
  let pens = null;

  const view = picture({ width, height }, () => null), pen = easel(1, 1);
  view.frame.prepend(pen.canvas);
  set(view.svg, { role: "img" });
  const pad = picture({ width: columns * width, height: rows * height }, () => paintPad());
  set(pad.frame, { class: "frame pad" });
  const [tiles, above] = pad.layers(2);
  const hand = pad.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "grid of weights" }));
  const point = (event) => {
    const [x, y] = pad.at(event);
    go(snap(x / width - 0.5), snap(y / height - 0.5));
  };
  set(hand, { onpointerdown: (event) => { hand.setPointerCapture(event.pointerId); point(event); },
    onpointermove: (event) => (event.buttons ? point(event) : null) });
  hand.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  arrowKeys(hand, (dx, dy) => go(now.x + 0.1 * dx, now.y + 0.1 * dy));

  const across1 = slider(names[0], { min: 0, max: columns - 1, step: 0.05, value: now.x }, (x) => go(x, now.y));
  const down1 = slider(names[1], { min: 0, max: rows - 1, step: 0.05, value: now.y }, (y) => go(now.x, y));
  const note = el("p", { class: "note" }), status = announcer(true);
  root.append(
    caption(state.question, "Drag the handle over the grid, or move the sliders."),
    layout([view.frame, status], [el("div", {}, el("p", { class: "heading" },
      `${names[0]} grows to the right, ${names[1]} downwards`), pad.frame), el("div", {}, across1, down1, note)]));
  pens = await Promise.all(pictures.map(({ src }) => decode(src)));

  /** Places near a point of the grid are that point. */
  function snap(place) {
    return Math.abs(place - Math.round(place)) < 0.12 ? Math.round(place) : place;
  }

  function go(x, y) {
    now.x = Math.round(clamp(x, 0, columns - 1) * 1000) / 1000;
    now.y = Math.round(clamp(y, 0, rows - 1) * 1000) / 1000;
    draw();
  }

  function draw() {
    if (!pens) return; // they are being decoded
    const parts = shares(now.x, now.y, columns, rows), weights = [weightAt(across, now.x), weightAt(down, now.y)];
    [across1, down1].forEach((node, k) => {
      node.querySelector("input").value = [now.x, now.y][k];
      node.querySelector("output").textContent = short(weights[k]);
      set(node.querySelector("input"), { "aria-valuetext": short(weights[k]) });
    });
    const where = `${names[0]} ${short(weights[0])}, ${names[1]} ${short(weights[1])}`;
    note.textContent = parts.length === 1 ? "This picture was made with these weights."
      : `Blended from ${parts.length} neighbours: a sketch of what these weights would give.`;
    status.textContent = `${where}. ${note.textContent}`;
    set(view.svg, { "aria-label": `The picture at ${where}` });
    set(hand, { "aria-label": `Grid of ${columns} by ${rows} pictures, now at ${where}. Arrow keys move the handle.` });
    blend(parts);
    paintPad();
    publish({ ...now, weights, parts });
  }

  const blend = (parts) => {
    const { canvas } = pens[parts[0][0]];
    Object.assign(pen.canvas, { width: canvas.width, height: canvas.height }); // which clears it
    pen.globalCompositeOperation = "lighter";
    for (const [n, share] of parts) {
      pen.globalAlpha = share;
      pen.drawImage(pens[n].canvas, 0, 0);
    }
  };

  function paintPad() {
    const k = pad.scale, size = { width: width * k, height: height * k };
    if (!tiles.childNodes.length)
      tiles.append(...pictures.map(({ src }) => el("image", { href: src, preserveAspectRatio: "none" })));
    [...tiles.childNodes].forEach((tile, n) =>
      set(tile, { ...size, x: (n % columns) * size.width, y: Math.floor(n / columns) * size.height }));
    const [cx, cy] = [(now.x + 0.5) * size.width, (now.y + 0.5) * size.height];
    above.replaceChildren(el("circle", { class: "handle casing", cx, cy, r: 10 }),
      el("circle", { class: "handle", cx, cy, r: 10 }));
  }

  draw();
}
