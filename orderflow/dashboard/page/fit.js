/* Which part of the axes is shown: the candles in view, with room around them. It moves only when something would leave it.
   Pure. */
import { lowerBound } from "./rows.js";

/**
 * @typedef {import("./page.d.ts").Facts} Facts
 * @typedef {import("./page.d.ts").Range} Range
 * @typedef {{x: Range, price: Range, volume?: Range, delta?: Range, cvd?: Range}} Ranges by axis; a footprint has the first two
 */

/** As many candles as a young day is given room for. */
const YOUNG = 24;
/* Heights in pixels of the footprint's rows: as it opens, and the least when the viewer asks for more columns. */
const [USUAL_ROW, LEAST_ROW] = [10, 4.5];
/** What an axis shows that nothing is known of. @type {Range} */
const UNKNOWN = [0, 1];

/** @param {Range | undefined} range @param {number} low @param {number} high */
const inside = (range, low, high) => range !== undefined && low >= range[0] && high <= range[1];

/** @param {(number | null)[]} values */
const known = (values) => values.filter((value) => value !== null);

/** A range drawn out around its middle. @param {Range} range @param {number} by @returns {Range} */
export const stretched = ([low, high], by) => [(low + high - (high - low) * by) / 2, (low + high + (high - low) * by) / 2];

/**
 * The time in view: up to the newest candle, or from the session's start while candles are few.
 * @param {number[]} times of the candles
 * @param {{chosen: number | null, buffer: number, step: number, opening: number}} shown how many candles the viewer has zoomed to, else
 *   at most how many; a candle's length; and where the first one will stand
 * @returns {Range}
 */
export function timeRange(times, { chosen, buffer, step, opening }) {
  const count = times.length;
  const first = count ? times[0] : opening;
  if (count < YOUNG && !chosen) return [first - 0.6 * step, first + (YOUNG + 1.4) * step];
  const shown = chosen || Math.max(Math.min(count, buffer), YOUNG);
  const last = count ? times[count - 1] : opening;
  return [last - (shown - 0.4) * step, last + step * Math.max(2, shown * 0.03)];
}

/**
 * Prices, volumes, deltas and CVD that fit the candles in view.
 * @param {Facts} rows
 * @param {number[]} times of the candles
 * @param {Range} time in view
 * @param {number} step a candle's length
 * @param {Ranges | null} held what is shown, which stays where it holds all of them
 * @returns {Ranges}
 */
export function chartRanges(rows, times, time, step, held) {
  if (!times.length) return { x: time, price: UNKNOWN };
  let [begin, end] = [lowerBound(times, time[0] - step / 2), lowerBound(times, time[1] + step / 2)];
  if (begin >= end) [begin, end] = begin > 0 ? [begin - 1, begin] : [0, 1];
  const lows = known(rows.low.slice(begin, end));
  const [low, high] = lows.length ? [Math.min(...lows), Math.max(...known(rows.high.slice(begin, end)))] : UNKNOWN;
  const top = Math.max(1, ...rows.total_volume.slice(begin, end));
  const deltas = rows.delta.slice(begin, end);
  const [least, most] = [Math.min(0, ...deltas), Math.max(0, ...deltas)];
  const sums = rows.cvd.slice(begin, end);
  const [lowest, highest] = [Math.min(...sums), Math.max(...sums)];
  if (held && inside(held.price, low, high) && inside(held.volume, 0, top) && inside(held.delta, least, most) && inside(held.cvd, lowest, highest)) return held;
  const pad = Math.max((high - low) * 0.07, high * 0.0003);
  const reach = Math.max(1, -least, most) * 1.15;
  const slack = Math.max(1, (highest - lowest) * 0.12);
  return { x: time, price: [low - pad, high + pad], volume: [0, top * 1.12], delta: [least < 0 ? -reach : 0, reach], cvd: [lowest - slack, highest + slack] };
}

/**
 * The newest columns, and of the prices as many as stay legible: the newest candle always, older ones while they fit.
 * @param {Facts} rows
 * @param {{first: number, end: number, columns: number, usual: number, step: number, height: number}} shown the columns that have cells,
 *   how many are asked for and are usual, the height of a row in rupees, and of the prices' pane in pixels
 * @param {Ranges | null} held what is shown, which stays where it holds the newest candle
 * @returns {Ranges}
 */
export function footprintRanges(rows, { first, end, columns, usual, step, height }, held) {
  if (!rows.x.length) return { x: [-0.6, 11.6], price: UNKNOWN };
  const from = rows.x.length - Math.min(columns, end - first);
  /** @type {Range[]} */
  const candles = [];
  for (let row = rows.x.length - 1; row >= from; row -= 1) {
    const [low, high] = [rows.low[row], rows.high[row]];
    if (low !== null && high !== null) candles.push([low, high]);
  }
  const newest = candles[0] || UNKNOWN;
  if (held && inside(held.price, newest[0], newest[1])) return held;
  const most = (step * height) / (columns > usual ? LEAST_ROW : USUAL_ROW);
  let [low, high] = newest;
  for (const [bottom, top] of candles) {
    const wider = [Math.min(low, bottom), Math.max(high, top)];
    if (wider[1] - wider[0] > most) break;
    [low, high] = wider;
  }
  const pad = step * 2 + Math.max(0, (most * 0.55 - (high - low)) / 2);
  return { x: [Math.max(end - columns, first) - 0.55, Math.max(end, columns + first) - 0.35], price: [low - pad, high + pad] };
}
