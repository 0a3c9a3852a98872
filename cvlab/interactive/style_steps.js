// A picture that is being optimised: a slider over its snapshots, and a marker that moves along the losses' curves.
import {
  announcer, axes, button, caption, chart, decode, easel, el, layout, offer, picture, put, range, row, set, slider, table,
} from "./common.js";

const DASHES = [null, "7 4", "2 4", "9 3 2 3"], PAUSE = 350; // milliseconds between two snapshots that play

/** The powers of ten that hold all values, four of them below the largest at most. */
export function powers(values) {
  const top = Math.ceil(Math.log10(Math.max(...values, 1e-12)));
  const least = Math.min(...values.filter((value) => value > 0));
  return [Math.max(top - 4, Math.min(Math.floor(Math.log10(least)), top - 1)), top];
}

const short = (value) => String(Number(value.toPrecision(3)));

/** The last step at or before a snapshot; the first one for a snapshot before it. */
export const before = (steps, step) => Math.max(0, steps.filter((at) => at <= step).length - 1);

export async function mount(root, state, publish) {
  const { pictures, steps, terms } = state, names = Object.keys(terms), last = pictures.length - 1;
  const end = Math.max(steps.at(-1), pictures[last].step), [low, high] = powers(Object.values(terms).flat());
  const now = { snapshot: state.snapshot };
  const up = (value) => Math.max((Math.log10(Math.max(value, 1e-12)) - low) / (high - low), 0);
  let timer = null, pens = null;

  const view = picture({ width: pictures[0].width, height: pictures[0].height }, () => null), pen = easel(1, 1);
  view.frame.prepend(pen.canvas);
  set(view.svg, { role: "img" });
  const plot = chart(400, 250, () => paintCurves()), [layer] = plot.layers(1);
  const follow = (event) => {
    const step = plot.share(event)[0] * end, far = pictures.map((one) => Math.abs(one.step - step));
    put(moment, far.indexOf(Math.min(...far)));
  };
  set(plot.svg, { role: "img", onpointerdown: follow, onpointermove: (e) => (e.buttons ? follow(e) : null) });

  const moment = slider("after step", { min: 0, max: last, step: 1, value: now.snapshot }, (n) => {
    now.snapshot = n;
    draw();
  });
  moment.querySelector("input").addEventListener("pointerdown", () => stop());
  const play = button("Play", () => (timer === null ? start() : stop()), { class: "play" });
  const go = (n) => { stop(); put(moment, n); };
  const back = button("Back", () => go(now.snapshot - 1)), next = button("Next", () => go(now.snapshot + 1));
  const numbers = table("At this moment"), status = announcer(true);
  const sample = (i) => el("svg", { class: "line", viewBox: "0 0 26 8", "aria-hidden": "true" },
    el("path", { d: "M0 4H26", "stroke-dasharray": DASHES[i], class: `term term${i}` }));

  root.append(
    caption(state.question, "Move the slider, play, or drag along the curves."),
    layout([view.frame, el("div", { class: "moment" }, moment, row(back, play, next)), status], [plot.frame, numbers]));
  pens = await Promise.all(pictures.map(({ src }) => decode(src)));

  function start() {
    play.textContent = "Pause";
    if (now.snapshot === last) put(moment, 0);
    timer = setInterval(() => (now.snapshot === last ? stop() : put(moment, now.snapshot + 1)), PAUSE);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  }

  function draw() {
    if (!pens) return; // they are being decoded
    const { step } = pictures[now.snapshot], at = before(steps, step);
    const values = Object.fromEntries(names.map((name) => [name, terms[name][at]]));
    const said = names.map((name) => `${name} ${short(values[name])}`).join(", ");
    const { canvas } = pens[now.snapshot];
    Object.assign(pen.canvas, { width: canvas.width, height: canvas.height });
    pen.drawImage(canvas, 0, 0);
    moment.querySelector("output").textContent = step;
    set(moment.querySelector("input"), { "aria-valuetext": `step ${step}` });
    numbers.body.replaceChildren(...names.map((name, i) => el("tr", {},
      el("th", { scope: "row" }, sample(i), name), el("td", {}, short(values[name])))));
    if (timer === null) status.textContent = `After step ${step}: ${said}.`;
    offer([[back, now.snapshot > 0], [next, now.snapshot < last]]);
    set(view.svg, { "aria-label": `The picture after step ${step}` });
    set(plot.svg, { "aria-label": `Losses over ${end} steps; at step ${step} ${said}` });
    paintCurves();
    publish({ ...now, step, at, values, low, high, playing: timer !== null });
  }

  function paintCurves() {
    const { step } = pictures[now.snapshot], at = before(steps, step), [x, y] = plot.spot(step / end, 0);
    const heights = range(high - low + 1).map((i) => [i / (high - low), short(10 ** (low + i))]);
    const dot = (name) => {
      const [cx, cy] = plot.spot(steps[at] / end, up(terms[name][at]));
      return el("circle", { class: "dot", cx, cy, r: 5 });
    };
    layer.replaceChildren(
      ...axes(plot, { name: "step", ticks: range(5).map((i) => [i / 4, short((i * end) / 4)]) },
        { name: "loss", ticks: heights }),
      el("path", { class: "marker", d: `M${x} ${y}V${plot.spot(0, 1)[1]}` }),
      ...names.map((name, i) => el("path", { class: `term term${i}`, "stroke-dasharray": DASHES[i],
        d: plot.path(steps.map((one, n) => [one / end, up(terms[name][n])])) })),
      ...names.map(dot));
  }

  draw();
}
