// Transposed convolution step by step: each input pixel lays a kernel, scaled by its value, on the output; they add up.
import {
  announcer, arrowKeys, button, caption, clamp, el, group, layout, offer, picture, place, put, range, row, set, slider,
} from "./common.js";

/** The first rows and columns of a kernel. */
export const corner = (weight, size) => weight.slice(0, size).map((line) => line.slice(0, size));

/** The output before padding, after so many input pixels: its sums, and how many kernels have reached each cell. */
export function lay(input, kernel, stride, steps) {
  const n = input.length, side = (n - 1) * stride + kernel.length;
  const sums = range(side).map(() => Array(side).fill(0)), counts = sums.map((line) => [...line]);
  for (const step of range(steps)) {
    const i = Math.floor(step / n), j = step % n;
    kernel.forEach((line, a) => line.forEach((entry, b) => {
      sums[i * stride + a][j * stride + b] += input[i][j] * entry;
      counts[i * stride + a][j * stride + b] += 1;
    }));
  }
  return { sums, counts };
}

/** What is left of the output when padding has taken so many lines from each side of it. */
export const trim = (grid, padding) => (padding
  ? grid.slice(padding, -padding).map((line) => line.slice(padding, -padding)) : grid);

/** The side of the output of a transposed convolution. */
export const sizeOut = (n, kernel, stride, padding) => (n - 1) * stride + kernel - 2 * padding;

const signed = (value) => String(value).replace("-", "−");
const count = (number, name) => `${number} ${name}${number === 1 ? "" : "s"}`;

export function mount(root, state, publish) {
  const { x, weight } = state, n = x.length, all = n * n, most = weight.length;
  const now = { kernel: state.kernel, stride: state.stride, padding: state.padding, step: state.step };
  const usual = sizeOut(n, 3, 2, 0); // up to this side all outputs have cells of one size

  const output = picture({ width: 1, height: 1 }, () => paintOutput()), [cells] = output.layers(1);
  set(output.svg, { role: "img" });
  const small = Object.fromEntries(["input", "kernel", "scaled"].map((name) => {
    const view = picture({ width: 1, height: 1 }, () => paintSmall()), heading = el("p", { class: "heading" });
    set(view.svg, { role: name === "input" ? "group" : "img", "aria-label": "Input" });
    return [name, { view, layer: view.layers(1)[0], heading, node: el("div", {}, heading, view.frame) }];
  }));
  const hand = small.input.view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
    role: "application", "aria-roledescription": "grid of input pixels" }));
  const point = (event) => {
    const [j, i] = small.input.view.at(event).map((share) => clamp(Math.floor(share * n), 0, n - 1));
    go(i * n + j + 1);
  };
  set(hand, { onpointermove: point, onpointerdown: point });
  arrowKeys(hand, (dx, dy) => {
    const to = now.step + dx + dy * n;
    if (dy === 0 || (to > 0 && to <= all)) go(to);
  }, 1);

  const change = (name) => (value) => { now[name] = value; draw(); };
  const steps = slider("pixels laid", { min: 0, max: all, step: 1, value: now.step }, change("step"));
  const back = button("One back", () => go(now.step - 1)), next = button("Lay the next", () => go(now.step + 1));
  const every = button("Lay all", () => go(all));
  const status = announcer(), formula = el("p", { class: "formula" }), inverse = el("p", { class: "note" });
  const sample = (kind, text) => el("span", {}, el("i", { class: `mark ${kind}`, "aria-hidden": "true" }), text);

  root.append(
    caption(state.question, "Point at an input pixel, tap it, or Tab to the input and use the arrow keys: all pixels "
      + "up to it are laid down, row by row."),
    layout([
      output.frame, row(back, next, every),
      el("p", { class: "legend" }, sample("landed", "the kernel laid last"), sample("deep", "more kernels"),
        sample("gone", "taken away by padding")),
      status], [
      el("div", { class: "grids" }, ...Object.values(small).map(({ node }) => node)),
      group("Step", steps),
      group("Transposed convolution",
        slider("kernel", { min: 1, max: most, step: 1, value: now.kernel }, change("kernel")),
        slider("stride", { min: 1, max: 3, step: 1, value: now.stride }, change("stride")),
        slider("padding", { min: 0, max: 2, step: 1, value: now.padding }, change("padding"))),
      el("div", {}, el("p", { class: "heading" }, "Side of the output"), formula, inverse)]));

  function go(step) {
    const to = clamp(step, 0, all);
    if (to !== now.step) put(steps, to);
  }

  /** What holds now: kernel, sums and counts before padding, those of the step before, and the pixel laid last. */
  function present() {
    const kernel = corner(weight, now.kernel), last = now.step - 1;
    const pixel = last < 0 ? null : { i: Math.floor(last / n), j: last % n };
    if (pixel) {
      const { i, j } = pixel;
      Object.assign(pixel, { value: x[i][j], top: i * now.stride, left: j * now.stride });
    }
    return { kernel, pixel, ...lay(x, kernel, now.stride, now.step),
      before: lay(x, kernel, now.stride, Math.max(last, 0)) };
  }

  /** Whether a cell of the output before padding stays in it. */
  const stays = (...places) => {
    const end = sizeOut(n, now.kernel, now.stride, 0) - now.padding;
    return places.every((at) => at >= now.padding && at < end);
  };
  const landing = (pixel) => range(now.kernel ** 2).map((e) =>
    [pixel.top + Math.floor(e / now.kernel), pixel.left + (e % now.kernel)]);

  function draw() {
    const { sums, counts, pixel } = present(), side = sizeOut(n, now.kernel, now.stride, now.padding);
    tell(side);
    paintOutput();
    paintSmall();
    publish({ ...now, side, sums, counts, output: side > 0 ? trim(sums, now.padding) : [],
      pixel: pixel && [pixel.i, pixel.j, pixel.value], corner: pixel && [pixel.top, pixel.left]
        .map((at) => at - now.padding) });
  }

  function tell(side) {
    const { pixel, before } = present(), { kernel, stride, padding, step } = now;
    offer([[back, step > 0], [next, step < all], [every, step < all]]);
    const numbers = el("b", {}, `(${n} − 1) · ${stride} + ${kernel} − 2 · ${padding} = ${signed(side)}`);
    formula.replaceChildren("(n − 1) · stride + kernel − 2 · padding", el("br"), "= ", numbers);
    inverse.textContent = side <= 0 ? "Nothing is left of the output: PyTorch refuses such a padding."
      : `Back again: a convolution with the same numbers makes ${n} of ${side}`
        + (stride > 1 ? `, and of ${stride === 2 ? side + 1 : `${side + 1} and ${side + 2}`} too.` : ".");
    status.textContent = pixel ? sentence(pixel, before)
      : `No pixel is laid yet: the output is ${Math.max(side, 0)} × ${Math.max(side, 0)} zeros.`;
    const here = pixel ? `row ${pixel.i}, column ${pixel.j} is ${signed(pixel.value)}, laid last` : "none laid yet";
    set(hand, { "aria-label": `Input of ${n} × ${n} pixels: ${here}. Arrow keys step through them.` });
    set(output.svg, { "aria-label": `Output of ${Math.max(side, 0)} × ${Math.max(side, 0)} cells after ${step} of `
      + `${count(all, "pixel")}` });
    small.input.heading.textContent = "input";
    small.kernel.heading.textContent = "kernel";
    small.scaled.heading.textContent = pixel ? `${signed(pixel.value)} × k` : "value × k";
    set(small.kernel.view.svg, { "aria-label": `Kernel of ${kernel} × ${kernel} entries` });
    set(small.scaled.view.svg, { "aria-label": pixel ? `The kernel times ${signed(pixel.value)}` : "No kernel yet" });
  }

  function sentence({ i, j, value, top, left }, before) {
    const places = landing({ top, left }), [down, along] = [top - now.padding, left - now.padding].map(signed);
    const met = places.filter(([r, c]) => before.counts[r][c]).length;
    const lost = places.filter((at) => !stays(...at)).length, its = count(now.kernel ** 2, "number");
    const adding = `${met} of its ${its} ${met === 1 ? "adds" : "add"} to what others laid`;
    return `Pixel ${now.step} of ${all} (row ${i}, column ${j}) is ${signed(value)}. The kernel times ${signed(value)} `
      + `lands with its top left corner at row ${down}, column ${along} of the output; ${adding}`
      + `${lost ? `, and ${lost} ${lost === 1 ? "is" : "are"} taken away by padding` : ""}.`;
  }

  /** A number in the middle of a cell, or beside it, no wider than the cell. */
  function written(on, box, text, { share = 0.42, lift = 0, kind = null, most = 19 } = {}) {
    const { x: left, y: top, width } = place(on, box);
    const size = Math.min(width * share, most, (1.5 * width) / text.length);
    return el("text", { x: left + width / 2, y: top + width * (0.5 + lift), class: kind, style: `font-size:${size}px` },
      text);
  }

  /** Diagonal lines across a cell, which go on in its neighbours. */
  function hatch(on, box) {
    const { x: left, y: top, width } = place(on, box);
    return range(7).map((line) => (line + 1) / 4).map((at) => { // the sum of the shares x and y on the line
      const [from, to] = [Math.max(0, at - 1), Math.min(1, at)];
      return `M${left + from * width} ${top + to * width}L${left + to * width} ${top + from * width}`;
    }).join("");
  }

  const square = (on, i, j, side, reach = 1) => [j, i, j + reach, i + reach].map((at) => at / side);

  function paintOutput() {
    const { sums, counts, before, pixel } = present(), full = sums.length, units = Math.max(full, usual);
    const landed = new Set(pixel ? landing(pixel).map(([r, c]) => r * full + c) : []);
    const boxes = range(full * full).map((at) => ({ at, i: Math.floor(at / full), j: at % full }))
      .map((cell) => ({ ...cell, box: square(output, cell.i, cell.j, units), kept: stays(cell.i, cell.j) }));
    const roomy = output.scale / units >= 30;
    const shapes = boxes.map(({ at, i, j, box, kept }) => el("rect", { ...place(output, box),
      class: ["cell", landed.has(at) && "landed", !kept && "lost"].filter(Boolean).join(" "),
      "fill-opacity": landed.has(at) || !kept ? null : Math.min(0.05 + 0.075 * counts[i][j], 0.42) }));
    const numbers = boxes.flatMap(({ at, i, j, box, kept }) => {
      if (!counts[i][j]) return [];
      const kind = kept ? "sum" : "sum lost", adds = landed.has(at) && before.counts[i][j] > 0;
      const [had, plus] = [before.sums[i][j], sums[i][j] - before.sums[i][j]];
      const two = roomy && adds, addition = `${signed(had)} ${plus < 0 ? "−" : "+"} ${Math.abs(plus)}`;
      return [written(output, box, signed(sums[i][j]), { kind, lift: two ? 0.14 : 0 }),
        ...(two ? [written(output, box, addition, { kind, share: 0.24, lift: -0.27, most: 11.5 })] : [])];
    });
    const end = full - 2 * now.padding, kept = square(output, now.padding, now.padding, units, end);
    const frame = (box, kind) => ["casing", kind].map((one) =>
      el("rect", { ...place(output, box), class: `${kind} ${one}` }));
    const lines = boxes.filter((cell) => !cell.kept).map(({ box }) => hatch(output, box)).join("");
    cells.replaceChildren(...shapes, el("path", { class: "hatch", d: lines }),
      ...numbers, ...(end > 0 ? [el("rect", { ...place(output, kept), class: "kept" })] : []),
      ...(pixel ? frame(square(output, pixel.top, pixel.left, units, now.kernel), "now") : []));
  }

  function paintSmall() {
    const { kernel, pixel } = present(), scaled = kernel.map((line) => line.map((w) => w * (pixel?.value ?? 0)));
    const last = pixel ? pixel.i * n + pixel.j : -1;
    const kinds = { input: (at) => (at === last ? "landed" : at < last ? "done" : ""), kernel: () => "",
      scaled: () => (pixel ? "landed" : "") };
    for (const [name, grid] of Object.entries({ input: x, kernel, scaled })) {
      const { view, layer } = small[name], side = name === "input" ? n : Math.max(n, now.kernel);
      layer.replaceChildren(...grid.flatMap((line, i) => line.flatMap((value, j) => {
        const box = square(view, i, j, side), kind = kinds[name](i * n + j);
        return [el("rect", { ...place(view, box), class: `cell ${kind}`, "fill-opacity": kind ? null : 0.05 }),
          name === "scaled" && !pixel ? "" : written(view, box, signed(value), { kind: "sum", share: 0.56, most: 17 })];
      })));
    }
  }

  draw();
}
