// Multiple-choice questions, one at a time; every option explains itself once it is chosen, the first choice counts.
import { announcer, button, caption, el, row, set } from "./common.js";

/** Plain text in which `backticks` mark code. */
const rich = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

/** How many questions were answered right at the first try. `chosen` holds the options in the order of choice. */
export const score = (questions, chosen) =>
  questions.filter(({ options }, i) => chosen[i].length > 0 && options[chosen[i][0]].correct).length;

export function mount(root, state, publish) {
  const { questions } = state, count = questions.length;
  const chosen = questions.map(() => []); // for each question the options, in the order in which they were chosen
  let current = 0;

  const dots = el("div", { class: "row dots", role: "group", "aria-label": "Questions" });
  const heading = el("p", { class: "heading" }), text = el("p", { class: "text", tabindex: -1 });
  const options = el("ol", { class: "options" }), result = el("p", { class: "result" }), status = announcer(true);
  const back = button("Back", () => go(current - 1)), next = button("Next question", () => go(current + 1));
  const again = button("Start again", () => { chosen.forEach((list) => list.splice(0)); go(0); });

  root.append(caption(state.title, "Choose an answer; the others can be chosen afterwards, to read why they are wrong."),
    dots, heading, text, options, row(back, next, again), result, status);

  /** Show another question, and read it out: the keyboard's focus goes to its text. */
  function go(question) {
    current = question;
    status.textContent = "";
    draw();
    text.focus({ preventScroll: true });
  }

  function choose(option) {
    const list = chosen[current], { correct, why } = questions[current].options[option];
    if (!list.includes(option)) list.push(option);
    draw();
    options.children[option].querySelector("button").focus({ preventScroll: true });
    status.textContent = `${correct ? "Right" : "Not this one"}. ${why.replaceAll("`", "")}`;
  }

  function draw() {
    const answered = chosen.filter((list) => list.length).length, points = score(questions, chosen);
    dots.replaceChildren(...questions.map((question, i) => {
      const kind = answerKind(question, chosen[i]), step = i === current ? "step" : null;
      const names = { class: kind, "aria-current": step, "aria-label": `Question ${i + 1}, ${kind}` };
      return button(String(i + 1), () => go(i), names);
    }));
    heading.textContent = `Question ${current + 1} of ${count}`;
    text.replaceChildren(...rich(questions[current].question));
    options.replaceChildren(...questions[current].options.map((option, i) => entry(option, i)));
    set(back, { disabled: current === 0 });
    set(next, { disabled: current === count - 1 });
    set(again, { disabled: answered === 0 });
    const open = `${answered} of ${count} answered.`, done = `${points} of ${count} right at the first try.`;
    result.textContent = answered < count ? open : done;
    publish({ current, chosen, answered, score: points, count });
  }

  const answerKind = ({ options: all }, list) => (!list.length ? "open" : all[list[0]].correct ? "right" : "wrong");

  function entry({ text: words, correct, why }, i) {
    const open = chosen[current].includes(i), verdict = open ? (correct ? "right" : "wrong") : null;
    const mark = { right: "✓", wrong: "✗" }[verdict] ?? String.fromCharCode(65 + i);
    return el("li", { class: verdict },
      el("button", { type: "button", onclick: () => choose(i), "aria-pressed": String(open) },
        el("span", { class: "mark", "aria-hidden": "true" }, mark), el("span", {}, ...rich(words))),
      open ? el("p", { class: "why" }, el("strong", {}, correct ? "Right. " : "Not this one. "), ...rich(why)) : null);
  }
  if (count) draw();
}
