// Pictures before and after: a line to drag across.
import {
  announcer, arrowKeys, button, caption, check, clamp, decode, easel, el, group, layout, picture, row, set, slider,
} from "./common.js";

export async function mount(root, state, publish) {
  const { pictures, changes, names } = state, now = { picture: 0, change: 0, line: state.line };
  let decoded = null;

  const views = pictures.map(({ width, height }, i) => {
    const view = picture({ width, height }, () => draw()), [marks] = view.layers(1), pen = easel(1, 1);
    const hand = view.svg.appendChild(el("rect", { class: "hand", width: "100%", height: "100%", tabindex: 0,
      role: "slider", "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Line across ${names[i]}` }));
    const point = (event) => go(view.at(event)[0] / width);
    set(hand, { onpointerdown: (event) => { hand.setPointerCapture(event.pointerId); point(event); },
      onpointermove: (event) => (event.buttons ? point(event) : null) });
    hand.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false });
    arrowKeys(hand, (dx, dy) => go(now.line + 0.01 * (dx - dy)));
    view.frame.prepend(pen.canvas);
    return Object.assign(view, { marks, pen, hand });
  });
  const thumbs = pictures.map(({ src }, i) => button(el("img", { src, alt: names[i] }),
    () => { now.picture = i; draw(); }, { class: "thumb" }));
  const radios = changes.map(({ name }, i) => check(name, i === 0, () => { now.change = i; draw(); }, "change"));
  const place = slider("line at", { min: 0, max: 1, step: 0.01, value: now.line, digits: 2 }, (share) => go(share));
  const status = announcer();

  root.append(
    caption(state.question, "Drag the line across the picture, or move the slider."),
    layout(views.map(({ frame }) => frame), [group("Picture", el("div", { class: "thumbs" }, ...thumbs)),
      changes.length > 1 ? group("After", row(...radios)) : null, place, status].filter((node) => node !== null)));
  decoded = await Promise.all([pictures, ...changes.map((one) => one.pictures)].map((list) =>
    Promise.all(list.map(({ src }) => decode(src)))));

  function go(share) {
    now.line = Math.round(100 * clamp(share, 0, 1)) / 100;
    draw();
  }

  function draw() {
    if (!decoded) return; // they are being decoded
    const { picture: i, change, line } = now, view = views[i], percent = Math.round(100 * line);
    views.forEach(({ frame }, n) => { frame.hidden = n !== i; });
    thumbs.forEach((node, n) => set(node, { "aria-pressed": String(n === i) }));
    place.querySelector("input").value = line;
    place.querySelector("output").textContent = `${percent} %`;
    set(place.querySelector("input"), { "aria-valuetext": `${percent} %` });
    set(view.hand, { "aria-valuenow": percent, "aria-valuetext": `${percent} % as it was` });
    paint(view, decoded[0][i].canvas, decoded[change + 1][i].canvas);
    status.textContent = `${names[i]}: ${percent} % as it was, the rest ${changes[change].name}.`;
    publish({ ...now });
  }

  function paint(view, before, after) {
    const { width, height } = after, cut = Math.round(now.line * width);
    Object.assign(view.pen.canvas, { width, height });
    view.pen.drawImage(after, 0, 0);
    if (cut > 0) view.pen.drawImage(before, 0, 0, (cut * before.width) / width, before.height, 0, 0, cut, height);
    const x = now.line * view.width * view.scale, y = (view.height * view.scale) / 2;
    view.marks.replaceChildren(...["casing", ""].map((kind) => el("path", { class: `edge ${kind}`, d: `M${x} 0V${2 * y}` })),
      el("circle", { class: "knob", cx: x, cy: y, r: 13 }),
      el("path", { class: "arrows", d: `M${x - 3} ${y - 5}l-5 5l5 5M${x + 3} ${y - 5}l5 5l-5 5` }));
  }

  draw();
}
