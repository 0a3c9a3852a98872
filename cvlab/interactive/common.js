// What all figures share: the start, making elements, numbers, geometry of boxes, controls, and a picture to draw on.
// Boxes are [x1, y1, x2, y2] in pixels of the picture, as in the Python package.

/** Show the figure in every element called `id` that does not show it yet; a page may hold the same figure twice. */
function start(id, mount, state) {
  document.querySelectorAll(`[id="${id}"]`).forEach((host, copy) => {
    if (host.shadowRoot) return;
    if (copy > 0) host.id = `${id}-${copy + 1}`;
    host.setAttribute("data-lm-suppress-shortcuts", "true"); // JupyterLab keeps its keys to itself in here
    const root = el("figure", { "aria-label": state.alt });
    for (const [role, colour] of Object.entries(state.colours)) root.style.setProperty(`--${role}`, colour);
    mount(root, state, (values) => { host.dataset.values = JSON.stringify(values); });
    host.attachShadow({ mode: "open" }).append(el("style", {}, STYLE), root);
    followTheme(host, root);
  });
}

/** Tell the browser's own controls whether the text around them is light on dark, now and whenever the page changes. */
function followTheme(host, root) {
  const update = () => {
    const [r, g, b] = getComputedStyle(host).color.match(/[\d.]+/g).map(Number);
    const dark = 0.3 * r + 0.59 * g + 0.11 * b > 127;
    root.style.colorScheme = dark ? "dark" : "light";
    root.style.setProperty("--accent", dark ? "#56B4E9" : "#0072B2");
  };
  const watch = new MutationObserver(update);
  for (const node of [document.documentElement, document.body]) watch.observe(node, { attributes: true });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
  update();
}

const SVG = "http://www.w3.org/2000/svg"; // a name, never fetched
const SVG_TAGS = new Set(["svg", "g", "rect", "line", "circle", "text", "image", "path"]);

/** Make an element with attributes and children; a child that is null is left out. */
export function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  node.append(...children.filter((child) => child !== null));
  return set(node, attributes);
}

/** Set attributes: those called `on...` are listeners, and null, undefined or false takes an attribute away. */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

export const range = (count) => Array.from({ length: count }, (_, i) => i);
export const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
export const fixed = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
export const grouped = (value) => (Math.round(value * 10) / 10).toLocaleString("en-GB");

// --- geometry -------------------------------------------------------------------------------------------------------

export const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);
export const middle = ([x1, y1, x2, y2]) => [(x1 + x2) / 2, (y1 + y2) / 2];

/** The common part of two boxes; empty, with x2 = x1 or y2 = y1, where they do not meet. */
export function intersect(a, b) {
  const x1 = Math.max(a[0], b[0]), y1 = Math.max(a[1], b[1]);
  return [x1, y1, Math.max(x1, Math.min(a[2], b[2])), Math.max(y1, Math.min(a[3], b[3]))];
}

/** Intersection over union; 0 for two empty boxes. */
export function iou(a, b) {
  const common = area(intersect(a, b)), union = area(a) + area(b) - common;
  return union > 0 ? common / union : 0;
}

// --- controls and layout --------------------------------------------------------------------------------------------

export const caption = (question, hint) =>
  el("figcaption", {}, el("span", { class: "question" }, question), el("span", { class: "hint" }, hint));

/** The picture and what belongs to it, and beside it, or below on a narrow page, the controls and numbers. */
export const layout = (main, side) =>
  el("div", { class: "layout" }, el("div", {}, ...main), el("div", { class: "side" }, ...side));

export const group = (legend, ...children) => el("fieldset", {}, el("legend", {}, legend), ...children);
export const row = (...children) => el("div", { class: "row" }, ...children);
export const button = (label, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, label);

/** Say of each button whether it can be pressed; the keyboard moves on from one that no longer can. */
export function offer(pairs) {
  const held = pairs.find(([node, can]) => !can && node.matches(":focus"));
  for (const [node, can] of pairs) node.disabled = !can;
  if (held) pairs.find(([, can]) => can)?.[0].focus();
}

/** A line that screen readers read out when it changes; `hidden` ones are for them alone. */
export const announcer = (hidden = false) => el("p", { class: hidden ? "hidden" : "status", role: "status" });

/** A table with a caption and headings; its `body` is filled by the figure. */
export function table(title, headings = []) {
  const body = el("tbody"), head = headings.map((text) => el("th", { scope: "col" }, ...[text].flat()));
  const top = head.length ? el("thead", {}, el("tr", {}, ...head)) : null;
  const node = el("table", {}, el("caption", {}, title), top, body);
  return Object.assign(node, { body });
}

/** A native slider with its name and its value. */
export function slider(name, { min, max, step, value, digits = 0 }, change) {
  const input = el("input", { type: "range", min, max, step, value }), output = el("output");
  const show = () => {
    output.textContent = fixed(Number(input.value), digits);
    input.setAttribute("aria-valuetext", output.textContent);
  };
  input.addEventListener("input", () => { show(); change(Number(input.value)); });
  show();
  return el("div", { class: "slider" }, el("label", {}, el("span", {}, name), input), output);
}

/** A slider from 0 to 1 in hundredths. */
export const unitSlider = (name, value, change) =>
  slider(name, { min: 0, max: 1, step: 0.01, value, digits: 2 }, change);

/** A checkbox, or one radio button of the group `among`. */
export function check(name, checked, change, among = null) {
  const input = el("input", { type: among ? "radio" : "checkbox", name: among, checked });
  input.addEventListener("change", () => change(input.checked));
  return el("label", { class: "check" }, input, name);
}

/** A small bar between two shares of its length; a tick at `mark`. */
export function bar(from, to, colour, mark = null) {
  const left = clamp(Math.min(from, to), 0, 1), right = clamp(Math.max(from, to), 0, 1);
  const fill = `left:${100 * left}%;width:${100 * (right - left)}%;${colour ? `--fill:var(--${colour})` : ""}`;
  const tick = mark === null ? null : el("b", { style: `left:${100 * mark}%` });
  return el("span", { class: "bar", "aria-hidden": "true" }, el("i", { style: fill }), tick);
}

/** A small square in a colour's meaning, before the name of what has it. */
export const key = (colour) => el("span", { class: "key", style: `--fill:var(--${colour})`, "aria-hidden": "true" });

// --- pictures -------------------------------------------------------------------------------------------------------

/** A picture to draw on, as wide as its column allows; `draw()` is called whenever its size changes. */
export function picture({ width, height, src }, draw) {
  const image = src ? el("image", { href: src, preserveAspectRatio: "none", width: "100%", height: "100%" }) : null;
  const svg = el("svg", { class: "picture", role: "group", "aria-label": "Picture" }, image);
  const shape = `aspect-ratio:${width}/${height};max-width:${Math.round((460 * width) / height)}px`;
  const view = { width, height, svg, frame: el("div", { class: "frame", style: shape }, svg), scale: 1 };
  view.layers = (count) => range(count).map(() => svg.appendChild(el("g")));
  view.at = (event) => {
    const frame = svg.getBoundingClientRect();
    return [(event.clientX - frame.left) / view.scale, (event.clientY - frame.top) / view.scale];
  };
  const pen = document.createElement("canvas").getContext("2d");
  view.textWidth = (text) => {
    pen.font = `12px ${getComputedStyle(svg).fontFamily || "sans-serif"}`;
    return pen.measureText(text).width;
  };
  new ResizeObserver(() => {
    if (!svg.clientWidth) return;
    view.scale = svg.clientWidth / width; // screen pixels for one pixel of the picture
    svg.setAttribute("viewBox", `0 0 ${svg.clientWidth} ${height * view.scale}`);
    draw();
  }).observe(svg);
  return view;
}

/** A box on the screen, as the attributes of a `rect`. */
export function place(view, box) {
  const [x, y, x2, y2] = box.map((number) => number * view.scale);
  return { x, y, width: x2 - x, height: y2 - y };
}

/** Draw a box in a colour's meaning: a dark casing below, so that it stands out on any photograph. */
export function drawBox(view, box, colour, { width = 2, dash, fill = 0, faint = false } = {}) {
  const line = { ...place(view, box), fill: "none", "stroke-dasharray": dash };
  const paint = { style: `stroke:var(--${colour});fill:var(--${colour})`, "fill-opacity": fill, "stroke-width": width };
  return el("g", { opacity: faint ? 0.6 : null },
    el("rect", { ...line, stroke: "#000", "stroke-opacity": 0.55, "stroke-width": width + 2 }),
    el("rect", { ...line, ...paint }));
}

/** A name on its colour, above the box (or `below` it) and always inside the picture. */
export function tag(view, [x1, y1, , y2], colour, name, { below = false, shift = -1 } = {}) {
  const width = view.textWidth(name) + 10, k = view.scale;
  const x = clamp(x1 * k + shift, 0, Math.max(0, view.width * k - width));
  const y = clamp(below ? y2 * k + 1 : y1 * k - 18, 0, view.height * k - 17);
  return el("g", { "pointer-events": "none" },
    el("rect", { x, y, width, height: 17, rx: 3, style: `fill:var(--${colour})` }),
    el("text", { x: x + 5, y: y + 13 }, name));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Call `move(dx, dy)` on an arrow key, `far` times as far with Shift. */
export function arrowKeys(node, move, far = 10) {
  node.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    move(...step.map((way) => way * (event.shiftKey ? far : 1)));
  });
}

/** Call `begin()` when mouse, pen or finger takes `node`, then `move(begun, dx, dy)` in pixels, then `end()`. */
export function draggable(node, view, begin, move, end) {
  // or the page would scroll under a finger: parts of an SVG do not hear touch-action
  node.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
  node.addEventListener("pointerdown", (down) => {
    if (down.button) return;
    const [x, y] = view.at(down), begun = begin();
    const follow = (event) => {
      const [u, v] = view.at(event);
      move(begun, Math.round(u - x), Math.round(v - y));
    };
    node.setPointerCapture(down.pointerId);
    node.addEventListener("pointermove", follow);
    const stop = () => { node.removeEventListener("pointermove", follow); end(); };
    node.addEventListener("lostpointercapture", stop, { once: true });
    node.focus({ preventScroll: true });
    down.preventDefault();
  });
}

// --- pixels that a figure makes itself ------------------------------------------------------------------------------

/** Decode an embedded picture onto a canvas of its own, of `size` [width, height] if given; return the canvas's pen. */
export async function decode(src, size = null) {
  const image = new Image();
  image.src = src;
  await image.decode();
  const [width, height] = size ?? [image.naturalWidth, image.naturalHeight], pen = easel(width, height);
  pen.drawImage(image, 0, 0, width, height);
  return pen;
}

/** The pen of a new canvas, whose pixels will be read often. */
export function easel(width, height) {
  const pen = el("canvas", { width, height }).getContext("2d", { willReadFrequently: true });
  return Object.assign(pen, { imageSmoothingQuality: "high" });
}

/** Make of `draw` a function to call at any rate: it draws once in a frame, and at most one more call waits. */
export function framed(draw) {
  let busy = false, again = false;
  return async function ask() {
    again = true;
    if (busy) return;
    busy = true;
    while (again) {
      await new Promise(requestAnimationFrame);
      again = false;
      await draw();
    }
    busy = false;
  };
}

/** Move a slider as a hand would. */
export function put(node, value) {
  const input = node.querySelector("input");
  input.value = value;
  input.dispatchEvent(new Event("input"));
}

/** Random numbers between 0 and 1, both excluded, always the same ones after the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (((mixed ^ (mixed >>> 14)) >>> 0) + 0.5) / 2 ** 32;
  };
}

// --- detections -----------------------------------------------------------------------------------------------------

/**
 * Which object each detection finds, or -1. The best score chooses first, of the objects of its class that are still
 * free the one it overlaps most, if their IoU is at least `least`; of equal ones the last (COCO's rule).
 */
export function judge({ boxes, scores, labels }, truth, least = 0.5) {
  const order = range(boxes.length).sort((i, j) => scores[j] - scores[i] || i - j), found = boxes.map(() => -1);
  const free = new Set(range(truth.boxes.length));
  for (const i of order) {
    let best = least;
    for (const t of free) {
      const overlap = truth.labels[t] === labels[i] ? iou(boxes[i], truth.boxes[t]) : -1;
      if (overlap >= best) [best, found[i]] = [overlap, t];
    }
    free.delete(found[i]);
  }
  return found;
}

/** Some of the detections, by their places. */
export const take = ({ boxes, scores, labels }, chosen) =>
  ({ boxes: chosen.map((i) => boxes[i]), scores: chosen.map((i) => scores[i]), labels: chosen.map((i) => labels[i]) });

/** How many detections are right and false and how many of the objects are missed, from what each detection finds. */
export function tally(found, objects) {
  const right = found.filter((truth) => truth >= 0).length;
  return { right, false: found.length - right, missed: objects - right };
}

/** The three outcomes that `drawJudged` draws, each with its line, and how many there are of it. */
export const outcomes = (counts) => el("p", { class: "outcomes" }, ...Object.entries(counts).map(([name, count]) =>
  el("span", {}, el("i", { class: `sample ${name}`, "aria-hidden": "true" }), `${count} ${name}`)));

const MOST_NAMED = 12; // more names than that on one picture could not be read

/**
 * Draw the objects, those that nobody found dotted, and detections, which come best first: right ones solid, false ones
 * dashed. A name is left out where a better one's is.
 */
export function drawJudged(view, { boxes, scores, labels }, found, truth, names) {
  const hit = new Set(found), order = range(boxes.length), right = (i) => found[i] >= 0, taken = [];
  const apart = (node) => {
    const [x, y, w, h] = ["x", "y", "width", "height"].map((name) => Number(node.firstChild.getAttribute(name)));
    if (taken.some((other) => area(intersect([x, y, x + w, y + h], other)) > 0)) return false;
    return taken.push([x, y, x + w, y + h]);
  };
  const name = (box, colour, text) =>
    [false, true].map((below) => tag(view, box, colour, text, { below })).find(apart) ?? "";
  const missed = range(truth.boxes.length).filter((t) => !hit.has(t));
  return [
    ...truth.boxes.map((box, t) => drawBox(view, box, "truth", hit.has(t) ? {} : { width: 4, dash: "2 4" })),
    ...[...order].reverse().map((i) =>
      drawBox(view, boxes[i], "prediction", right(i) ? { width: 3 } : { dash: "7 5" })),
    ...missed.map((t) => name(truth.boxes[t], "truth", `missed ${names[truth.labels[t]]}`)),
    ...order.slice(0, MOST_NAMED).map((i) =>
      name(boxes[i], "prediction", `${right(i) ? "✓" : "✗"} ${names[labels[i]]} ${fixed(scores[i])}`))];
}

// --- curves ---------------------------------------------------------------------------------------------------------

/** A view to plot curves in: `spot(u, v)` is the place on the screen of the shares u and v of its axes, `share` back. */
export function chart(width, height, draw) {
  const view = picture({ width, height }, draw), [left, right, top, bottom] = [46, 14, 10, 40];
  const size = () => [view.width * view.scale - left - right, view.height * view.scale - top - bottom];
  view.svg.classList.add("chart");
  view.spot = (u, v) => [left + u * size()[0], top + (1 - v) * size()[1]];
  view.share = (event) => {
    const [x, y] = view.at(event).map((number) => number * view.scale), [w, h] = size();
    return [(x - left) / w, 1 - (y - top) / h];
  };
  view.path = (points) => (points.length ? `M${points.map(([u, v]) => view.spot(u, v).join(" ")).join("L")}` : "");
  return view;
}

/** The axes of a chart, each with its name and its ticks [share, text]. */
export function axes(view, across, up) {
  const [x0, y0] = view.spot(0, 0), [x1, y1] = view.spot(1, 1);
  const grid = [...across.ticks.map(([u]) => `M${view.spot(u, 0)[0]} ${y0}V${y1}`),
    ...up.ticks.map(([v]) => `M${x0} ${view.spot(0, v)[1]}H${x1}`)].join("");
  const text = (x, y, anchor, content, turn = null) =>
    el("text", { x, y, "text-anchor": anchor, transform: turn }, content);
  const middle = (y0 + y1) / 2;
  return [el("path", { class: "grid", d: grid }), el("path", { class: "axis", d: `M${x0} ${y1}V${y0}H${x1}` }),
    ...across.ticks.map(([u, content]) => text(view.spot(u, 0)[0], y0 + 16, "middle", content)),
    ...up.ticks.map(([v, content]) => text(x0 - 6, view.spot(0, v)[1] + 4, "end", content)),
    text((x0 + x1) / 2, y0 + 34, "middle", across.name),
    text(11, middle, "middle", up.name, `rotate(-90 11 ${middle})`)];
}
