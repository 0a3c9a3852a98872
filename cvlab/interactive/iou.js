// Two boxes to drag and resize; IoU, its generalised forms and the areas follow the hand.
import {
  announcer, area, arrowKeys, bar, button, caption, check, clamp, draggable, el, fixed, group, grouped, intersect, iou,
  key, layout, middle, picture, place, row, set, table, tag,
} from "./common.js";

const ROLE = { a: "truth", b: "prediction" };
const TITLE = { a: "A, ground truth", b: "B, prediction" };
const LABEL = { iou: "IoU", giou: "GIoU", diou: "DIoU", ciou: "CIoU" };
const SIDES = { // which of x1, y1, x2, y2 each handle moves, and what it is called
  nw: [[0, 1], "top left corner"], ne: [[1, 2], "top right corner"],
  se: [[2, 3], "bottom right corner"], sw: [[0, 3], "bottom left corner"],
  n: [[1], "top edge"], e: [[2], "right edge"], s: [[3], "bottom edge"], w: [[0], "left edge"],
};

/** All numbers of the figure, from the two boxes alone. */
export function measure(a, b) {
  const hull = [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])];
  const intersection = area(intersect(a, b)), union = area(a) + area(b) - intersection, enclosing = area(hull);
  const overlap = iou(a, b);
  const giou = overlap - (enclosing > 0 ? (enclosing - union) / enclosing : 0);

  const squared = ([x1, y1], [x2, y2]) => (x2 - x1) ** 2 + (y2 - y1) ** 2;
  const d2 = squared(middle(a), middle(b)), c2 = squared(hull.slice(0, 2), hull.slice(2));
  const diou = overlap - (c2 > 0 ? d2 / c2 : 0);

  const angle = ([x1, y1, x2, y2]) => Math.atan2(x2 - x1, y2 - y1); // of the diagonal: the aspect ratio as an angle
  const v = ((2 / Math.PI) * (angle(a) - angle(b))) ** 2, alpha = v > 0 ? v / (1 - overlap + v) : 0;
  const areas = { a: area(a), b: area(b), intersection, union, enclosing };
  return { iou: overlap, giou, diou, ciou: diou - alpha * v, areas, hull, d2, c2, alpha, v };
}

const FORMULA = { // what each measure looks at, in this moment's numbers
  iou: ({ areas: s }) => `IoU = intersection / union = ${grouped(s.intersection)} / ${grouped(s.union)}`,
  giou: ({ iou: i, areas: s }) => "GIoU = IoU − (enclosing − union) / enclosing = "
    + `${fixed(i, 3)} − ${grouped(s.enclosing - s.union)} / ${grouped(s.enclosing)}`,
  diou: (m) => `DIoU = IoU − d² / c² = ${fixed(m.iou, 3)} − ${grouped(m.d2)} / ${grouped(m.c2)}`,
  ciou: (m) => `CIoU = DIoU − αv = ${fixed(m.diou, 3)} − ${fixed(m.alpha, 3)} × ${fixed(m.v, 3)}`,
};

export function mount(root, state, publish) {
  const { width: W, height: H } = state.picture;
  let a = [...state.a], b = [...state.b], shown = "iou";

  // The bodies lie below all handles, so that no handle is ever out of reach.
  const view = picture(state.picture, draw);
  const [below, bodies, above, handles] = view.layers(4);
  above.setAttribute("pointer-events", "none");
  const parts = { a: grips("a"), b: grips("b") };

  const value = Object.fromEntries(Object.keys(LABEL).map((name) => [name, el("output")]));
  const choices = Object.entries(LABEL).map(([name, label]) => el("div", { class: "measure" },
    check(label, name === shown, () => { shown = name; draw(); }, "measure"), value[name]));
  const formula = el("p", { class: "note formula" }), status = announcer(true);
  const areas = table("Areas in px², as shares of the enclosing box");
  const presets = Object.entries(arrangements(state, W, H)).map(([name, pair]) =>
    button(name, () => { [a, b] = pair.map((box) => [...box]); order(); draw(); }));

  root.append(
    caption(state.question,
      "Drag a box, its corners or its edges; or Tab to one and use the arrow keys (with Shift: 10 px)."),
    layout([view.frame, row(...presets)],
      [group("Measure, and what it looks at", ...choices, formula), areas, status]));

  const box = (which) => (which === "a" ? a : b);

  /** Move some sides of a box from where they began; all four of them keep its size. */
  function move(which, begun, sides, dx, dy) {
    const moved = [...begun], limit = [W, H, W, H];
    const shift = [clamp(dx, -begun[0], W - begun[2]), clamp(dy, -begun[1], H - begun[3])];
    for (const side of sides) {
      if (sides.length === 4) moved[side] += shift[side % 2];
      else if (side < 2) moved[side] = clamp(begun[side] + [dx, dy][side], 0, begun[side + 2]);
      else moved[side] = clamp(begun[side] + [dx, dy][side - 2], begun[side - 2], limit[side]);
    }
    if (which === "a") a = moved; else b = moved;
    draw();
  }

  /** Make the body and the eight handles of a box. Tab stops at the body and two corners; the others take the mouse. */
  function grips(which) {
    const make = (name, sides, shape) => {
      const node = set(shape, { class: `grip ${name}`, "data-box": which, role: "application",
        tabindex: ["body", "nw", "se"].includes(name) ? 0 : -1,
        "aria-roledescription": name === "body" ? "movable box" : "handle",
        style: `cursor:${name === "body" ? "move" : `${name}-resize`};color:var(--${ROLE[which]})` });
      arrowKeys(node, (dx, dy) => move(which, box(which), sides, dx, dy));
      draggable(node, view, () => [...box(which)], (begun, dx, dy) => move(which, begun, sides, dx, dy), order);
      return node;
    };
    const handle = () => el("g", {}, el("circle", { class: "reach", r: 14 }),
      el("rect", { class: "knob", x: -5, y: -5, width: 10, height: 10, rx: 2 }));
    const made = { body: bodies.appendChild(make("body", [0, 1, 2, 3], el("rect"))) };
    for (const [name, [sides]] of Object.entries(SIDES)) made[name] = handles.appendChild(make(name, sides, handle()));
    return made;
  }

  /** Put the smaller body in front; of the two, move the one that has not the keyboard, which would lose it. */
  function order() {
    const [small, large] = (area(a) < area(b) ? ["a", "b"] : ["b", "a"]).map((which) => parts[which].body);
    if (bodies.lastChild === small) return;
    if (small.matches(":focus")) bodies.prepend(large); else bodies.append(small);
  }

  function draw() {
    const m = measure(a, b);
    for (const which of ["a", "b"]) {
      const { x, y, width, height } = place(view, box(which));
      const sides = ["x1", "y1", "x2", "y2"].map((name, i) => `${name} ${box(which)[i]}`);
      const text = `${TITLE[which]}: ${sides.join(", ")}. Arrow keys move it.`;
      set(parts[which].body, { x, y, width, height, "aria-label": text });
      for (const [name, [moved, title]] of Object.entries(SIDES)) {
        const u = x + width * (moved.includes(0) ? 0 : moved.includes(2) ? 1 : 0.5);
        const v = y + height * (moved.includes(1) ? 0 : moved.includes(3) ? 1 : 0.5);
        set(parts[which][name], { transform: `translate(${u} ${v})`, "aria-label": `${title} of ${text}` });
      }
    }
    below.replaceChildren(...enclosure(view, shown, m, a, b));
    above.replaceChildren(hatch(view, intersect(a, b), shown), ...diagonals(view, shown, m, a, b),
      tag(view, a, "truth", "A", { shift: 8 }), tag(view, b, "prediction", "B", { shift: 8, below: true }));
    for (const name of Object.keys(LABEL))
      value[name].replaceChildren(bar(0.5, 0.5 + m[name] / 2, null, 0.5), el("span", {}, fixed(m[name], 3)));
    formula.textContent = FORMULA[shown](m);
    areas.body.replaceChildren(...Object.entries(m.areas).map(([name, number]) => {
      const sign = ROLE[name] ? key(ROLE[name]) : el("span", { class: `key ${name}`, "aria-hidden": "true" });
      const share = m.areas.enclosing > 0 ? number / m.areas.enclosing : 0;
      return el("tr", {}, el("th", { scope: "row" }, sign, TITLE[name] ?? name),
        el("td", { class: "wide" }, bar(0, share, ROLE[name])), el("td", {}, grouped(number)));
    }));
    status.textContent = `IoU ${fixed(m.iou)}, GIoU ${fixed(m.giou)}`;
    publish({ a, b, iou: m.iou, giou: m.giou, diou: m.diou, ciou: m.ciou, areas: m.areas });
  }
  order();
  draw();
}

/** Arrangements worth seeing, as pairs of boxes in a picture of W x H pixels. */
function arrangements({ a, b }, W, H) {
  const at = (...shares) => shares.map((share, i) => Math.round(share * (i % 2 ? H : W)));
  const left = at(0.15, 0.25, 0.5, 0.75), next = [left[2], left[1], 2 * left[2] - left[0], left[3]];
  return {
    start: [a, b], identical: [left, left], touching: [left, next],
    apart: [at(0.08, 0.15, 0.33, 0.5), at(0.65, 0.5, 0.92, 0.85)],
    "one inside the other": [at(0.15, 0.15, 0.85, 0.85), at(0.4, 0.35, 0.7, 0.7)],
    empty: [left, at(0.38, 0.4, 0.38, 0.6)],
  };
}

/** White lines over dark ones: an overlap that shows on any photograph. */
function hatch(view, box, shown) {
  const [x1, y1, x2, y2] = box.map((number) => number * view.scale), lines = [];
  for (let x = x1 + 5; x < x2 + y2 - y1; x += 11) { // a line comes down from (x, y1) to the left, clipped to the box
    const from = Math.min(x, x2), to = Math.max(x1, x - (y2 - y1));
    lines.push(`M${from} ${y1 + x - from}L${to} ${y1 + x - to}`);
  }
  const d = lines.join("");
  return el("g", { class: `hatch ${shown}` }, el("path", { class: "casing", d }), el("path", { d }));
}

/** The enclosing box, where the measure uses it, and for GIoU the part of it that neither box covers. */
function enclosure(view, shown, m, a, b) {
  if (shown === "iou") return [];
  const hull = place(view, m.hull), waste = [];
  const [xs, ys] = [0, 1].map((side) => [a[side], a[side + 2], b[side], b[side + 2]].sort((p, q) => p - q));
  for (const i of [0, 1, 2]) for (const j of [0, 1, 2]) {
    const cell = [xs[i], ys[j], xs[i + 1], ys[j + 1]]; // each is in a box or outside both, wholly
    if (area(intersect(cell, a)) || area(intersect(cell, b))) continue;
    waste.push(el("rect", { ...place(view, cell), class: "waste" }));
  }
  const lines = ["hull casing", "hull"].map((kind) => el("rect", { ...hull, class: kind }));
  return shown === "giou" ? [...waste, ...lines] : lines;
}

/** DIoU looks at the line between the centres and the enclosing diagonal; CIoU also at each box's own diagonal. */
function diagonals(view, shown, m, a, b) {
  const line = (kind, from, to, text = "") => {
    const [x1, y1, x2, y2] = [...from, ...to].map((number) => number * view.scale), ends = { x1, y1, x2, y2 };
    const at = { x: x1 + 0.2 * (x2 - x1) + 8, y: y1 + 0.2 * (y2 - y1) - 4 };
    return el("g", { class: kind }, el("line", { ...ends, class: "casing" }), el("line", ends), el("text", at, text));
  };
  const across = (kind, box, text) => line(kind, box.slice(0, 2), box.slice(2), text);
  const both = [across("across", m.hull, "c"), line("centres", middle(a), middle(b), "d")];
  return { iou: [], giou: [], diou: both, ciou: [...both, across("own truth", a), across("own prediction", b)] }[shown];
}
