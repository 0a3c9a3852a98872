// A real multiplier as 31 bits and a shift: the product of 64 bits, rounded once or twice.
import {
  announcer, button, caption, el, group, key, layout, range, row, set, slider, table,
} from "./common.js";

const BIG = { half: 1n << 31n, least: -(1n << 31n), most: (1n << 31n) - 1n };
const MOST_TRIES = 200_000; // accumulators that the search looks at

/** A fraction from 0.5 up to 1 and a power of two whose product is a positive number. */
export function frexp(value) {
  let [fraction, power] = [value, 0];
  while (fraction >= 1) [fraction, power] = [fraction / 2, power + 1];
  while (fraction < 0.5) [fraction, power] = [fraction * 2, power - 1];
  return [fraction, power];
}

/** A whole number m of 31 binary digits and a shift s: the value is about m 2^(s - 31). */
export function quantizeMultiplier(value) {
  const [fraction, power] = frexp(value), whole = Math.floor(fraction * 2 ** 31 + 0.5);
  return whole === 2 ** 31 ? [2 ** 30, power + 1] : [whole, power];
}

/** Divide by a power of two, rounded to the nearest, halves away from 0. */
function roundingShift(x, right) {
  const mask = (1n << BigInt(right)) - 1n, threshold = (mask >> 1n) + (x < 0n ? 1n : 0n);
  return (x >> BigInt(right)) + ((x & mask) > threshold ? 1n : 0n);
}

/** Multiply a 32-bit number, with all steps: numbers are BigInts, for a product has 64 bits. */
export function multiply(x, m, shift) {
  const [number, factor] = [BigInt(x), BigInt(m)], left = Math.max(shift, 0), right = Math.max(-shift, 0);
  const shifted = BigInt.asIntN(32, number << BigInt(left)), product = shifted * factor;
  const nudged = product + (product >= 0n ? 1n << 30n : 1n - (1n << 30n));
  const rounded = nudged / BIG.half, high = rounded > BIG.most ? BIG.most : rounded; // BigInts divide towards 0
  const whole = number * factor, cut = BigInt(31 - shift);
  const single = BigInt.asIntN(32, (whole + (1n << (cut - 1n))) >> cut);
  return { product: whole, high, double: BigInt.asIntN(32, roundingShift(high, right)), single,
    overflow: shifted !== number << BigInt(left) };
}

/** The next accumulator above x for which the two ways to round differ; null where the search finds none. */
export function nextDifferent(x, m, shift, tries = MOST_TRIES) {
  const last = Math.min(x + tries, Number(BIG.most));
  for (let next = x + 1; next <= last; next += 1) {
    const found = multiply(next, m, shift);
    if (found.overflow) return null;
    if (found.double !== found.single) return next;
  }
  return null;
}

/** The last `count` binary digits of a whole number, the highest first; those of one below 0 as two's complement. */
export const digitsOf = (number, count) =>
  BigInt.asUintN(count, BigInt(number)).toString(2).padStart(count, "0").split("").map(Number);

const FINE = 200; // steps of the slider for each power of two
const minus = (text) => String(text).replace("-", "−");
const spaced = (number) => minus(String(number).replace(/\B(?=(\d{3})+(?!\d))/g, "\u2009"));
const raised = (power) => [...String(power)].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
const places = (value) => { // the more digits before the point, the fewer after it
  const [whole, part] = value.toFixed(Math.abs(value) < 1e5 ? 4 : 2).split(".");
  return `${spaced(whole)}.${part}`;
};

export function mount(root, state, publish) {
  const now = { value: state.value, accumulator: state.accumulator };
  let searched = "";

  const place = () => Math.round(FINE * Math.log2(now.value));
  const size = slider("multiplier", { min: -12 * FINE, max: FINE, step: 1, value: place() },
    (at) => { now.value = Number((2 ** (at / FINE)).toPrecision(4)); change(); });
  const accumulator = slider("accumulator", { min: -100_000, max: 100_000, step: 1, value: now.accumulator },
    (value) => { now.accumulator = value; change(); });
  const exactly = { value: number("multiplier, exactly", { min: 2 ** -12, max: 2, step: "any" }),
    accumulator: number("accumulator, exactly", { min: -(2 ** 31), max: 2 ** 31 - 1, step: 1 }) };
  for (const [name, node] of [["value", size], ["accumulator", accumulator]])
    node.querySelector("output").replaceWith(exactly[name]);

  const find = button("Find a case where the two differ", search);
  const rows = { multiplier: bits(31), accumulator: bits(32), product: bits(64), high: bits(32), result: bits(32) };
  const results = table("Results", ["rounded", "result", "error"]), steps = el("ol", { class: "steps" });
  const status = announcer();

  root.append(
    caption(state.question, "Move multiplier and accumulator, or write them down. A filled square is a binary digit 1, "
      + "an empty one a 0."),
    layout([
      ...Object.values(rows).map(({ node }) => node),
      el("p", { class: "legend" }, item("own", "what goes in"), item("kept", "stays"), item("between", "shifted out"),
        item("low", "below 2³¹"), item("decides", "decides a rounding")),
      el("p", { class: "heading numbers" }, "The roundings in numbers"), steps], [
      group("What is multiplied", size, accumulator, row(find)), results, status]));

  function item(kind, words) {
    const mark = el("i", { class: `bit on ${kind}`, "aria-hidden": "true" });
    return el("span", {}, mark, words);
  }

  /** A field for a number; what is not one, or lies out of range, changes nothing and is taken back on leaving. */
  function number(name, limits) {
    const input = el("input", { type: "number", inputmode: "decimal", "aria-label": name, ...limits });
    const which = name.split(",")[0] === "multiplier" ? "value" : "accumulator";
    input.addEventListener("input", () => {
      const value = Number(input.value);
      const whole = which === "value" || Number.isInteger(value);
      if (input.value === "" || !whole || !(value >= limits.min && value <= limits.max)) return;
      now[which] = value;
      change(input);
    });
    input.addEventListener("blur", () => { input.value = now[which]; });
    return input;
  }

  /** A row of binary digits with its name; each digit is a small square. */
  function bits(count) {
    const squares = range(count).map(() => el("i", { class: "bit" })), name = el("p", { class: "heading" });
    const grid = el("div", { class: "bits", role: "img" }, ...squares); // 33 columns, the lowest digit in the last one
    squares[0].style.gridColumnStart = count === 64 ? 1 : 34 - count;
    if (count === 64) squares[33].style.gridColumnStart = 3; // 33 upper digits, and 31 lower ones below them
    return { node: el("div", { class: "register" }, name, grid), grid, name, squares };
  }

  /** Show a number's digits in a row, each of the kind that its place (from 0, the lowest) has. */
  function fill({ squares, grid }, number, kindOf, words) {
    const digits = digitsOf(number, squares.length);
    squares.forEach((square, i) =>
      set(square, { class: `bit ${digits[i] ? "on " : ""}${kindOf(squares.length - 1 - i)}` }));
    set(grid, { "aria-label": `${words}: ${digits.join("")}` });
  }

  function search() {
    const [m, shift] = quantizeMultiplier(now.value), found = nextDifferent(now.accumulator, m, shift);
    if (found === null) {
      searched = shift >= 0 ? "At a shift of 0 or more, both ways round once: without overflow they do not differ."
        : "None found above this accumulator.";
      draw();
      return;
    }
    now.accumulator = found;
    searched = "";
    draw();
  }

  function change(but = null) {
    searched = "";
    draw(but);
  }

  function draw(but = null) {
    const [m, shift] = quantizeMultiplier(now.value), found = multiply(now.accumulator, m, shift);
    const exact = now.value * now.accumulator, [twice, once] = [found.double, found.single].map(Number);
    for (const [name, input] of Object.entries(exactly)) if (input !== but) input.value = now[name];
    size.querySelector("input").value = place();
    accumulator.querySelector("input").value = now.accumulator;
    set(size.querySelector("input"), { "aria-valuetext": String(now.value) });
    set(accumulator.querySelector("input"), { "aria-valuetext": String(now.accumulator) });
    paint(m, shift, found);
    tell(m, shift, found, exact, twice, once);
    publish({ ...now, multiplier: m, shift, product: String(found.product), high: Number(found.high), double: twice,
      single: once, exact, errors: { double: twice - exact, single: once - exact }, differ: twice !== once,
      overflow: found.overflow });
  }

  function paint(m, shift, { product, high, double }) {
    const cut = 31 - shift, right = Math.max(-shift, 0), mark = (yes) => (yes ? " decides" : "");
    const role = (i) => (i >= cut ? "kept" : i >= 31 ? "between" : "low") + mark(i === cut - 1 || (right && i === 30));
    fill(rows.multiplier, m, () => "own", `M, ${m}`);
    fill(rows.accumulator, now.accumulator, () => "own", `accumulator, ${now.accumulator}`);
    fill(rows.product, product, role, `product, ${product}`);
    const kept = (i) => (i >= right ? "kept" : "between") + mark(right && i === right - 1);
    fill(rows.high, high, kept, `rounded, ${high}`);
    fill(rows.result, double, () => "kept", `result, ${double}`);
    const title = (name, ...words) =>
      rows[name].name.replaceChildren(...words.map((word, i) => (i % 2 ? el("b", {}, word) : word)));
    const power = shift === 0 ? "" : `, and a shift of ${minus(shift)}`;
    title("multiplier", "M = ", spaced(m), ` in 31 bits${power}: multiplier ≈ M · 2${raised(shift - 31)}`);
    title("accumulator", "accumulator = ", spaced(now.accumulator), " in 32 bits");
    title("product", "product = ", spaced(product), " in 64 bits");
    const lead = shift > 0 ? `shifted left by ${shift}, ` : "";
    title("high", `${lead}divided by 2³¹ and rounded = `, spaced(high));
    const again = right ? `shifted right by ${right} and rounded again = `
      : "no shift to the right, no second rounding = ";
    title("result", again, spaced(double));
  }

  function tell(m, shift, { product, high, overflow }, exact, twice, once) {
    const right = Math.max(-shift, 0), cut = 31 - shift, differ = twice !== once;
    const error = (value) => `${value > 0 ? "+" : ""}${places(value)}`;
    const line = (kind, mark, name, value, off) => el("tr", { class: kind }, el("th", { scope: "row" }, mark, name),
      el("td", {}, value), el("td", {}, off));
    results.body.replaceChildren(
      line(null, "", "not at all", places(exact), ""),
      line(differ ? "differ" : null, key("prediction"), "twice", spaced(twice), error(twice - exact)),
      line(differ ? "differ" : null, key("prediction"), "once", spaced(once), error(once - exact)));
    const over = (power) => `/ 2${raised(power)}`;
    const step = (name, sum, found) =>
      el("li", {}, el("span", {}, name), el("span", {}, `${sum}\u00a0→\u00a0${spaced(found)}`));
    const quotient = (top, power) => places(Number(top) / 2 ** power);
    const lead = shift > 0 ? `accumulator · 2${raised(shift)} · M` : "product";
    steps.replaceChildren(
      step("twice", `${lead} ${over(31)} = ${quotient(product, shift > 0 ? cut : 31)}`, high),
      ...(right ? [step("", `${spaced(high)} ${over(right)} = ${quotient(high, right)}`, twice)] : []),
      step("once", `product ${over(cut)} = ${quotient(product, cut)}`, once));
    const note = overflow ? ` Shifted left by ${shift}, the accumulator does not fit into 32 bits.` : ` ${searched}`;
    status.textContent = (differ ? `They differ: ${spaced(twice)} rounded twice, ${spaced(once)} rounded once.`
      : `Both ways give ${spaced(once)}.`) + note;
  }

  draw();
}
