/* Levels of the day that traders watch: previous close, high and low, where they are in view. */
import { level, write } from "./pen.js";

/** @param {import("../page.d.ts").Scene} scene */
export function dayLevels({ pen, plot, colors, stats, waiting }) {
  if (!stats || waiting) return;
  const { x, price: y } = plot;
  /** @type {number[]} */
  const placed = [];
  /** @type {[string, number | null][]} */
  const levels = [["prev close", stats.previous_close], ["day high", stats.high], ["day low", stats.low]];
  for (const [name, price] of levels) {
    if (price === null || price === undefined) continue;
    const at = y.at(price);
    if (at < y.start + 6 || at > y.end - 4 || placed.some((one) => Math.abs(one - at) < 11)) continue;
    placed.push(at);
    level(pen, x.start, x.end, at, { color: colors.neutral, dash: [1, 4], alpha: 0.7 });
    const below = name === "day low";
    write(pen, name, x.start + 4, at + (below ? 2 : -1), { color: colors.label, size: 9, base: below ? "top" : "bottom" });
  }
}
