/* Candles that are not settled: hollow while they form, with their part of every line and bar. */
import { of } from "../base.js";
import { faded, sideColor } from "../colors.js";
import { band, markOf } from "../figure.js";
import { bar, polyline, within } from "./pen.js";

const BANDS = [[1, 0.35], [-1, 0.35], [2, 0.22], [-2, 0.22]];

export function forming({ pen, plot, colors }) {
  const { rows } = of;
  const first = of.chart.settled;
  const count = rows.x.length;
  if (first >= count) return;
  const { x, price, volume, delta, cvd } = plot;
  const times = of.times();
  const at = (index) => x.at(times[index]);
  const step = Math.abs(x.at(60000) - x.at(0)) * of.view.minutes;
  const indexes = [...Array(count - first)].map((_, offset) => first + offset);
  /* Lines go on from the last settled candle, but not over a session's edge. */
  const joined = first > 0 && !of.begins(first) ? [first - 1, ...indexes] : indexes;
  const points = (value, y) => joined.filter((i) => value(i) !== null).map((i) => [at(i), y.at(value(i))]);
  within(pen, x, price, () => {
    polyline(pen, points((i) => rows.vwap[i], price), colors.vwap);
    for (const [sigmas, alpha] of BANDS) polyline(pen, points((i) => band(rows, i, sigmas), price), faded(colors.vwap, alpha), 1);
    for (const i of indexes) if (rows.close[i] !== null) candle(pen, i, at(i), Math.max(step * 0.56, 2), price, colors);
    for (const i of indexes) mark(pen, i, at(i), price, colors);
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

function candle(pen, i, at, width, y, colors) {
  const { rows } = of;
  const color = rows.close[i] >= rows.open[i] ? colors.buy : colors.sell;
  const [top, bottom] = [y.at(Math.max(rows.open[i], rows.close[i])), y.at(Math.min(rows.open[i], rows.close[i]))];
  polyline(pen, [[at, y.at(rows.high[i])], [at, top]], color, 1.2);
  polyline(pen, [[at, bottom], [at, y.at(rows.low[i])]], color, 1.2);
  pen.fillStyle = rows.final[i] ? color : colors.paper;
  pen.fillRect(at - width / 2, top, width, Math.max(bottom - top, 1));
  pen.strokeRect(at - width / 2, top, width, Math.max(bottom - top, 1));
}

/* A strong imbalance: hollow while the candle still forms. */
function mark(pen, i, at, y, colors) {
  const { rows } = of;
  const way = markOf(rows, i);
  if (!way) return;
  const tip = y.at(way > 0 ? rows.low[i] : rows.high[i]) + 5 * way;
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
