/* The panes' titles with the values of the candle under the pointer, else of the newest. */
import { faded } from "../colors.js";
import { short } from "../format.js";
import { write } from "./pen.js";

/** @typedef {import("../page.d.ts").ChartScene} Scene */

/** @param {Scene} scene */
export function titles(scene) {
  const { plot, colors, rows, pointed } = scene;
  const i = Math.min(pointed === undefined ? Infinity : pointed, rows.x.length - 1);
  if (i < 0) return;
  const { buy, sell, label, text, cvd } = colors;
  const delta = rows.delta[i];
  const share = rows.total_volume[i] ? Math.round((rows.buy_volume[i] / rows.total_volume[i]) * 100) : 0;
  const bought = rows.source[i] === "exchange" ? "" : `  ${share} % bought`;
  title(scene, plot.volume, [["Volume ", label], [short(rows.total_volume[i]), text], [bought, label]]);
  const tone = delta > 0 ? buy : delta < 0 ? sell : label;
  title(scene, plot.delta, [["Delta ", label], [short(delta, true), tone], ["  CVD ", cvd], [short(rows.cvd[i], true), cvd]]);
}

/** @param {Scene} scene @param {import("../page.d.ts").Axis} y @param {[string, string][]} parts words and their colours */
function title({ pen, plot, colors }, y, parts) {
  let left = plot.x.start + 4;
  pen.font = "10px sans-serif";
  const width = parts.reduce((sum, [words]) => sum + pen.measureText(words).width, 0);
  pen.fillStyle = faded(colors.paper, 0.75);
  pen.fillRect(left - 2, y.start + 1, width + 6, 13);
  for (const [words, color] of parts) {
    write(pen, words, left, y.start + 3, { color, base: "top" });
    left += pen.measureText(words).width;
  }
}
