/* Prices that will sound an alert. */
import { level, within, write } from "./pen.js";

/** @param {import("../page.d.ts").Scene} scene */
export function alertLines({ pen, plot, colors, waiting, view, rules, price }) {
  /* The axes belong to another instrument while one loads; a replay's prices sound nothing. */
  if (waiting || view.replay) return;
  const { x, price: y } = plot;
  within(pen, x, y, () => {
    for (const rule of rules) {
      const at = y.at(rule.value);
      level(pen, x.start, x.end, at, { color: colors.text, dash: [7, 4], alpha: 0.8 });
      const words = `alert ${rule.kind === "above" ? "≥" : "≤"} ${price(rule.value)}`;
      write(pen, words, x.end - 4, at - 1, { color: colors.text, size: 9, align: "right", base: "bottom" });
    }
  });
}
