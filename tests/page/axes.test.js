import assert from "node:assert/strict";
import { test } from "node:test";

import { labelled, timeTicks } from "../../orderflow/dashboard/page/axes.js";

/** @param {number} from minute of the day @param {number} minutes @param {number} count */
const candles = (from, minutes, count) =>
  [...Array(count)].map((_, index) => {
    const at = from + index * minutes;
    return `2025-12-15 ${String(Math.floor(at / 60)).padStart(2, "0")}:${String(at % 60).padStart(2, "0")}:00`;
  });
/** @param {string[]} labels @param {number} minutes @param {number} step */
const shown = (labels, minutes, step) => labels.filter(labelled(labels[labels.length - 1] || "", minutes, step)).map((label) => label.slice(11, 16));

test("commodities' long candles, from nine o'clock on, are labelled at full hours", () => {
  assert.deepEqual(shown(candles(540, 60, 4), 60, 60), ["09:00", "10:00", "11:00", "12:00"]);
  assert.deepEqual(shown(candles(540, 30, 4), 30, 60), ["09:00", "10:00"]);
});

test("equities' long candles are labelled from a quarter past nine on", () => {
  assert.deepEqual(shown(candles(555, 60, 3), 60, 60), ["09:15", "10:15", "11:15"]);
  assert.deepEqual(shown(candles(555, 30, 4), 30, 60), ["09:15", "10:15"]);
});

test("short candles are labelled at round times", () => {
  assert.deepEqual(shown(candles(555, 5, 8), 5, 15), ["09:15", "09:30", "09:45"]);
  assert.deepEqual(shown(candles(555, 1, 60), 1, 30), ["09:30", "10:00"]);
});

test("the candle of a closing auction does not move the labels of a session's long candles", () => {
  const labels = [...candles(555, 60, 6), "2025-12-15 15:31:00"];
  const places = labels.map((label) => Date.parse(`${label.replace(" ", "T")}Z`));
  const range = /** @type {[number, number]} */ ([places[0], places[6]]);
  const [at, texts] = timeTicks(labels, places, range, { minutes: 60, unit: 3_600_000, pixels: 800, beyond: false });
  assert.deepEqual(texts, ["09:15", "10:15", "11:15", "12:15", "13:15", "14:15"]);
  assert.deepEqual(at, places.slice(0, 6));
});
