/* CVD's own axis, right of the candles, where the pane of the prices has the profile; delta's is at the edge. */
import { short } from "../format.js";
import { level, write } from "./pen.js";

const TAG = 26;
/* Pixels right of the candles that belong to the axes at the edge. */
const EDGE = 56;

/** @typedef {import("../page.d.ts").ChartScene} Scene */

/** @param {Scene} scene */
export function cvdAxis(scene) {
  const { pen, plot, colors, rows, sumTicks } = scene;
  const y = plot.cvd;
  const left = plot.x.end;
  const last = rows.cvd[rows.cvd.length - 1];
  const at = last === undefined ? -1 : y.at(last);
  const tagged = at >= y.start && at <= y.end;
  if (tagged) tag(scene, at, last);
  pen.save();
  pen.translate(left + 0.5, 0);
  pen.rotate(Math.PI / 2);
  level(pen, y.start, y.end, 0, { color: colors.cvd, alpha: 0.5 });
  pen.restore();
  const [values, texts] = sumTicks;
  values.forEach((value, index) => {
    const place = y.at(value);
    if (place < y.start + 6 || place > y.end - 6 || (tagged && Math.abs(place - at) < 20)) return;
    pen.fillStyle = colors.cvd;
    pen.fillRect(left, place, 3, 1);
    write(pen, texts[index], left + 6, place, { color: colors.cvd });
  });
}

/** The last CVD, like the last price on the axis of the prices. @param {Scene} scene @param {number} at @param {number} sum */
function tag({ pen, plot, colors }, at, sum) {
  const y = plot.cvd;
  const left = plot.x.end;
  const width = Math.min(52, plot.width - EDGE - left);
  const top = Math.min(Math.max(at - TAG / 2, y.start), y.end - TAG);
  pen.fillStyle = colors.cvd;
  pen.fillRect(left, top, width, TAG);
  /** @type {import("../page.d.ts").Ink} */
  const on = { color: colors.paper, align: "center" };
  write(pen, "CVD", left + width / 2, top + 7, { ...on, size: 9 });
  write(pen, short(sum, true), left + width / 2, top + 18, { ...on, bold: true });
}
