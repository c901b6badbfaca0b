/* The last price: a line through the prices. */
import { level, within } from "./pen.js";

/** @param {import("../page.d.ts").Scene} scene */
export function lastPrice({ pen, plot, colors, rows }) {
  const last = rows.x.length - 1;
  const [open, close] = [rows.open[last], rows.close[last]];
  if (last < 0 || open === null || close === null) return;
  const { x, price } = plot;
  const color = close >= open ? colors.buy : colors.sell;
  within(pen, x, price, () => level(pen, x.start, x.end, price.at(close), { color, dash: [2, 3], alpha: 0.55 }));
}
