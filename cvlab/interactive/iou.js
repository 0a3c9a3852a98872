// Two boxes to drag and resize; IoU, its generalised forms and the areas follow the hand.
import { area, arrowKeys, bar, button, caption, check, clamp, draggable, el, fixed, grouped, intersect, iou, key, picture, place, set, tag } from "./common.js";

const SIDES = { nw: [0, 1], n: [1], ne: [2, 1], e: [2], se: [2, 3], s: [3], sw: [0, 3], w: [0] }; // sides a handle moves
const NAMES = { nw: "top left corner", n: "top edge", ne: "top right corner", e: "right edge",
  se: "bottom right corner", s: "bottom edge", sw: "bottom left corner", w: "left edge" };
const ROLE = { a: "truth", b: "prediction" };
const TITLE = { a: "A, ground truth", b: "B, prediction" };

/** All numbers of the figure, from the two boxes alone. */
export function measure(a, b) {
  const hull = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
  const intersection = area(intersect(a, b)), enclosing = area(hull), union = area(a) + area(b) - intersection;
  const square = (x, y) => x * x + y * y;
  const distance = square((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2); // between the centres, squared
  const diagonal = square(hull[2] - hull[0], hull[3] - hull[1]); // of the enclosing box, squared
  const overlap = iou(a, b);
  const angle = (box) => Math.atan2(box[2] - box[0], box[3] - box[1]); // of the diagonal: the aspect ratio as an angle
  const v = (2 / Math.PI * (angle(a) - angle(b))) ** 2;
  const alpha = v > 0 ? v / (1 - overlap + v) : 0;
  const diou = overlap - (diagonal > 0 ? distance / diagonal : 0);
  return { iou: overlap, giou: overlap - (enclosing > 0 ? (enclosing - union) / enclosing : 0), diou, ciou: diou - alpha * v,
    areas: { a: area(a), b: area(b), intersection, union, enclosing }, hull, distance, diagonal, alpha, v };
}

const FORMULA = { // what each measure adds, in this moment's numbers
  iou: (m) => `IoU = intersection / union = ${grouped(m.areas.intersection)} / ${grouped(m.areas.union)}`,
  giou: (m) => `GIoU = IoU − (enclosing − union) / enclosing = ${fixed(m.iou, 3)} − ${grouped(m.areas.enclosing - m.areas.union)} / ${grouped(m.areas.enclosing)}`,
  diou: (m) => `DIoU = IoU − d² / c² = ${fixed(m.iou, 3)} − ${grouped(m.distance)} / ${grouped(m.diagonal)}`,
  ciou: (m) => `CIoU = DIoU − αv = ${fixed(m.diou, 3)} − ${fixed(m.alpha, 3)} × ${fixed(m.v, 3)}`,
};
const LABEL = { iou: "IoU", giou: "GIoU", diou: "DIoU", ciou: "CIoU" };

export function mount(root, state, publish) {
  const { width: W, height: H } = state.picture;
  const boxes = { a: [...state.a], b: [...state.b] };
  let shown = "iou";

  // Below everything the constructions, then the two bodies, then all handles, so that none is ever out of reach.
  const view = picture(state.picture, state.alt, draw);
  const below = el("g"), bodies = el("g"), above = el("g", { "pointer-events": "none" }), handles = el("g");
  view.svg.append(below, bodies, above, handles);
  const parts = { a: grips("a"), b: grips("b") };

  const numbers = el("fieldset", {}, el("legend", {}, "Measure, and what it looks at"));
  const value = {};
  for (const name of Object.keys(LABEL)) {
    value[name] = el("output");
    numbers.append(el("div", { class: "measure" }, check(LABEL[name], name === shown, () => { shown = name; draw(); }, "radio", "measure"), value[name]));
  }
  const formula = el("p", { class: "note formula" }), areas = el("tbody"), status = el("p", { class: "hidden", role: "status" });
  const presets = el("div", { class: "row", role: "group", "aria-label": "Arrange the boxes" }, ...Object.entries(arrangements(state, W, H)).map(([name, pair]) =>
    button(name, () => { [boxes.a, boxes.b] = pair.map((box) => [...box]); order(); draw(); })));

  root.append(
    caption(state.question, "Drag a box, its corners or its edges; or Tab to one and use the arrow keys (with Shift: 10 px)."),
    el("div", { class: "layout" },
      el("div", {}, view.frame, el("div", { style: "margin-top:.7rem" }, presets)),
      el("div", { class: "side" }, el("div", {}, numbers, formula),
        el("table", {}, el("caption", {}, "Areas in px², as shares of the enclosing box"), areas), status)));

  /** Move the sides `sides` of a box from where it began; all four of them keep its size. */
  function move(which, begun, sides, dx, dy) {
    const box = [...begun], limit = [W, H, W, H];
    if (sides.length === 4) {
      const shift = [clamp(dx, -box[0], W - box[2]), clamp(dy, -box[1], H - box[3])];
      boxes[which] = box.map((number, i) => number + shift[i % 2]);
    } else {
      for (const side of sides) {
        const low = side < 2 ? 0 : box[side - 2], high = side < 2 ? box[side + 2] : limit[side];
        box[side] = clamp(box[side] + (side % 2 ? dy : dx), low, high);
      }
      boxes[which] = box;
    }
    draw();
  }

  /** The body and the eight handles of a box. Tab stops at the body and at two corners; the others take the mouse. */
  function grips(which) {
    const make = (name, sides, stop) => {
      const node = el(name === "body" ? "rect" : "g", { class: `grip ${name}`, "data-box": which, role: "application", tabindex: stop ? 0 : -1,
        "aria-roledescription": name === "body" ? "movable box" : "handle", style: `touch-action:none;cursor:${name === "body" ? "move" : `${name}-resize`};fill:var(--${ROLE[which]});stroke:var(--${ROLE[which]})` });
      arrowKeys(node, (dx, dy) => move(which, boxes[which], sides, dx, dy));
      draggable(node, view, () => [...boxes[which]], (begun, dx, dy) => move(which, begun, sides, dx, dy), order);
      if (name !== "body") node.append(el("circle", { class: "reach", r: 14 }), el("rect", { class: "knob", x: -5, y: -5, width: 10, height: 10, rx: 2 }));
      (name === "body" ? bodies : handles).append(node);
      return node;
    };
    return { body: make("body", [0, 1, 2, 3], true), ...Object.fromEntries(Object.entries(SIDES).map(([name, sides]) => [name, make(name, sides, name === "nw" || name === "se")])) };
  }

  /** Put the smaller body in front; of the two, move the one that has not the keyboard, which would lose it. */
  function order() {
    const small = area(boxes.a) < area(boxes.b) ? parts.a.body : parts.b.body;
    const large = small === parts.a.body ? parts.b.body : parts.a.body;
    if (bodies.lastChild === small) return;
    if (small.matches(":focus")) bodies.prepend(large); else bodies.append(small);
  }

  function draw() {
    const m = measure(boxes.a, boxes.b), k = view.scale;
    for (const which of ["a", "b"]) {
      const box = boxes[which], [x1, y1, x2, y2] = box.map((number) => number * k), part = parts[which];
      const text = `${TITLE[which]}: x1 ${box[0]}, y1 ${box[1]}, x2 ${box[2]}, y2 ${box[3]}`;
      set(part.body, { ...place(view, box), "aria-label": `${text}. Arrow keys move it.` });
      for (const [name, sides] of Object.entries(SIDES)) {
        const x = sides.includes(0) ? x1 : sides.includes(2) ? x2 : (x1 + x2) / 2, y = sides.includes(1) ? y1 : sides.includes(3) ? y2 : (y1 + y2) / 2;
        set(part[name], { transform: `translate(${x} ${y})`, "aria-label": `${NAMES[name]} of ${text}. Arrow keys move it.` });
      }
    }
    below.replaceChildren(...construction(view, shown, m, boxes));
    above.replaceChildren(hatch(view, intersect(boxes.a, boxes.b)), ...diagonals(view, shown, m, boxes), tag(view, boxes.a, "truth", "A", { shift: 8 }), tag(view, boxes.b, "prediction", "B", { shift: 8, below: true }));
    for (const name of Object.keys(LABEL)) value[name].replaceChildren(bar(0.5, 0.5 + m[name] / 2, null, 0.5), el("span", {}, fixed(m[name], 3)));
    formula.textContent = FORMULA[shown](m);
    areas.replaceChildren(...Object.entries(m.areas).map(([name, number]) => el("tr", {},
      el("th", { scope: "row" }, ROLE[name] ? key(ROLE[name]) : "", ROLE[name] ? TITLE[name] : name),
      el("td", { class: "wide" }, bar(0, m.areas.enclosing > 0 ? number / m.areas.enclosing : 0, ROLE[name])), el("td", {}, grouped(number)))));
    status.textContent = `IoU ${fixed(m.iou)}, GIoU ${fixed(m.giou)}`;
    publish({ a: boxes.a, b: boxes.b, iou: m.iou, giou: m.giou, diou: m.diou, ciou: m.ciou, areas: m.areas });
  }
  order();
  draw();
}

/** Arrangements worth seeing, as pairs of boxes in a picture of W x H pixels. */
function arrangements({ a, b }, W, H) {
  const at = (...shares) => shares.map((share, i) => Math.round(share * (i % 2 ? H : W)));
  const left = at(0.15, 0.25, 0.5, 0.75);
  return { start: [a, b], identical: [left, left], touching: [left, [left[2], left[1], 2 * left[2] - left[0], left[3]]], apart: [at(0.08, 0.15, 0.33, 0.5), at(0.65, 0.5, 0.92, 0.85)],
    "one inside the other": [at(0.15, 0.15, 0.85, 0.85), at(0.4, 0.35, 0.7, 0.7)], empty: [left, at(0.38, 0.4, 0.38, 0.6)] };
}

/** White lines over dark ones: an overlap that shows on any photograph. */
function hatch(view, box) {
  const [x1, y1, x2, y2] = box.map((number) => number * view.scale), path = [];
  for (let x = x1 + 4; x < x2 + y2 - y1; x += 9) {
    const from = Math.min(x, x2), to = Math.max(x1, x - (y2 - y1));
    path.push(`M${from} ${y1 + x - from}L${to} ${y1 + x - to}`);
  }
  const d = path.join("");
  return el("g", { fill: "none" }, el("path", { d, stroke: "#000", "stroke-opacity": 0.45, "stroke-width": 2.6 }), el("path", { d, stroke: "#fff", "stroke-width": 1.1 }));
}

/** The enclosing box, where the measure uses it, and for GIoU the part of it that neither box covers. */
function construction(view, shown, m, { a, b }) {
  if (shown === "iou") return [];
  const xs = [a[0], a[2], b[0], b[2]].sort((p, q) => p - q), ys = [a[1], a[3], b[1], b[3]].sort((p, q) => p - q), parts = [];
  for (let i = 0; i < 3 && shown === "giou"; i++) for (let j = 0; j < 3; j++) {
    const cell = [xs[i], ys[j], xs[i + 1], ys[j + 1]];
    if (!area(intersect(cell, a)) && !area(intersect(cell, b))) parts.push(el("rect", { ...place(view, cell), class: "waste" }));
  }
  return [...parts, el("rect", { ...place(view, m.hull), class: "hull casing" }), el("rect", { ...place(view, m.hull), class: "hull" })];
}

/** DIoU looks at the line between the centres and the enclosing diagonal, CIoU also at each box's own diagonal. */
function diagonals(view, shown, m, { a, b }) {
  if (shown === "iou" || shown === "giou") return [];
  const middle = (box) => [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2];
  const line = (from, to, kind, text) => {
    const [x1, y1, x2, y2] = [...from, ...to].map((number) => number * view.scale), at = { x1, y1, x2, y2 };
    return el("g", { class: kind }, el("line", { ...at, class: "casing" }), el("line", at), text ? el("text", { x: (x1 + x2) / 2 + 6, y: (y1 + y2) / 2 - 6 }, text) : "");
  };
  const own = shown === "ciou" ? [line(a.slice(0, 2), a.slice(2), "own truth"), line(b.slice(0, 2), b.slice(2), "own prediction")] : [];
  return [line(m.hull.slice(0, 2), m.hull.slice(2), "across", "c"), ...own, line(middle(a), middle(b), "centres", "d")];
}
