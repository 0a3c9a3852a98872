// A Gram matrix entry by entry: two channels, their product, and what stays when the places are shuffled.
import {
  announcer, arrowKeys, button, caption, clamp, decode, easel, el, fixed, layout, picture, range, row, seeded, set,
} from "./common.js";

/** The Gram matrix of some maps, each a list of the same places: mean products, divided by the number of channels. */
export function gramOf(maps) {
  const places = maps[0].length, count = maps.length, dot = (a, b) => a.reduce((sum, value, n) => sum + value * b[n], 0);
  const half = maps.map((a, i) => maps.slice(0, i + 1).map((b) => dot(a, b) / (places * count)));
  return maps.map((_, i) => maps.map((__, j) => (j <= i ? half[i][j] : half[j][i])));
}

/** The numbers from 0 to count - 1 in an order of chance, always the same one after the same seed. */
export function shuffled(count, seed) {
  const order = range(count), random = seeded(seed);
  for (let i = count - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

/** The colour of a share from 0, black, over red and yellow to 1, white. */
export const glow = (share) => [2.2 * share, 2.2 * share - 0.7, 3 * share - 2].map((c) => Math.round(255 * clamp(c, 0, 1)));

export async function mount(root, state, publish) {
  const { names, rows, columns, ranges } = state, count = names.length, cells = rows * columns, inOrder = range(cells);
  const now = { pair: [...state.pair], order: inOrder, other: null, shuffles: 0 };
  let maps = null;

  const chart = picture({ width: count, height: count }, () => paintMatrix());
  set(chart.frame, { class: "frame matrix" });
  const [squares, above] = chart.layers(2);
  const hand = chart.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "matrix" }));
  const point = (event) => choose(...chart.at(event).reverse().map(Math.floor));
  set(hand, { onpointermove: point, onpointerdown: point });
  arrowKeys(hand, (dx, dy) => choose(now.pair[0] + dy, now.pair[1] + dx), 4);

  const panels = range(4).map(() => {
    const pen = easel(1, 1), heading = el("p", { class: "heading" });
    pen.canvas.style.aspectRatio = `${columns} / ${rows}`;
    return { pen, heading, node: el("div", {}, heading, pen.canvas) };
  });
  const entry = el("p", { class: "entry" }), note = el("p", { class: "note" }), status = announcer(true);
  root.append(
    caption(state.question, "Point at an entry of the matrix, tap it, or Tab to it and use the arrow keys."),
    layout([el("p", { class: "heading" }, "Gram matrix of the channels: the brighter, the larger"), chart.frame, entry, status], [
      el("div", { class: "maps" }, ...panels.map(({ node }) => node)),
      row(button("Shuffle all places", () => shuffle(true)), button("Shuffle one channel", () => shuffle(false)),
        button("As it was", () => { Object.assign(now, { order: inOrder, other: null }); draw(); })),
      note]));

  const [photo, pen] = await Promise.all([decode(state.picture.src), decode(state.maps)]);
  const { data } = pen.getImageData(0, 0, columns, rows * count);
  maps = ranges.map(([low, high], c) =>
    inOrder.map((n) => low + ((high - low) * data[4 * (c * cells + n)]) / 255));
  const first = gramOf(maps);

  function choose(i, j) {
    now.pair = [clamp(i, 0, count - 1), clamp(j, 0, count - 1)];
    if (maps) draw();
  }

  /** Take the places in a new order: those of all channels, or of the entry's second channel alone. */
  function shuffle(all) {
    now.shuffles += 1;
    const order = shuffled(cells, now.shuffles);
    if (all) Object.assign(now, { order, other: null });
    else Object.assign(now, { order: inOrder, other: { channel: now.pair[1], order } });
    draw();
  }

  const orderOf = (c) => (now.other?.channel === c ? now.other.order : now.order);
  const present = () => maps.map((map, c) => orderOf(c).map((n) => map[n]));

  function draw() {
    const shown = present(), matrix = gramOf(shown), [i, j] = now.pair;
    const product = shown[i].map((value, n) => value * shown[j][n]);
    const differs = (a, b) => Math.abs(a - b) > 1e-9 * Math.max(1, Math.abs(a));
    const changed = matrix.flatMap((line, r) => line.slice(0, r + 1).filter((value, c) => differs(value, first[r][c])));
    paintPhoto();
    paintMap(panels[1], names[i], shown[i]);
    paintMap(panels[2], names[j], shown[j]);
    paintMap(panels[3], "their product", product);
    const value = digits(matrix[i][j]);
    entry.replaceChildren(`${names[i]} with ${names[j]}: the product’s mean, divided by ${count}, is `, el("b", {}, value));
    status.textContent = `${names[i]} with ${names[j]}: ${value}.`;
    note.textContent = now.other !== null
      ? `The places of ${names[now.other.channel]} alone are shuffled: ${changed.length} entries have changed. Only its `
        + "product with itself has not."
      : now.order === inOrder ? "Nothing is shuffled."
        : `The places of all channels are shuffled in the same way: ${changed.length} entries have changed.`;
    set(hand, { "aria-label": `Gram matrix, row ${names[i]}, column ${names[j]}: ${value}. Arrow keys choose another `
      + "entry." });
    now.matrix = matrix;
    paintMatrix();
    publish({ pair: now.pair, matrix, changed: changed.length, shuffles: now.shuffles, product: mean(product) });
  }

  const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
  const digits = (value) => (Math.abs(value) < 0.01 && value !== 0 ? value.toExponential(1).replace("-", "−") : fixed(value, 3));

  function paintMap({ pen: canvas, heading }, name, values) {
    const low = Math.min(0, ...values), high = Math.max(...values, low + 1e-12), pixels = new ImageData(columns, rows);
    Object.assign(canvas.canvas, { width: columns, height: rows });
    values.forEach((value, n) => pixels.data.set([...glow((value - low) / (high - low)), 255], 4 * n));
    canvas.putImageData(pixels, 0, 0);
    heading.textContent = name;
  }

  /** The picture, its places in the order of the maps'. */
  function paintPhoto() {
    const { canvas } = photo, { pen: target, heading } = panels[0], [w, h] = [canvas.width / columns, canvas.height / rows];
    Object.assign(target.canvas, { width: canvas.width, height: canvas.height });
    now.order.forEach((from, to) => target.drawImage(canvas, (from % columns) * w, Math.floor(from / columns) * h, w, h,
      (to % columns) * w, Math.floor(to / columns) * h, w, h));
    heading.textContent = now.order === inOrder ? "the picture" : "its places, shuffled";
  }

  function paintMatrix() {
    if (!now.matrix) return;
    const most = Math.max(...now.matrix.flat().map(Math.abs), 1e-12), side = chart.scale, [i, j] = now.pair;
    const square = (r, c, more) => el("rect", { x: c * side, y: r * side, width: side, height: side, ...more });
    squares.replaceChildren(...now.matrix.flatMap((line, r) => line.map((value, c) =>
      square(r, c, { style: `fill:rgb(${glow(Math.abs(value) / most)})` }))));
    above.replaceChildren(square(i, j, { class: "cell casing" }), square(i, j, { class: "cell" }));
  }

  draw();
}
