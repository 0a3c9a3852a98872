// What figures on numbers share: rounding, ticks, and a picture of fixed height.
import { picture, set } from "./common.js";

/** Round to the nearest whole number, a half to the even one, as Python and torch do. */
export function even(value) {
  const below = Math.floor(value), part = value - below;
  return part === 0.5 ? below + Math.abs(below % 2) : part < 0.5 ? below : below + 1;
}

/** A length of 1, 2 or 5 times a power of ten, so that about `count` of them fit into `span`. */
export function niceStep(span, count) {
  const unit = 10 ** Math.floor(Math.log10(span / count));
  return [1, 2, 5, 10].map((n) => n * unit).find((step) => span / step <= count * 1.0001);
}

/** A picture as wide as its column, of a height that stays, so that its words keep their room. */
export function strip(height, paint) {
  const made = picture({ width: 1, height: 1 }, () => {
    Object.assign(made, { scale: 1, width: made.svg.clientWidth, height });
    set(made.svg, { viewBox: `0 0 ${made.width} ${height}` });
    paint();
  });
  Object.assign(made.frame.style, { aspectRatio: "auto", maxWidth: "none", height: `${height}px` });
  made.frame.classList.add("strip");
  made.svg.classList.add("chart");
  return made;
}
