// A photograph and the network's input made of it: the same place in both, and the boxes on their way back.
import {
  announcer, area, arrowKeys, bar, caption, check, clamp, decode, drawBox, easel, el, fixed, group, intersect, iou, key,
  middle, picture, range, row, set, slider, table, tag,
} from "./common.js";

const PADDING = "rgb(114, 114, 114)";

/** Round to the nearest whole number, a half to the even one, as Python does. */
function rounded(value) {
  const below = Math.floor(value);
  return value - below === 0.5 ? below + (below % 2) : Math.round(value);
}

/**
 * Where a picture of h x w pixels lies in an input of H x W. Letterbox scales both sides alike and rounds the side that
 * does not fill the input; plain resizing ("stretch") fills it. All pairs are (vertical, horizontal).
 */
export function resizeMap([h, w], [H, W], { mode, align }) {
  const content = [H, W], padded = mode === "letterbox";
  if (padded && w / h > W / H) content[0] = Math.max(1, rounded((h / w) * W));
  if (padded && w / h < W / H) content[1] = Math.max(1, rounded((w / h) * H));
  const free = [H - content[0], W - content[1]]; // none, where the content fills the input
  const offset = align === "centre" ? free.map((pixels) => rounded(pixels / 2)) : [0, 0];
  return { image: [h, w], size: [H, W], content, offset, scale: [content[0] / h, content[1] / w] };
}

/** Map x, y or x1, y1, x2, y2 from the photograph into the input. */
export const into = ({ scale, offset }, numbers) =>
  numbers.map((number, i) => number * scale[1 - (i % 2)] + offset[1 - (i % 2)]);

/** Map x, y or x1, y1, x2, y2 from the input to the photograph: undoing the map, or in one of two wrong ways. */
export function back({ image, size, scale, offset }, numbers, way = "undo") {
  return numbers.map((number, i) => {
    const side = 1 - (i % 2);
    if (way === "no offset") return number / scale[side];
    if (way === "no padding") return (number * image[side]) / size[side];
    return (number - offset[side]) / scale[side];
  });
}

/** What a map does: the share of the input that is padding, and how much wider than high it makes things. */
export const cost = ({ size: [H, W], content: [rows, columns], scale: [sy, sx] }) =>
  ({ waste: 1 - (rows * columns) / (H * W), distortion: sx / sy });

const WAYS = {
  undo: "undo the map: (x′ − left) / sx",
  "no offset": "forget the offset: x′ / sx",
  "no padding": "forget the padding: x′ · w / W",
};
const MODES = { stretch: "plain resizing: fills the input", letterbox: "letterbox: one scale, padded" };

export function mount(root, state, publish) {
  const { boxes, names } = state, { width: w, height: h } = state.picture, largest = state.range.max;
  const now = { size: [...state.size], mode: "letterbox", align: "centre", way: "undo",
    point: middle(boxes[0] ?? [0, 0, w, h]) };
  const map = () => resizeMap([h, w], now.size, now);

  const photo = picture(state.picture, draw), input = picture({ width: largest, height: largest }, draw);
  const pen = easel(...now.size), canvas = pen.canvas; // of the input's own pixels, under what is drawn on it
  let source = null;
  input.frame.prepend(canvas);
  const layers = { photo: photo.layers(2), input: input.layers(2) };
  const hands = { photo: hand(photo), input: hand(input) };
  const where = { photo: el("span", { class: "where" }), input: el("span", { class: "where" }) };

  point(hands.photo, (event) => photo.at(event), [w, h], () => now.point, (p) => p);
  point(hands.input, (event) => inside(input.at(event)), null, () => into(map(), now.point), (p) => back(map(), p));

  const change = (name) => (value) => { now[name] = value; draw(); };
  const side = (name, i) => slider(name, { ...state.range, value: now.size[i] },
    (value) => { now.size[i] = value; draw(); });
  const radio = (name, choices) => Object.entries(choices).map(([value, label]) =>
    check(label, now[name] === value, () => change(name)(value), name));
  const align = row(...radio("align", { centre: "in the centre", corner: "in the top left corner" }));
  const numbers = table("What the map does"), title = el("span"), formula = el("p", { class: "note formula" });
  const came = table("Boxes that come back", ["object", "IoU", "off by"]), status = announcer(true);
  const panel = (heading, view, name) => el("div", { class: name },
    el("p", { class: "heading" }, heading, where[name]), view.frame);

  root.append(
    caption(state.question,
      "Point at either picture, tap it, or Tab to one and use the arrow keys (with Shift: 10 px)."),
    el("div", { class: "views" },
      panel(el("span", {}, `The photograph, ${h} × ${w}`), photo, "photo"), panel(title, input, "input")),
    formula,
    el("div", { class: "panels" },
      el("div", {}, group("The network’s input", side("height", 0), side("width", 1)),
        group("The photograph in it", ...radio("mode", MODES), align)),
      numbers,
      boxes.length ? el("div", {}, group("The way back to the photograph", ...radio("way", WAYS)), came) : "", status));

  function hand(view) {
    return view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "application", "aria-roledescription": "cross-hair" }));
  }

  /** Let mouse, finger and arrow keys choose a place in a view, in whole pixels of it. */
  function point(node, at, limit, here, home) {
    const choose = (place) => {
      const [right, bottom] = limit ?? [now.size[1], now.size[0]];
      now.point = home([clamp(Math.round(place[0]), 0, right), clamp(Math.round(place[1]), 0, bottom)]);
      draw();
    };
    const follow = (event) => choose(at(event));
    set(node, { onpointermove: follow, onpointerdown: follow });
    arrowKeys(node, (dx, dy) => choose([here()[0] + dx, here()[1] + dy]));
  }

  /** The input as a view of its own: as large as fits into the frame, in the middle of it. */
  function fitted() {
    const [H, W] = now.size, zoom = largest / Math.max(H, W), scale = input.scale * zoom;
    const corner = [(largest - W * zoom) / 2, (largest - H * zoom) / 2];
    return { width: W, height: H, scale, textWidth: input.textWidth, zoom, corner };
  }

  /** From a place in the frame to one in the input. */
  function inside(place) {
    const { zoom, corner } = fitted();
    return place.map((number, i) => (number - corner[i]) / zoom);
  }

  function draw() {
    const m = map(), view = fitted(), there = into(m, now.point), found = boxes.map((box) => into(m, box));
    const home = found.map((box) => back(m, box, now.way));
    const off = boxes.map((box, i) => Math.max(...box.map((number, j) => Math.abs(number - home[i][j]))));
    const overlaps = boxes.map((box, i) => iou(box, home[i]));

    paintInput(m, view);
    layers.photo[0].replaceChildren(
      ...boxes.map((box) => drawBox(photo, box, "truth", { width: 3 })),
      ...home.map((box, i) => drawBox(photo, box, "prediction", { width: 2.5, dash: off[i] < 0.5 ? "6 6" : null })),
      ...boxes.map((box, i) => tag(photo, box, "truth", names[i])),
      ...home.map((box, i) => (off[i] < 0.5 || !area(intersect(box, [0, 0, w, h])) ? ""
        : tag(photo, box, "prediction", names[i], { below: true }))));
    layers.photo[1].replaceChildren(crosshair(photo, now.point));
    const moved = { transform: `translate(${view.corner.map((number) => number * input.scale)})` };
    for (const layer of layers.input) set(layer, moved);
    layers.input[0].replaceChildren(
      ...found.map((box) => drawBox(view, box, "truth", { width: 3 })),
      ...found.map((box, i) => tag(view, box, "truth", names[i])));
    layers.input[1].replaceChildren(crosshair(view, there));
    tell(m, there, overlaps, off);
    publish({ ...now, ...m, ...cost(m), there, found, home, overlaps, off });
  }

  function paintInput({ size: [H, W], content, offset }, { zoom, corner }) {
    const percent = (number) => `${(100 * number) / largest}%`, [left, top] = corner.map(percent);
    Object.assign(canvas.style, { left, top, width: percent(W * zoom), height: percent(H * zoom) });
    Object.assign(canvas, { width: W, height: H });
    pen.fillStyle = PADDING;
    pen.fillRect(0, 0, W, H);
    pen.imageSmoothingQuality = "high";
    if (source) pen.drawImage(source, offset[1], offset[0], content[1], content[0]);
  }

  function tell(m, there, overlaps, off) {
    const { size: [H, W], content, offset, scale } = m, { waste, distortion } = cost(m), [x, y] = now.point;
    title.textContent = `The network’s input, ${H} × ${W}`;
    for (const input of align.querySelectorAll("input")) input.disabled = now.mode === "stretch";
    const outside = x < 0 || y < 0 || x > w || y > h, at = ([u, v]) => `x ${fixed(u, 1)}, y ${fixed(v, 1)}`;
    where.photo.textContent = `${outside ? "outside: " : ""}${at(now.point)}`;
    where.input.textContent = `${outside ? "padding: " : ""}${at(there)}`;
    const line = (name, number, first, i) => el("span", {}, `${name}′ = ${name} · s${name} + ${first} = `
      + `${fixed(number, 1)} · ${fixed(scale[1 - i], 3)} + ${offset[1 - i]} = ${fixed(there[i], 1)}`);
    formula.replaceChildren(line("x", x, "left", 0), line("y", y, "top", 1));
    const entry = (name, ...value) =>
      el("tr", {}, el("th", { scope: "row" }, ...[name].flat()), el("td", {}, ...value));
    numbers.body.replaceChildren(
      entry("scale (sy, sx)", scale.map((s) => fixed(s, 3)).join(", ")),
      entry("content (rows, columns)", content.join(", ")),
      entry("offset (top, left)", offset.join(", ")),
      entry([key("ignored"), "wasted as padding"], `${fixed(100 * waste, 1)} %`, bar(0, waste, "ignored")),
      entry("distortion sx / sy", fixed(distortion, 3)));
    came.body.replaceChildren(...range(boxes.length).map((i) => el("tr", {},
      el("th", { scope: "row" }, key("prediction"), names[i]),
      el("td", {}, fixed(overlaps[i]), bar(0, overlaps[i], "prediction")), el("td", {}, `${fixed(off[i], 1)} px`))));
    const text = `${at(now.point)} in the photograph${outside ? ", outside it" : ""}; ${at(there)} in the input`;
    for (const node of Object.values(hands)) set(node, { "aria-label": `Cross-hair: ${text}. Arrow keys move it.` });
    status.textContent = text;
  }

  /** Two lines across a view, from edge to edge, and a ring where they meet. */
  function crosshair({ width, height, scale }, [u, v]) {
    if (u < 0 || v < 0 || u > width || v > height) return "";
    const [x, y, right, bottom] = [u, v, width, height].map((number) => number * scale);
    const d = `M0 ${y}H${right}M${x} 0V${bottom}`;
    return el("g", { class: "crosshair" }, el("path", { class: "casing", d }), el("path", { d }),
      el("circle", { class: "casing", cx: x, cy: y, r: 6 }), el("circle", { cx: x, cy: y, r: 6 }));
  }

  decode(state.picture.src).then((decoded) => { source = decoded.canvas; draw(); });
  draw();
}
