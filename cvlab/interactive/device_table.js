// One network on many devices: what matters, how much room there is, what fits, and what of it was really run.
import {
  announcer, bar, button, caption, el, fixed, group, range, row, set, slider,
} from "./common.js";

const UNITS = ["ratio", "ms", "instructions"];
const MATTERS = { size: "Small", accuracy: "Accurate", cost: "Fast", ram: "Little RAM" };
const COLUMNS = { size: "size", accuracy: "accuracy", cost: "time", ram: "RAM" };
const CHECKED = {
  "run": "It was run, and the answers are its own.",
  "emulated": "It was run in an emulator: the answers are the device's own, but no device was there, and nothing says how long one takes.",
  "read back": "No such device was there: the file was read back and computed elsewhere, by the rules of its format.",
};

/** Bytes in kB or MB, of 1,000 bytes each. */
export function sized(value) {
  const kilo = value / 1000;
  if (kilo >= 1000) return `${fixed(kilo / 1000, 1)} MB`;
  return `${kilo >= 10 || kilo % 1 === 0 ? Math.round(kilo) : fixed(kilo, 1)} kB`;
}

/** The room that a device has: chips have KiB, of 1,024 bytes each. */
const roomy = (value) => (value % 1024 === 0 ? `${value / 1024} KiB` : sized(value));

/** What an image costs, in its unit. */
export function timed({ cost, unit }) {
  if (cost === null) return "–";
  const short = (value) => (value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(2))));
  if (unit === "ratio") return `${short(cost)} ×`;
  if (unit === "ms") return `${short(cost)} ms`;
  return cost >= 1e6 ? `${short(cost / 1e6)} M instr.` : `${short(cost / 1e3)} k instr.`;
}

export const percent = (share) => (share === null ? "–" : `${fixed(100 * share, 1)} %`);

/** Why a row does not fit, in words: its own device's limits first, then those of the reader. Empty where it fits. */
export function reasons(row, { size, accuracy, ram }) {
  const found = [];
  if (row.size_limit !== null && row.size > row.size_limit)
    found.push(`takes ${sized(row.size)}, the device has ${roomy(row.size_limit)}`);
  if (row.ram_limit !== null && row.ram !== null && row.ram > row.ram_limit)
    found.push(`needs ${sized(row.ram)} of RAM, the device has ${roomy(row.ram_limit)}`);
  if (row.size > size) found.push(`takes ${sized(row.size)}, more than ${sized(size)}`);
  if (row.accuracy < accuracy - 1e-9) found.push(`is right in ${percent(row.accuracy)}, less than ${percent(accuracy)}`);
  if (ram !== null && row.ram !== null && row.ram > ram) found.push(`needs ${sized(row.ram)} of RAM, more than ${sized(ram)}`);
  return found;
}

/** The places of rows, best first by what matters; unknown ones last, and costs of one unit after those of another. */
export function ordered(rows, matters) {
  const key = (row) => {
    const value = row[matters];
    if (value === null) return [UNITS.length, 0];
    return [matters === "cost" ? UNITS.indexOf(row.unit) : 0, matters === "accuracy" ? -value : value];
  };
  return range(rows.length).sort((i, j) => {
    const [a, b] = [key(rows[i]), key(rows[j])];
    return a[0] - b[0] || a[1] - b[1] || i - j;
  });
}

export function mount(root, state, publish) {
  const { rows } = state, most = (values) => Math.max(...values.filter((value) => value !== null));
  const largest = { size: most(rows.map(({ size }) => size)), ram: most(rows.map(({ ram }) => ram)) };
  const hasRam = Number.isFinite(largest.ram);
  /** The step of a slider of kB, and an end to it that all values fit below. */
  const kilos = (value) => {
    const least = Math.max(1, value / 200_000), unit = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((n) => n * unit).find((one) => one >= least);
    return { min: 0, max: step * Math.ceil(value / 1000 / step), step };
  };
  const room = { size: kilos(largest.size), ram: hasRam ? kilos(largest.ram) : null };
  const highest = Object.fromEntries(UNITS.map((unit) => [unit, most(rows.filter((one) => one.unit === unit).map(({ cost }) => cost))]));
  const least = Math.floor(200 * Math.min(...rows.map(({ accuracy }) => accuracy))) / 2; // percent, in halves
  const now = { matters: "size", chosen: null,
    budgets: { size: 1000 * room.size.max, accuracy: least / 100, ram: hasRam ? 1000 * room.ram.max : null } };
  const named = ({ device, format }) => `${device}, ${format}`;

  const cell = (key, number, share, mark = null) => el("span", { class: "cell", "data-key": key },
    el("span", { class: "label" }, key === "agreement" ? "as float" : COLUMNS[key]), el("span", { class: "number" }, number),
    share === null ? el("span") : bar(0, share, null, mark));
  const share = ({ cost, unit }) => (cost === null ? null : cost / (unit === "ratio" ? Math.max(1, highest.ratio) : highest[unit]));
  const cards = rows.map((row, i) => {
    const input = el("input", { type: "radio", name: "device" });
    input.addEventListener("change", () => { now.chosen = i; draw(); });
    const verdict = el("span", { class: "verdict" });
    const node = el("label", { class: "device" },
      el("span", { class: "name" }, input, el("span", {}, el("b", {}, row.device), " ", el("span", { class: "format" }, row.format))),
      cell("size", sized(row.size), row.size / largest.size),
      cell("accuracy", percent(row.accuracy), row.accuracy),
      cell("cost", timed(row), share(row), row.unit === "ratio" ? 1 / Math.max(1, highest.ratio) : null),
      cell("ram", row.ram === null ? "–" : sized(row.ram), row.ram === null ? null : row.ram / largest.ram),
      el("span", { class: "checked" }, row.checked), verdict);
    return { node, input, verdict };
  });
  const list = el("div", { class: "devices", role: "radiogroup", "aria-label": "Devices" });
  const head = el("div", { class: "head", "aria-hidden": "true" }, el("span", {}, "device"),
    ...Object.values(COLUMNS).map((name) => el("span", {}, name)), el("span", {}, "known by"));

  const buttons = Object.fromEntries(Object.entries(MATTERS).filter(([key]) => key !== "ram" || hasRam).map(([key, text]) =>
    [key, button(text, () => { now.matters = key; sort(); draw(); })]));
  const budget = (name, key, options, scale) =>
    slider(name, options, (value) => { now.budgets[key] = value * scale; draw(); });
  const sliders = [
    budget("kB at most", "size", { ...room.size, value: room.size.max }, 1000),
    budget("% right at least", "accuracy", { min: least, max: 100, step: 0.1, value: least, digits: 1 }, 0.01),
    ...(hasRam ? [budget("kB of RAM at most", "ram", { ...room.ram, value: room.ram.max }, 1000)] : []),
  ];
  const status = announcer(), detail = el("div", { class: "detail" });
  const kinds = new Set(rows.map(({ unit }) => unit).filter(Boolean));
  const words = { ratio: "× is time against float on the same machine, marked at 1", ms: "ms are milliseconds",
    instructions: "instructions are counted, not timed" };
  const legend = [...kinds].map((unit) => words[unit]).join("; ");

  root.append(
    caption(state.question, "Say what matters and how much room there is, then choose a device to read what is known of it."),
    el("div", { class: "controls" },
      group("What matters most", row(...Object.values(buttons))), group("What fits", ...sliders)),
    el("p", { class: "found" }), list,
    el("p", { class: "note" }, kinds.size ? `Time of one image: ${legend}${kinds.size > 1 ? "; each kind has bars of its own" : ""}.` : ""),
    status);
  const found = root.querySelector(".found");
  status.classList.add("hidden");

  function sort() { list.replaceChildren(head, ...ordered(rows, now.matters).map((i) => cards[i].node)); }

  /** Sentences on a row: what it takes, how far it is from float, and what of it was run. */
  function told(row, why) {
    const of = (limit) => (limit === null ? "" : ` of ${roomy(limit)}`);
    const facts = [`${sized(row.size)}${of(row.size_limit)}`, `right in ${percent(row.accuracy)}`,
      row.agreement === null ? null : `the same answer as float in ${percent(row.agreement)}`,
      row.cost === null ? null : { ratio: `${timed(row)} the time of float`, ms: timed(row), instructions: timed(row) }[row.unit],
      row.ram === null ? null : `${sized(row.ram)} of RAM${of(row.ram_limit)}`];
    return [
      el("p", { class: "what" }, el("b", {}, named(row)), `: ${facts.filter(Boolean).join("; ")}.`),
      why.length ? el("p", { class: "why" }, `It does not fit: it ${why.join("; it ")}.`) : null,
      el("p", { class: "how" }, el("b", {}, `${row.checked[0].toUpperCase()}${row.checked.slice(1)}. `), row.note, // that it was run is said by the note itself, if there is one
        row.note && row.checked === "run" ? "" : ` ${CHECKED[row.checked]}`.slice(row.note ? 0 : 1)),
    ].filter(Boolean);
  }

  function draw() {
    const why = rows.map((row) => reasons(row, now.budgets)), order = ordered(rows, now.matters);
    const best = order.find((i) => why[i].length === 0 && rows[i][now.matters] !== null) ?? null;
    cards.forEach(({ node, input, verdict }, i) => {
      node.classList.toggle("out", why[i].length > 0);
      node.classList.toggle("best", i === best);
      node.classList.toggle("chosen", i === now.chosen);
      input.checked = i === now.chosen;
      verdict.textContent = why[i].length ? `It ${why[i][0]}.` : i === best ? `${MATTERS[now.matters]}: the first of those that fit.` : "";
      node.querySelectorAll(".cell").forEach((one) => one.classList.toggle("main", one.dataset.key === now.matters));
    });
    for (const [key, node] of Object.entries(buttons)) set(node, { "aria-pressed": String(key === now.matters) });
    const fits = why.filter((one) => one.length === 0).length;
    found.textContent = best === null ? `${fits} of ${rows.length} fit.` : `${fits} of ${rows.length} fit; first is ${named(rows[best])}.`;
    if (now.chosen === null) list.append(detail); else cards[now.chosen].node.after(detail);
    detail.replaceChildren(...(now.chosen === null ? [el("p", { class: "hint" }, "Choose a device to read what was run, and what was only emulated.")]
      : told(rows[now.chosen], why[now.chosen])));
    status.textContent = `${found.textContent} ${now.chosen === null ? "" : detail.textContent}`;
    publish({ order, why, fits: why.map((one) => one.length === 0), best, chosen: now.chosen, matters: now.matters, budgets: now.budgets });
  }

  sort();
  draw();
}
