/* The chart's figure: rows in, traces out. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { faded } from "../../orderflow/dashboard/page/colors.js";
import { candleTraces, chartLayout, footprintLayout, gapShapes } from "../../orderflow/dashboard/page/figure.js";
import { places } from "../../orderflow/dashboard/page/rows.js";

/** @type {any} */
const COLORS = { paper: "#000001", text: "#000002", bright: "#000003", label: "#000004", grid: "#000005", zero: "#000006", rule: "#000007", accent: "#000008", buy: "#00ff00", sell: "#ff0000", neutral: "#888888", vwap: "#ffff00", cvd: "#ff00ff", confirmed: "#0000ff", gap: "#aa5500" };
/** @type {any} */
const ROWS = {
  x: ["2025-12-12 15:29:00", "2025-12-15 09:15:00", "2025-12-15 09:16:00", "2025-12-15 09:17:00"],
  open: [99, 100, 100.5, 101], high: [99.5, 101, 101, 101], low: [98, 99, 100, 100], close: [99, 100.5, 101, 100],
  total_volume: [10, 45, 13, 8], unclassified_volume: [0, 5, 3, 8], delta: [2, 35, -5, 0], cvd: [2, 35, 30, 30],
  vwap: [99, 100, 100.2, null], sigma: [0.1, 0.5, null, null], imbalance: [0.2, 0.8, -0.6, null],
  gap: [false, false, true, false], final: [true, true, true, true], exchange_bar: [true, true, true, false],
};
const TIMES = places(ROWS.x, 60000);
/** @param {[number, number]} part @returns {Record<string, any>} */
const traces = (part) => Object.fromEntries(candleTraces(ROWS, TIMES, part, 6, COLORS).map((trace) => [trace.uid, trace]));

test("candles, volumes and deltas of the part are drawn where their rows stand", () => {
  const { candles, volume, unclassified, delta } = traces([1, 3]);
  assert.deepEqual([candles.x, candles.open, candles.close], [TIMES.slice(1, 3), [100, 100.5], [100.5, 101]]);
  assert.deepEqual([volume.y, unclassified.y, delta.y], [[40, 10], [5, 3], [35, -5]]);
  assert.deepEqual(volume.marker.color, [COLORS.buy, COLORS.sell]);
});

test("VWAP and its bands stand so many deviations apart, and lines break between sessions", () => {
  const { vwap, upper2, lower1, cvd } = traces([0, 3]);
  assert.deepEqual(vwap.y, [99, null, 100, 100.2]);
  assert.deepEqual(upper2.y, [99.2, null, 101, 100.2]);
  assert.deepEqual(lower1.y, [98.9, null, 99.5, 100.2]);
  assert.deepEqual(cvd.y, [2, null, 35, 30]);
  assert.equal(upper2.fill, "none");
  assert.equal(traces([1, 3]).upper2.fill, "tonexty");
});

test("strong imbalances are marked below and above their candles, the selling one turned over", () => {
  const { buy_marks: buy, sell_marks: sell } = traces([0, 4]);
  assert.deepEqual([buy.y, sell.y], [[null, 99, null, null], [null, null, 101, null]]);
  assert.deepEqual([buy.marker.angle, sell.marker.angle, sell.marker.size], [undefined, 180, 6]);
});

test("the strip says whether a candle is the exchange's, ours, or spans an outage", () => {
  assert.deepEqual(traces([0, 4]).quality.marker.color, [COLORS.confirmed, COLORS.confirmed, COLORS.gap, COLORS.neutral]);
});

test("CVD has an axis of its own, and the footprint two panes", () => {
  const axes = { x: /** @type {[number, number]} */ ([0, 1]), ranges: { cvd: /** @type {[number, number]} */ ([5, 9]) }, ticks: {} };
  const { yaxis5, yaxis3 } = chartLayout(axes, 0.25, [], COLORS);
  assert.deepEqual([yaxis5.overlaying, yaxis5.range, yaxis3.side], ["y3", [5, 9], "right"]);
  assert.deepEqual(footprintLayout(axes, COLORS).yaxis2.ticktext, ["Volume", "Delta", "CVD", "Unclass."]);
});

test("outages are shaded over all panes", () => {
  const [shape] = gapShapes([[5, 9]], COLORS);
  assert.deepEqual([shape.x0, shape.x1, shape.yref, shape.fillcolor], [5, 9, "paper", COLORS.gap]);
});

test("a colour can be faded", () => assert.equal(faded("#26a69a", 0.38), "rgba(38,166,154,0.38)"));
