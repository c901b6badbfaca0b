/* Candles that are not settled: hollow while they form, with their part of every line and bar. */
import { faded, sideColor } from "../colors.js";
import { band, markOf } from "../figure.js";
import { begins } from "../rows.js";
import { bar, polyline, within } from "./pen.js";

/** @typedef {import("../page.d.ts").ChartScene} Scene */

const BANDS = [[1, 0.35], [-1, 0.35], [2, 0.22], [-2, 0.22]];

/** @param {Scene} scene */
export function forming(scene) {
  const { pen, plot, colors, rows, times, view, settled: first } = scene;
  const count = rows.x.length;
  if (first >= count) return;
  const { x, price, volume, delta, cvd } = plot;
  /** @param {number} index */
  const at = (index) => x.at(times[index]);
  const step = Math.abs(x.at(60000) - x.at(0)) * view.minutes;
  const indexes = [...Array(count - first)].map((_, offset) => first + offset);
  /* Lines go on from the last settled candle, but not over a session's edge. */
  const joined = first > 0 && !begins(rows, first) ? [first - 1, ...indexes] : indexes;
  /** @param {(index: number) => number | null} value @param {import("../page.d.ts").Axis} y */
  const points = (value, y) =>
    joined.flatMap((i) => {
      const number = value(i);
      return number === null ? [] : [[at(i), y.at(number)]];
    });
  within(pen, x, price, () => {
    polyline(pen, points((i) => rows.vwap[i], price), colors.vwap);
    for (const [sigmas, alpha] of BANDS) polyline(pen, points((i) => band(rows, i, sigmas), price), faded(colors.vwap, alpha), 1);
    for (const i of indexes) candle(scene, i, at(i), Math.max(step * 0.56, 2));
    for (const i of indexes) mark(scene, i, at(i));
  });
  within(pen, x, volume, () => {
    for (const i of indexes) {
      const classified = rows.total_volume[i] - rows.unclassified_volume[i];
      bar(pen, at(i), step * 0.75, volume.at(0), volume.at(classified), sideColor(colors, rows.delta[i], rows.final[i]));
      if (rows.unclassified_volume[i]) bar(pen, at(i), step * 0.75, volume.at(classified), volume.at(rows.total_volume[i]), colors.neutral);
    }
  });
  within(pen, x, delta, () => {
    for (const i of indexes) bar(pen, at(i), step * 0.75, delta.at(0), delta.at(rows.delta[i]), sideColor(colors, rows.delta[i], rows.final[i]));
  });
  within(pen, x, cvd, () => polyline(pen, points((i) => rows.cvd[i], cvd), colors.cvd));
}

/** @param {Scene} scene @param {number} i @param {number} at @param {number} width */
function candle({ pen, plot: { price: y }, colors, rows }, i, at, width) {
  const [open, high, low, close] = [rows.open[i], rows.high[i], rows.low[i], rows.close[i]];
  if (open === null || high === null || low === null || close === null) return;
  const color = close >= open ? colors.buy : colors.sell;
  const [top, bottom] = [y.at(Math.max(open, close)), y.at(Math.min(open, close))];
  polyline(pen, [[at, y.at(high)], [at, top]], color, 1.2);
  polyline(pen, [[at, bottom], [at, y.at(low)]], color, 1.2);
  pen.fillStyle = rows.final[i] ? color : colors.paper;
  pen.fillRect(at - width / 2, top, width, Math.max(bottom - top, 1));
  pen.strokeRect(at - width / 2, top, width, Math.max(bottom - top, 1));
}

/** A strong imbalance: hollow while the candle still forms. @param {Scene} scene @param {number} i @param {number} at */
function mark({ pen, plot: { price: y }, colors, rows }, i, at) {
  const way = markOf(rows, i);
  const edge = way > 0 ? rows.low[i] : rows.high[i];
  if (!way || edge === null) return;
  const tip = y.at(edge) + 5 * way;
  pen.beginPath();
  pen.moveTo(at, tip);
  pen.lineTo(at - 4.5, tip + 7 * way);
  pen.lineTo(at + 4.5, tip + 7 * way);
  pen.closePath();
  pen.strokeStyle = pen.fillStyle = way > 0 ? colors.buy : colors.sell;
  pen.lineWidth = 1;
  if (i === rows.x.length - 1 && !rows.final[i]) pen.stroke();
  else pen.fill();
}
