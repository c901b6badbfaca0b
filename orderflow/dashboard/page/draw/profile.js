/* The volume profile beside the prices: it moves with every trade, so it is drawn here. */
import { PROFILE_LEFT } from "../figure.js";
import { short } from "../format.js";
import { level, within, write } from "./pen.js";

/** @typedef {import("../page.d.ts").Scene} Scene */

const SIDES = /** @type {const} */ (["buy", "sell", "unclassified"]);

/** @param {Scene} scene */
export function profile(scene) {
  const { pen, plot, colors } = scene;
  const { profile: held } = scene.state;
  if (!held) return;
  const start = plot.left + plot.inner.width * PROFILE_LEFT;
  const end = plot.left + plot.inner.width;
  const x = { ...plot.x, start, end, length: end - start };
  const y = plot.price;
  if (held.unpriced) unpriced(scene, x, held.unpriced);
  if (!held.price.length) return;
  const sums = held.price.map((_, row) => SIDES.reduce((sum, side) => sum + held[side][row], 0));
  const scale = x.length / Math.max(1, ...sums);
  const height = Math.max(Math.abs(y.at(0) - y.at(held.height)) * 0.9, 1);
  within(pen, x, y, () => {
    held.price.forEach((price, row) => {
      let left = start;
      pen.globalAlpha = held.inside[row] ? 0.85 : 0.35;
      [colors.buy, colors.sell, colors.neutral].forEach((color, side) => {
        const width = held[SIDES[side]][row] * scale;
        pen.fillStyle = color;
        pen.fillRect(left, y.at(price) - height / 2, width, height);
        left += width;
      });
    });
    pen.globalAlpha = 1;
    if (held.poc !== null) level(pen, start, end, y.at(held.poc), { color: colors.vwap, width: 1.5 });
    for (const edge of [held.low, held.high]) if (edge !== null) level(pen, start, end, y.at(edge), { color: colors.label, dash: [3, 3] });
  });
}

/**
 * What traded in outages has no known price, so no bar: said in words.
 * @param {Scene} scene @param {import("../page.d.ts").Axis} x @param {number} volume
 */
function unpriced({ pen, colors, plot: { price: y } }, x, volume) {
  const narrow = x.length < 86;
  const width = Math.min(narrow ? 46 : 90, x.length);
  pen.globalAlpha = 0.8;
  pen.fillStyle = colors.paper;
  pen.fillRect(x.end - width, y.start, width, 26);
  pen.globalAlpha = 1;
  /** @type {import("../page.d.ts").Ink} */
  const style = { color: colors.gap, align: "right", base: "top" };
  write(pen, "+" + short(volume) + (narrow ? "" : " in outages,"), x.end - 2, y.start + 2, style);
  write(pen, narrow ? "outages" : "price unknown", x.end - 2, y.start + 14, style);
}
