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

const SVG_TAGS = new Set(["svg", "g", "rect", "line", "circle", "text", "image", "path"]);

/** Make an element: `on...` attributes are listeners; null, undefined and false are left out. */
export function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  set(node, attributes);
  node.append(...children.filter((child) => child !== null));
  return node;
}

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
export const fixed = (value, digits = 2) => value.toFixed(digits).replace(/^-(?=0*\.?0*$)/, "").replace("-", "−");
export const grouped = (value) => (Math.round(value * 10) / 10).toLocaleString("en-GB");

// --- geometry -------------------------------------------------------------------------------------------------------

export const area = ([x1, y1, x2, y2]) => (x2 - x1) * (y2 - y1);

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

// --- controls -------------------------------------------------------------------------------------------------------

export const caption = (question, hint) =>
  el("figcaption", {}, el("span", { class: "question" }, question), el("span", { class: "hint" }, hint));

export const button = (label, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, label);

/** A native slider with its name and its value; `set(value)` moves it from the script. */
export function slider(name, { min, max, step, value, format = String }, change) {
  const input = el("input", { type: "range", min, max, step }), output = el("output");
  const show = () => { output.textContent = format(Number(input.value)); input.setAttribute("aria-valuetext", output.textContent); };
  const node = el("div", { class: "slider" }, el("label", {}, el("span", {}, name), input), output);
  node.set = (number) => { input.value = number; show(); };
  input.addEventListener("input", () => { show(); change(Number(input.value)); });
  node.set(value);
  return node;
}

export function check(name, checked, change, type = "checkbox", group = null) {
  const input = el("input", { type, name: group, checked });
  input.addEventListener("change", () => change(input.checked));
  return el("label", { class: "check" }, input, name);
}

/** A small bar from `from` to `to`, both shares of its length; `zero` marks the origin. */
export function bar(from, to, colour = null, zero = null) {
  const left = clamp(Math.min(from, to), 0, 1), right = clamp(Math.max(from, to), 0, 1);
  return el("span", { class: "bar", "aria-hidden": "true" },
    el("i", { style: `left:${100 * left}%;width:${100 * (right - left)}%;${colour ? `--fill:var(--${colour})` : ""}` }),
    zero === null ? null : el("b", { style: `left:${100 * zero}%` }));
}

export const key = (colour) => el("span", { class: "key", style: `--fill:var(--${colour})`, "aria-hidden": "true" });

// --- pictures -------------------------------------------------------------------------------------------------------

/** A picture to draw on, as wide as its column; `draw(view)` is called whenever its size changes. */
export function picture({ width, height, src }, label, draw) {
  const image = src && el("image", { href: src, preserveAspectRatio: "none", width: "100%", height: "100%" });
  const svg = el("svg", { class: "picture", role: "group", "aria-label": label,
    style: `aspect-ratio:${width}/${height};max-width:${Math.round((460 * width) / height)}px` }, image || "");
  const view = { width, height, svg, frame: el("div", { class: "frame", style: svg.getAttribute("style") }, svg) };
  const pen = document.createElement("canvas").getContext("2d");
  view.scale = 1; // screen pixels for one pixel of the picture
  view.textWidth = (text) => { pen.font = `12px ${getComputedStyle(svg).fontFamily || "sans-serif"}`; return pen.measureText(text).width; };
  view.at = (event) => {
    const frame = svg.getBoundingClientRect();
    return [(event.clientX - frame.left) / view.scale, (event.clientY - frame.top) / view.scale];
  };
  new ResizeObserver(() => {
    if (!svg.clientWidth) return;
    view.scale = svg.clientWidth / width;
    svg.setAttribute("viewBox", `0 0 ${svg.clientWidth} ${height * view.scale}`);
    draw(view);
  }).observe(svg);
  return view;
}

/** The position of a box on the screen, as the attributes of a `rect`. */
export const place = (view, [x1, y1, x2, y2]) =>
  ({ x: x1 * view.scale, y: y1 * view.scale, width: (x2 - x1) * view.scale, height: (y2 - y1) * view.scale });

/** Draw a box in a colour's meaning: a dark casing below, so that it stands out on any photograph, and a name tag. */
export function drawBox(view, box, colour, { width = 2, dash = null, fill = 0, name = "", faint = false, below = false } = {}) {
  const line = { ...place(view, box), fill: "none", "stroke-dasharray": dash };
  return el("g", { opacity: faint ? 0.55 : null },
    el("rect", { ...line, stroke: "#000", "stroke-opacity": 0.55, "stroke-width": width + 2 }),
    el("rect", { ...line, style: `stroke:var(--${colour});fill:var(--${colour})`, "fill-opacity": fill, "stroke-width": width }),
    name ? tag(view, box, colour, name, { below }) : "");
}

/** A name on its colour, above the box (or `below` it) and always inside the picture. */
export function tag(view, [x1, y1, , y2], colour, name, { below = false, shift = -1 } = {}) {
  const w = view.textWidth(name) + 10, k = view.scale;
  const x = clamp(x1 * k + shift, 0, Math.max(0, view.width * k - w));
  const y = clamp(below ? y2 * k + 1 : y1 * k - 18, 0, view.height * k - 17);
  return el("g", { "pointer-events": "none" },
    el("rect", { x, y, width: w, height: 17, rx: 3, style: `fill:var(--${colour})` }), el("text", { x: x + 5, y: y + 13 }, name));
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Call `move(dx, dy)` on an arrow key, ten times as far with Shift. */
export function arrowKeys(node, move, far = 10) {
  node.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    move(...step.map((way) => way * (event.shiftKey ? far : 1)));
  });
}

/** Call `begin()` when mouse, pen or finger takes `node`, then `move(begun, dx, dy)` in pixels of the picture. */
export function draggable(node, view, begin, move, end) {
  node.addEventListener("pointerdown", (down) => {
    if (down.button) return;
    const [x, y] = view.at(down), begun = begin();
    const follow = (event) => { const [u, v] = view.at(event); move(begun, Math.round(u - x), Math.round(v - y)); };
    const stop = () => { node.removeEventListener("pointermove", follow); end(); };
    node.setPointerCapture(down.pointerId);
    node.addEventListener("pointermove", follow);
    node.addEventListener("lostpointercapture", stop, { once: true });
    node.focus({ preventScroll: true });
    down.preventDefault();
  });
}
