// The matrix of a convolution: a pixel of the output has a row, a pixel of the input a column; transposed, it is the
// other way round.
import {
  announcer, arrowKeys, caption, check, clamp, el, layout, picture, place, range, row, set, slider,
} from "./common.js";

/** The side of the output of a convolution. */
export const sizeOut = (n, kernel, stride, padding) => Math.floor((n + 2 * padding - kernel) / stride) + 1;

/** Through which entry of the kernel, counted row by row, each output pixel (a row) reads each input pixel; or -1. */
export function entriesOf(n, kernel, stride, padding) {
  const m = sizeOut(n, kernel, stride, padding);
  const offset = (to, from) => from - (to * stride - padding);
  return range(m * m).map((out) => range(n * n).map((into) => {
    const a = offset(Math.floor(out / m), Math.floor(into / n)), b = offset(out % m, into % n);
    return Math.min(a, b) >= 0 && Math.max(a, b) < kernel ? a * kernel + b : -1;
  }));
}

export const transpose = (matrix) => matrix[0].map((_, column) => matrix.map((line) => line[column]));

/** Matrix times vector. */
export const times = (matrix, vector) =>
  matrix.map((line) => line.reduce((sum, number, column) => sum + number * vector[column], 0));

const signed = (value) => String(value).replace("-", "−");
const factor = (value) => (value < 0 ? `(${signed(value)})` : String(value));

export function mount(root, state, publish) {
  const x = state.x.flat(), weight = state.weight.flat(), n = state.x.length, k = state.weight.length;
  const { stride, padding, transposed } = state;
  const now = { stride, padding, transposed, where: "output", cell: 0 };

  const board = el("div", { class: "board" });
  let matrix = null, shape = ""; // the matrix's picture is made anew when its shape changes
  const key = picture({ width: 1, height: 1 }, () => paintKernel()), [entries] = key.layers(1);
  set(key.svg, { role: "img", "aria-label": `Kernel of ${k} × ${k} entries` });
  const grids = { input: grid("input"), output: grid("output") };
  const arrow = el("div", { class: "arrow" }), status = announcer(), count = el("p", { class: "note" });
  const change = (name) => (value) => { now[name] = value; draw(); };

  root.append(
    caption(state.question, "Point at a pixel or at a row of the matrix, tap it, or Tab to it and use the arrow keys."),
    layout([
      el("div", { class: "controls" },
        slider("stride", { min: 1, max: 3, step: 1, value: stride }, change("stride")),
        slider("padding", { min: 0, max: Math.min(2, k - 1), step: 1, value: padding }, change("padding")),
        check("transpose the matrix", transposed, change("transposed"))),
      board, count], [
      el("div", { class: "maps" }, grids.input.node, arrow, grids.output.node),
      status,
      el("div", { class: "key-grid" }, el("p", { class: "heading" }, "kernel: a colour for each entry"), key.frame)]));

  /** The input or the output as a grid; pointing at a pixel chooses it. */
  function grid(where) {
    const view = picture({ width: 1, height: 1 }, () => paintGrid(where)), [layer] = view.layers(1);
    const heading = el("p", { class: "heading" });
    set(view.svg, { "aria-label": where });
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "grid of pixels" }));
    const point = (event) => {
      const { units, margin } = sizes(where);
      choose(where, ...view.at(event).reverse().map((share) => Math.floor(share * units - margin)));
    };
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => {
      const { side } = sizes(where), at = now.where === where ? now.cell : 0;
      if (now.where === where) choose(where, Math.floor(at / side) + dy, (at % side) + dx);
      else choose(where, 0, 0);
    }, 2);
    return { view, layer, heading, hand, node: el("div", {}, heading, view.frame) };
  }

  /** The side of a picture, and the cells around it: both are drawn at one scale, as wide as the input with padding. */
  function sizes(where) {
    const units = n + 2 * now.padding, side = where === "input" ? n : sizeOut(n, k, now.stride, now.padding);
    return { side, units, margin: (units - side) / 2 };
  }

  function choose(where, i, j) {
    const { side } = sizes(where), [r, c] = [i, j].map((place) => clamp(place, 0, side - 1));
    Object.assign(now, { where, cell: r * side + c });
    draw();
  }

  /** The matrix as it stands, what goes in and what comes out, and whether the chosen pixel has a row of it. */
  function present() {
    const plain = entriesOf(n, k, now.stride, now.padding), y = times(numbers(plain), x);
    const places = now.transposed ? transpose(plain) : plain, back = times(transpose(numbers(plain)), y);
    const isRow = (now.where === "output") !== now.transposed;
    const [source, result] = now.transposed ? [y, back] : [x, y];
    const line = isRow ? places[now.cell] : places.map((one) => one[now.cell]);
    return { places, source, result, isRow, line, values: now.transposed ? { input: back, output: y }
      : { input: x, output: y } };
  }
  const numbers = (places) => places.map((line) => line.map((entry) => (entry < 0 ? 0 : weight[entry])));

  function draw() {
    now.cell = Math.min(now.cell, sizes(now.where).side ** 2 - 1);
    const { places, source, result, isRow, line } = present(), [rows, columns] = [places.length, places[0].length];
    if (shape !== `${rows} ${columns}`) build(rows, columns);
    tell();
    paintMatrix();
    paintKernel();
    for (const where of ["input", "output"]) paintGrid(where);
    publish({ ...now, rows, columns, matrix: numbers(places), source, result, isRow, line });
  }

  /** Make the picture of a matrix of this shape. Pointing at it chooses a row, left and right a column. */
  function build(rows, columns) {
    shape = `${rows} ${columns}`;
    const view = picture({ width: columns, height: rows }, () => paintMatrix()), [layer] = view.layers(1);
    view.frame.style.maxWidth = `${Math.min(36 * columns, Math.round((520 * columns) / rows))}px`;
    set(view.svg, { "aria-label": "Matrix" });
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "matrix" }));
    const names = () => (now.transposed ? ["input", "output"] : ["output", "input"]); // of a row, of a column
    const pick = (which, at, length) => {
      Object.assign(now, { where: names()[which], cell: clamp(at, 0, length - 1) });
      draw();
    };
    const point = (event) => pick(0, Math.floor(view.at(event)[1]), rows);
    set(hand, { onpointermove: point, onpointerdown: point });
    arrowKeys(hand, (dx, dy) => {
      const which = dy ? 0 : 1, same = now.where === names()[which];
      pick(which, same ? now.cell + dx + dy : 0, which ? columns : rows);
    }, 4);
    matrix = { view, layer, hand };
    board.replaceChildren(view.frame);
  }

  const spot = (where, cell) => `(${Math.floor(cell / sizes(where).side)}, ${cell % sizes(where).side})`;

  function tell() {
    const { places, isRow } = present(), [rows, columns] = [places.length, places[0].length];
    const name = now.transposed ? "Aᵀ" : "A", here = spot(now.where, now.cell);
    const size = (where) => `${sizes(where).side} × ${sizes(where).side}`;
    grids.input.heading.textContent = `${now.transposed ? "Aᵀ y" : "x"}, ${size("input")}`;
    grids.output.heading.textContent = `${now.transposed ? "y" : "y = A x"}, ${size("output")}`;
    arrow.replaceChildren(el("span", { "aria-hidden": "true" }, now.transposed ? "←" : "→"), el("small", {}, name));
    const full = places.flat().filter((entry) => entry >= 0).length;
    count.textContent = `${name}: ${rows} rows × ${columns} columns. ${full} of ${rows * columns} places hold one of `
      + `the kernel’s ${k * k} entries, the others 0.`
      + (now.transposed ? " Aᵀ brings back the shape of x, not its numbers." : "");
    status.replaceChildren(el("b", {}, `${isRow ? "Row" : "Column"} ${now.cell} of ${name}. `), sentence(here));
    const choice = `${isRow ? "row" : "column"} ${now.cell}`;
    set(matrix.hand, { "aria-label": `Matrix ${name} of ${rows} rows and ${columns} columns, `
      + `${choice} chosen. Up and down choose a row, left and right a column.` });
    for (const [where, { hand }] of Object.entries(grids)) set(hand, { "aria-label": `The convolution’s ${where}, `
      + `${size(where)} pixels${now.where === where ? `, pixel ${here} chosen` : ""}. Arrow keys choose a pixel.` });
  }

  /** What the chosen row gathers, or where the chosen column scatters its pixel. */
  function sentence(here) {
    const { source, result, isRow, line } = present(), [from, to] = now.transposed ? ["y", "Aᵀ y"] : ["x", "y"];
    const used = line.flatMap((entry, at) => (entry < 0 ? [] : [{ weight: weight[entry], at }]));
    const pixels = `${used.length} pixel${used.length === 1 ? "" : "s"}`;
    const missed = now.where === "output" ? k * k - used.length : 0; // entries of the kernel beyond the picture's edge
    const beyond = missed ? `; ${missed} of the kernel’s entries ${now.transposed
      ? "land on the edge that padding takes away" : "meet the zeros of padding"}` : "";
    if (!isRow) {
      const times = used.length ? `, times ${used.map((one) => signed(one.weight)).join(", ")}` : "";
      return `Pixel ${here} of ${from} is ${signed(source[now.cell])}; it ${now.transposed ? "scatters" : "goes"} to `
        + `${pixels} of ${to}${times}${beyond}.`;
    }
    const terms = used.map((one) => `${factor(one.weight)} · ${factor(source[one.at])}`).join(" + ");
    const sum = used.length ? `${terms} = ${signed(result[now.cell])}` : "0";
    return `Pixel ${here} of ${to} ${now.transposed ? "gathers" : "reads"} ${pixels}: ${sum}${beyond}.`;
  }

  const tone = (entry) => `e${Math.floor(entry / k)}${entry % k}`;
  const written = (on, box, text, kind) => {
    const { x: left, y: top, width, height } = place(on, box);
    const size = Math.min(width * 0.5, 17, (1.45 * width) / text.length), style = `font-size:${size}px`;
    return size < 7.5 ? "" : el("text", { x: left + width / 2, y: top + height / 2, class: kind, style }, text);
  };
  const outlined = (on, box, kind) => ["casing", kind].map((name) =>
    el("rect", { ...place(on, box), class: `${kind} ${name}` }));

  function paintKernel() {
    entries.replaceChildren(...weight.flatMap((value, entry) => {
      const box = [entry % k, Math.floor(entry / k), (entry % k) + 1, Math.floor(entry / k) + 1].map((at) => at / k);
      return [el("rect", { ...place(key, box), class: `cell ${tone(entry)}` }),
        written(key, box, signed(value), tone(entry))];
    }));
  }

  /** The matrix; thicker lines part the rows of the pictures. What is not chosen is paler. */
  function paintMatrix() {
    const { places, isRow } = present(), { view, layer } = matrix, [rows, columns] = [places.length, places[0].length];
    const chosen = (r, c) => (isRow ? r : c) === now.cell;
    const [tall, wide] = now.transposed ? [n, sizes("output").side] : [sizes("output").side, n];
    const [width, height] = [columns * view.scale, rows * view.scale];
    const lines = [...range(rows / tall - 1).map((i) => `M0 ${(i + 1) * tall * view.scale}H${width}`),
      ...range(columns / wide - 1).map((j) => `M${(j + 1) * wide * view.scale} 0V${height}`)];
    const cells = places.flatMap((line, r) => line.flatMap((entry, c) => {
      const box = [c, r, c + 1, r + 1], pale = chosen(r, c) ? "" : " pale";
      if (entry < 0) return [el("rect", { ...place(view, box), class: "cell" }),
        chosen(r, c) ? written(view, box, "0", "zero") : ""];
      return [el("rect", { ...place(view, box), class: `cell ${tone(entry)}${pale}` }),
        written(view, box, signed(weight[entry]), pale ? null : tone(entry))];
    }));
    const band = isRow ? [0, now.cell, columns, now.cell + 1] : [now.cell, 0, now.cell + 1, rows];
    layer.replaceChildren(...cells, el("path", { class: "part", d: lines.join("") }),
      ...outlined(view, band, "chosen"));
  }

  /** A grid of pixels: what is chosen in it, or in colour those that have to do with the pixel chosen in the other. */
  function paintGrid(where) {
    const { values, line } = present(), { side, units, margin } = sizes(where), { view, layer } = grids[where];
    const square = (i, j, reach = 1) =>
      [j + margin, i + margin, j + margin + reach, i + margin + reach].map((at) => at / units);
    const around = where === "output" ? [] : range(units ** 2)
      .map((at) => [Math.floor(at / units) - margin, (at % units) - margin])
      .filter(([i, j]) => Math.min(i, j) < 0 || Math.max(i, j) >= side).map(([i, j]) => square(i, j));
    const cells = values[where].flatMap((value, cell) => {
      const entry = now.where === where ? -1 : line[cell], kind = entry < 0 ? "" : tone(entry);
      const box = square(Math.floor(cell / side), cell % side);
      return [el("rect", { ...place(view, box), class: `cell ${kind}` }),
        written(view, box, signed(value), kind || null)];
    });
    const corner = (at) => at * now.stride - now.padding;
    const [i, j] = [Math.floor(now.cell / sizes(now.where).side), now.cell % sizes(now.where).side];
    const mark = now.where === where ? outlined(view, square(i, j), "chosen")
      : where === "input" ? [el("rect", { ...place(view, square(corner(i), corner(j), k)), class: "window" })] : [];
    layer.replaceChildren(
      ...around.map((box) => el("rect", { ...place(view, box), class: "cell around" })),
      el("path", { class: "hatch", d: around.map((box) => hatch(view, box)).join("") }),
      ...cells, ...(around.length ? [el("rect", { ...place(view, square(0, 0, side)), class: "kept" })] : []), ...mark);
  }

  /** Diagonal lines across a cell, which go on in its neighbours. */
  function hatch(on, box) {
    const { x: left, y: top, width } = place(on, box);
    return [0.5, 1, 1.5].map((at) => {
      const [from, to] = [Math.max(0, at - 1), Math.min(1, at)];
      return `M${left + from * width} ${top + to * width}L${left + to * width} ${top + from * width}`;
    }).join("");
  }

  draw();
}
