/* What is drawn on the canvases, by a pen that keeps a list. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { dayLevels } from "../../orderflow/dashboard/page/draw/levels.js";
import { footprint, largestOf } from "../../orderflow/dashboard/page/draw/footprint.js";
import { cellStyle } from "../../orderflow/dashboard/page/draw/style.js";
import { titles } from "../../orderflow/dashboard/page/draw/titles.js";

/** @param {number} start @param {number} length @param {number} scale @param {number} origin @returns {any} */
const axis = (start, length, scale, origin) => ({ start, length, end: start + length, range: [-10, 10], at: (/** @type {number} */ value) => origin + value * scale });
const COLORS = { paper: "#000000", text: "text", label: "label", bright: "bright", buy: "#00ff00", sell: "#ff0000", neutral: "#888888", vwap: "vwap", gap: "#aa5500", cvd: "cvd" };

/** @param {any} more @returns {any} */
function scene(more) {
  /** @type {any[]} */
  const drawn = [];
  const pen = new Proxy(/** @type {Record<string, any>} */ ({ measureText: (/** @type {string} */ words) => ({ width: 6 * words.length }) }), {
    get: (held, name) => (name in held ? held[String(name)] : (/** @type {any[]} */ ...given) => void drawn.push([name, ...given, held.fillStyle])),
    set: (held, name, value) => Boolean((held[String(name)] = value)) || true,
  });
  const plot = { x: axis(0, 400, 100, 200), price: axis(0, 300, -10, 1150), sums: axis(310, 80, -10, 400), volume: axis(310, 50, 1, 0), delta: axis(370, 50, 1, 0) };
  return { pen, drawn, plot, colors: COLORS, view: { cells: "pair" }, price: String, ...more };
}

/** What was drawn: [stroke, …, its colour]. @param {any} given @param {string} stroke @returns {any[][]} */
const strokes = (given, stroke) => given.drawn.filter((/** @type {any[]} */ [name]) => name === stroke);
/** @param {any} given */
const words = (given) => strokes(given, "fillText").map(([, text]) => text);

const CELL = /** @type {any} */ ({ x: "2025-12-15 09:15:00", open: 100, high: 101, low: 100, close: 101, gap: false, levels: [[100, 30, 10, 0, 2], [101, 5, 40, 8, 1 | 8]] });
const STATE = /** @type {any} */ ({ step: 1, cells: [CELL] });
const NEAR = { width: 400, height: 400 };

test("a footprint's bars grow from the centre: sold to the left, bought to the right, then what is unclassified", () => {
  const style = cellStyle(STATE, "pair", NEAR, { columns: 2, prices: 20 });
  const given = scene({ state: STATE, style });
  const columns = [{ cell: CELL, column: 0 }];
  assert.deepEqual(largestOf(columns), { level: 53, side: 48 });
  footprint(given, columns, largestOf(columns));
  const bars = strokes(given, "fillRect").filter((one) => one[5].startsWith("rgba")).map(([, left, , width]) => [left, left + width].map((edge) => Math.round(edge * 100) / 100));
  const unit = 42 / 48;
  assert.deepEqual(bars, [[200 - 30 * unit, 200], [200, 200 + 10 * unit], [200 + 10 * unit, 200 + 10 * unit], [195.63, 200], [200, 200 + 40 * unit], [200 + 40 * unit, 242]]);
  assert.deepEqual(strokes(given, "fillText").map(([, text, , , color]) => [text, color]), [["30", "#ff0000"], ["10", "text"], ["5", "text"], ["40", "#00ff00"], ["?8", "#888888"]]);
});

test("seen from far a level is shaded by its delta instead", () => {
  const style = cellStyle(STATE, "pair", NEAR, { columns: 40, prices: 20 });
  assert.deepEqual([style.form, style.near], ["heat", false]);
  const given = scene({ state: STATE, style });
  footprint(given, [{ cell: CELL, column: 0 }], { level: 53, side: 48 });
  assert.deepEqual(strokes(given, "fillRect").map((one) => one[5]), ["#ff0000", "#00ff00"]);
});

test("numbers are full where they have room, then short, then none", () => {
  const large = /** @type {any} */ ({ step: 1, cells: [{ ...CELL, levels: [[100, 123456, 1, 0, 0]] }] });
  const forms = [4, 8, 12].map((columns) => cellStyle(large, "pair", { width: 480, height: 400 }, { columns, prices: 20 }).form);
  assert.deepEqual(forms, ["full", "short", "heat"]);
  assert.equal(cellStyle(large, "delta", { width: 480, height: 400 }, { columns: 4, prices: 20 }).form, "heat");
});

test("the exchange's own minutes have no bought share in the title", () => {
  const rows = { x: ["a", "b"], total_volume: [50, 200000], buy_volume: [0, 150000], delta: [0, 100000], cvd: [0, 100000], source: ["exchange", "stream"] };
  /** @param {number} pointed */
  const said = (pointed) => {
    const given = scene({ rows, pointed });
    titles(given);
    return words(given).join("");
  };
  assert.equal(said(0), "Volume 50Delta 0  CVD 0");
  assert.equal(said(1), "Volume 2.00L  75 % boughtDelta +1.00L  CVD +1.00L");
});

test("levels of the day that lie beside one another are named once", () => {
  const given = scene({ stats: { previous_close: 100, high: 100.5, low: 90 }, waiting: false });
  dayLevels(given);
  assert.deepEqual(words(given), ["prev close", "day low"]);
});
