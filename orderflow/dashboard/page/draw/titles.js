/* The panes' titles with the values of the candle under the pointer, else of the newest. */
import { of } from "../base.js";
import { faded } from "../colors.js";
import { write } from "./pen.js";

export function titles({ pen, plot, colors }) {
  const { rows } = of;
  const i = Math.min(of.legendRow === undefined ? Infinity : of.legendRow, rows.x.length - 1);
  if (i < 0) return;
  const { buy, sell, label, text, cvd } = colors;
  const delta = rows.delta[i];
  const share = rows.total_volume[i] ? Math.round((rows.buy_volume[i] / rows.total_volume[i]) * 100) : 0;
  const bought = rows.source[i] === "exchange" ? "" : `  ${share} % bought`;
  title({ pen, plot, colors }, plot.volume, [["Volume ", label], [of.short(rows.total_volume[i]), text], [bought, label]]);
  const tone = delta > 0 ? buy : delta < 0 ? sell : label;
  title({ pen, plot, colors }, plot.delta, [["Delta ", label], [of.short(delta, true), tone], ["  CVD ", cvd], [of.short(rows.cvd[i], true), cvd]]);
}

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
