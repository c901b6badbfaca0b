/* How the footprint's cells are drawn at a distance: both sides' numbers over their bars, short numbers, or levels shaded by delta. */
import { brief } from "../format.js";

/** @typedef {import("../page.d.ts").CellStyle} CellStyle */

/** What a letter of the cells' numbers takes of its height. */
const LETTER = 0.6;
const LEGIBLE = 7.5;

/**
 * Return the style of the cells: "full" or "short" numbers over bars of the parts, or "heat": one number on its shade, where two
 * have no room or the delta was asked for. `near`: numbers that were asked for are legible.
 * @param {import("./../page.d.ts").Shown} state
 * @param {"pair" | "delta" | "volume"} cells what they say
 * @param {{width: number, height: number}} pane in pixels
 * @param {{columns: number, prices: number}} view how many columns, and rupees, it shows
 * @returns {CellStyle}
 */
export function cellStyle(state, cells, pane, view) {
  const column = pane.width / view.columns;
  const row = (pane.height * state.step) / view.prices;
  const total = cells === "volume";
  const room = total ? column * 0.84 - 4 : column * 0.48 - 2;
  let most = 1;
  for (const { levels } of state.cells) for (const [, sell, buy, none] of levels) most = Math.max(most, total ? sell + buy + none : Math.max(sell, buy));
  const widest = Math.max(String(most).length, total ? 1 : 2);
  const tall = Math.min(row * 0.78, 12);
  /** @param {number} letters */
  const size = (letters) => Math.min(tall, room / letters / LETTER);
  const legible = row < LEGIBLE ? "heat" : size(widest) >= LEGIBLE ? "full" : size(4) >= LEGIBLE ? "short" : "heat";
  const form = cells === "delta" ? "heat" : legible;
  const pixels = Math.floor(size(form === "short" ? 4 : widest) * 2) / 2;
  const letters = Math.floor((column * 0.5 - 6) / pixels / LETTER);
  /** @param {number} count */
  const number = (count) => (form === "full" ? String(count) : brief(count));
  return {
    form, near: legible !== "heat", column, row, size: pixels, every: Math.max(1, Math.ceil(50 / column)), number,
    /* Whether the unclassified volume has room beside the bought one. */
    unknown: (buy, none) => none > 0 && number(buy).length + String(none).length + 2 <= letters,
  };
}
