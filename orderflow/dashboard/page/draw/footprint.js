/* The footprint's columns: each level's volume at the bid and at the ask, with what is special about it, and the candle beside. */
import { faded } from "../colors.js";
import { brief } from "../format.js";
import { polyline, within, write } from "./pen.js";

/**
 * @typedef {import("../page.d.ts").FootprintScene} Scene
 * @typedef {import("../page.d.ts").Level} Level
 * @typedef {import("../page.d.ts").Cell} Cell
 * @typedef {{cell: Cell, column: number}} Column
 */

const MONO = "ui-monospace, 'DejaVu Sans Mono', monospace";
/* Bits of a level's mark, as views/footprint.py sets them. */
export const [BUY, SELL, STACK, CONTROL, UNFINISHED] = [1, 2, 4, 8, 16];
/* The half of a column that a full bar fills. */
const HALF = 0.42;

/**
 * Draw columns.
 * @param {Scene} scene
 * @param {Column[]} columns
 * @param {{level: number, side: number}} largest the scales: the most volume of a level, and on one side of one
 */
export function footprint(scene, columns, largest) {
  const { pen, plot, style, state } = scene;
  const { x, price, sums } = plot;
  const height = Math.abs(price.at(0) - price.at(state.step));
  for (const { cell, column } of columns) {
    if (column < x.range[0] - 1 || column > x.range[1] + 1) continue;
    if (cell.gap) for (const pane of [price, sums]) within(pen, x, pane, () => shade(scene, pane, column));
    within(pen, x, price, () => {
      for (const level of cell.levels) {
        const y = price.at(level[0]);
        if (y < price.start - height || y > price.end + height) continue;
        if (style.form === "heat") heat(scene, level, column, y, height, largest.level);
        else bars(scene, level, column, y, height, largest.side);
        marked(scene, level, column, y, height);
        if (style.form !== "heat") numbers(scene, level, column, y);
      }
      candle(scene, cell, column);
    });
  }
}

/** The most volume that a level of these columns holds, and the most on one side of one. @param {Column[]} columns */
export function largestOf(columns) {
  const largest = { level: 1, side: 1 };
  for (const { cell } of columns)
    for (const [, sell, buy, none] of cell.levels) {
      largest.level = Math.max(largest.level, sell + buy + none);
      largest.side = Math.max(largest.side, sell, buy + none);
    }
  return largest;
}

/** @param {Scene} scene @param {import("../page.d.ts").Axis} pane @param {number} column */
function shade({ pen, plot: { x }, colors }, pane, column) {
  pen.fillStyle = faded(colors.gap, 0.18);
  pen.fillRect(x.at(column - 0.5), pane.start, x.at(0.5) - x.at(-0.5), pane.length);
}

/**
 * From the centre what was sold to the left, what was bought and what is unclassified to the right.
 * @param {Scene} scene @param {Level} level @param {number} column @param {number} y @param {number} height @param {number} most
 */
function bars({ pen, plot: { x }, colors }, [, sell, buy, none], column, y, height, most) {
  const unit = (x.at(HALF) - x.at(0)) / Math.max(most, sell, buy + none);
  let left = x.at(column) - sell * unit;
  /** @type {[number, string][]} */
  const parts = [[sell, colors.sell], [buy, colors.buy], [none, colors.neutral]];
  for (const [volume, color] of parts) {
    pen.fillStyle = faded(color, 0.38);
    pen.fillRect(left, y - height * 0.46, volume * unit, height * 0.92);
    left += volume * unit;
  }
}

/**
 * One number a level, its delta or its volume, on the colour of the side that led, the stronger the nearer to the largest.
 * @param {Scene} scene @param {Level} level @param {number} column @param {number} y @param {number} height @param {number} most
 */
function heat({ pen, plot: { x }, colors, style, view }, [, sell, buy, none], column, y, height, most) {
  const delta = buy - sell;
  const tall = Math.max(height - 0.5, 1);
  pen.fillStyle = delta === 0 || none > buy + sell ? colors.neutral : delta > 0 ? colors.buy : colors.sell;
  pen.globalAlpha = 0.1 + 0.65 * Math.sqrt((sell + buy + none) / most);
  pen.fillRect(x.at(column - HALF), y - tall / 2, x.at(HALF) - x.at(-HALF), tall);
  pen.globalAlpha = 1;
  const size = Math.min(Math.floor(Math.min(style.row * 0.8, style.column / 3.2)), 11);
  if (size < 7) return;
  const signed = delta > 0 ? "+" + brief(delta) : delta < 0 ? "−" + brief(-delta) : "0";
  write(pen, view.cells === "volume" ? brief(sell + buy + none) : signed, x.at(column), y, { color: colors.bright, size, face: MONO, align: "center" });
}

/** @param {Scene} scene @param {Level} level @param {number} column @param {number} y @param {number} height */
function marked({ pen, plot: { x }, colors, style }, [, , , , mark], column, y, height) {
  if (mark & CONTROL) {
    pen.strokeStyle = colors.vwap;
    pen.lineWidth = 1.2;
    pen.strokeRect(x.at(column - 0.44), y - height * 0.46, x.at(HALF) - x.at(-0.44), height * 0.92);
  }
  if (mark & STACK) {
    pen.fillStyle = mark & BUY ? colors.buy : colors.sell;
    pen.fillRect(x.at(column + 0.44) - 2, y - height / 2, 4, height);
  }
  if (mark & UNFINISHED && style.near) write(pen, "◂", x.at(column + 0.49), y, { color: colors.vwap, size: style.size, face: MONO, align: "center" });
}

/**
 * Both sides' volumes, bold where imbalanced, after the bought one what is unclassified; or their sum.
 * @param {Scene} scene @param {Level} level @param {number} column @param {number} y
 */
function numbers({ pen, plot: { x }, colors, style, view }, [, sell, buy, none, mark], column, y) {
  const plain = { color: colors.text, size: style.size, face: MONO };
  if (view.cells === "volume") {
    write(pen, style.number(sell + buy + none), x.at(column), y, { ...plain, align: "center" });
    return;
  }
  /** @param {number} bit @param {string} color */
  const strong = (bit, color) => (mark & bit ? { ...plain, color, bold: true } : plain);
  const right = x.at(column + 0.03);
  write(pen, style.number(sell), x.at(column - 0.03), y, { ...strong(SELL, colors.sell), align: "right" });
  write(pen, style.number(buy), right, y, strong(BUY, colors.buy));
  if (style.unknown(buy, none)) write(pen, "?" + none, right + pen.measureText(style.number(buy) + " ").width, y, { ...plain, color: colors.neutral });
}

/** The candle as a thin body and wick at the column's left edge. @param {Scene} scene @param {Cell} cell @param {number} column */
function candle({ pen, plot: { x, price }, colors }, { open, high, low, close }, column) {
  if (open === null || high === null || low === null || close === null) return;
  const at = x.at(column - 0.47);
  const color = close >= open ? colors.buy : colors.sell;
  polyline(pen, [[at, price.at(low)], [at, price.at(high)]], color, 1.5);
  polyline(pen, [[at, price.at(open)], [at, price.at(close)]], color, 4);
}
