/* Prices that will sound an alert. */
import { of } from "../base.js";
import { level, within, write } from "./pen.js";

export function alertLines({ pen, plot, colors }) {
  /* The axes belong to another instrument while one loads; a replay's prices sound nothing. */
  if (of.waiting || of.view.replay) return;
  const { x, price: y } = plot;
  within(pen, x, y, () => {
    for (const rule of of.priceRules()) {
      const at = y.at(rule.value);
      level(pen, x.start, x.end, at, { color: colors.text, dash: [7, 4], alpha: 0.8 });
      const words = `alert ${rule.kind === "above" ? "≥" : "≤"} ${of.price(rule.value)}`;
      write(pen, words, x.end - 4, at - 1, { color: colors.text, size: 9, align: "right", base: "bottom" });
    }
  });
}
