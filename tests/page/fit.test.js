/* Which part of the axes is shown. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { chartRanges, footprintRanges, stretched, timeRange } from "../../orderflow/dashboard/page/fit.js";

const STEP = 60000;
const YOUNG = { chosen: null, buffer: 100, step: STEP, opening: 7 * STEP };
/** @param {number} count */
const minutes = (count) => [...Array(count)].map((_, index) => index * STEP);
/** Candles of these lows and highs. @param {[number | null, number | null][]} prices @param {object} more @returns {any} */
const rows = (prices, more = {}) => {
  const zeros = prices.map(() => 0);
  return { x: prices.map((_, index) => `row ${index}`), low: prices.map(([low]) => low), high: prices.map(([, high]) => high), total_volume: zeros, delta: zeros, cvd: zeros, ...more };
};

test("a young day has room for 24 candles from its first one on", () => {
  assert.deepEqual(timeRange(minutes(3), YOUNG), [-0.6 * STEP, 25.4 * STEP]);
  assert.deepEqual(timeRange([], YOUNG), [6.4 * STEP, 32.4 * STEP]);
});

test("the newest candles are shown, as many as the view says or the viewer has zoomed to", () => {
  assert.deepEqual(timeRange(minutes(200), YOUNG), [(199 - 99.6) * STEP, 202 * STEP]);
  assert.deepEqual(timeRange(minutes(200), { ...YOUNG, chosen: 12.4 }), [187 * STEP, 201 * STEP]);
});

test("prices, volumes, deltas and CVD fit the candles in view, with room around them", () => {
  const two = rows([[90, 95], [100, 110], [104, 120]], { total_volume: [900, 50, 100], delta: [-99, 20, -10], cvd: [-99, 40, 30] });
  const { x, price, volume, delta, cvd } = chartRanges(two, minutes(3), [STEP, 2 * STEP], STEP, null);
  assert.deepEqual([x, price], [[STEP, 2 * STEP], [100 - 1.4000000000000001, 120 + 1.4000000000000001]]);
  assert.deepEqual([volume, cvd], [[0, 112.00000000000001], [28.8, 41.2]]);
  assert.deepEqual(delta, [-23, 23]);
});

test("ranges stay as they are while they hold what is in view, and move when something would leave them", () => {
  const before = chartRanges(rows([[100, 110]]), [0], [0, STEP], STEP, null);
  assert.equal(chartRanges(rows([[99.5, 110.5]]), [0], [0, STEP], STEP, before), before);
  assert.deepEqual(chartRanges(rows([[99, 110]]), [0], [0, STEP], STEP, before).price, [99 - 0.77, 110 + 0.77]);
});

test("a view without any priced candle has a price axis all the same", () => {
  const ranges = chartRanges(rows([[null, null]]), [0], [0, STEP], STEP, null);
  assert.deepEqual([ranges.price, ranges.volume], [[-0.07, 1.07], [0, 1.12]]);
  assert.deepEqual(chartRanges(rows([]), [], [0, STEP], STEP, null), { x: [0, STEP], price: [0, 1] });
});

/* Rows of one rupee in a pane of 400 pixels: 40 rupees are legible. */
const SHOWN = { first: 0, end: 3, columns: 3, usual: 3, step: 1, height: 400 };

test("the footprint shows the newest candle, and of the older ones' prices what stays legible", () => {
  assert.deepEqual(footprintRanges(rows([[150, 160], [100, 115], [110, 120]]), SHOWN, null), { x: [-0.55, 2.65], price: [100 - 3, 120 + 3] });
  assert.deepEqual(footprintRanges(rows([[150, 160], [150, 160], [110, 120]]), SHOWN, null).price, [110 - 8, 120 + 8]);
});

test("more columns than usual make lower rows legible", () => {
  const far = footprintRanges(rows([[150, 160], [110, 120], [110, 120]]), { ...SHOWN, usual: 2 }, null);
  assert.deepEqual(far.price, [110 - 2, 160 + 2]);
});

test("a newest candle without a price does not draw the footprint to price zero", () => {
  assert.deepEqual(footprintRanges(rows([[100, 115], [110, 120], [null, null]]), SHOWN, null).price, [97, 123]);
});

test("a footprint stays as it is while it holds the newest candle", () => {
  const before = footprintRanges(rows([[110, 120]]), { ...SHOWN, end: 1 }, null);
  assert.equal(footprintRanges(rows([[110, 125]]), { ...SHOWN, end: 1 }, before), before);
  assert.notEqual(footprintRanges(rows([[110, 129]]), { ...SHOWN, end: 1 }, before), before);
});

test("a range is drawn out around its middle", () => assert.deepEqual(stretched([10, 20], 2), [5, 25]));
