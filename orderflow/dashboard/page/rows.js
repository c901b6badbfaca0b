/* What is held of the view: the candles' columns, the footprint's cells, profile and outages. Messages go in, the next state comes
   out; nothing here knows the server, the page or Plotly. */
import { toMs } from "./format.js";

/**
 * @typedef {import("./page.d.ts").Facts} Facts
 * @typedef {import("./page.d.ts").Cell} Cell
 * @typedef {import("./page.d.ts").Profile} Profile
 * @typedef {import("./page.d.ts").Shown} Shown
 * @typedef {import("./page.d.ts").Update} Update
 */

/** @returns {Shown} */
export const nothing = () => ({ mode: "chart", rows: null, cells: [], step: 0.05, ticks: 1, anchor: "", gaps: [], earlierGaps: [], profile: null });

/** The index of the first of ascending values that is not below `value`. @template T @param {T[]} values @param {T} value */
export function lowerBound(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @param {Facts} rows @param {number} count @param {Facts} facts @returns {Facts} the first `count` of the rows, then the facts */
function joined(rows, count, facts) {
  const names = /** @type {(keyof Facts)[]} */ (Object.keys(facts));
  return /** @type {Facts} */ (Object.fromEntries(names.map((name) => [name, [...rows[name].slice(0, count), ...facts[name]]])));
}

/**
 * Take what the server says of the view; return what is held then. A `whole` message of another view replaces everything; of the
 * same one (after a reconnect, at each poll) the earlier candles stay where they join what came and cannot have changed since.
 * @param {Shown} state
 * @param {Update} message
 * @param {boolean} same whether it is of the view that is held
 * @returns {Shown}
 */
export function taken(state, message, same) {
  const { type, mode, facts, from, cells, step = state.step, ticks = state.ticks, profile, gaps } = message;
  let next = state;
  if (type === "whole" && facts && mode) {
    const keeps = same && state.mode === mode && joins(state.rows, facts);
    next = { ...(keeps ? state : nothing()), mode };
    next.rows = keeps && state.rows ? joined(state.rows, lowerBound(state.rows.x, facts.x[0]), facts) : facts;
  } else if (state.rows && facts && from) {
    next = { ...state, rows: joined(state.rows, lowerBound(state.rows.x, from), facts) };
  }
  if (cells) next = withCells(next, cells, step, ticks);
  if (profile) next = { ...next, profile };
  if (gaps) next = { ...next, gaps };
  return next;
}

/** @param {Facts | null} rows @param {Facts} facts */
function joins(rows, facts) {
  if (!rows || !rows.x.length || !facts.x.length) return false;
  const at = lowerBound(rows.x, facts.x[0]);
  return rows.x[at] === facts.x[0] && rows.final.slice(0, at).every(Boolean);
}

/**
 * Cells of another height of rows make those that are held useless.
 * @param {Shown} state @param {Cell[]} cells @param {number} step @param {number} ticks @returns {Shown}
 */
function withCells(state, cells, step, ticks) {
  const held = step !== state.step || ticks !== state.ticks ? [] : state.cells;
  const kept = cells.length ? held.slice(0, cellAt(held, cells[0].x)) : held;
  const all = [...kept, ...cells];
  const anchored = state.rows && state.anchor && state.rows.x[lowerBound(state.rows.x, state.anchor)] === state.anchor;
  return { ...state, cells: all, step, ticks, anchor: anchored ? state.anchor : all.length ? all[0].x : "" };
}

/** @param {Cell[]} cells @param {string} label */
const cellAt = (cells, label) => {
  const index = cells.findIndex((cell) => cell.x >= label);
  return index < 0 ? cells.length : index;
};

/**
 * Put earlier candles, as /api/older gives them, before those that are held.
 * @param {Shown} state
 * @param {{facts: Facts, cells?: Cell[], gaps?: [string, string][]}} answer
 * @returns {Shown}
 */
export function withEarlier(state, { facts, cells = [], gaps = [] }) {
  const { rows } = state;
  if (!rows || !rows.x.length) return state;
  const count = lowerBound(facts.x, rows.x[0]);
  const first = state.cells.length ? state.cells[0].x : "";
  return {
    ...state,
    rows: count ? joined(facts, count, rows) : rows,
    cells: [...cells.filter((cell) => cell.x < first), ...state.cells],
    earlierGaps: [...gaps, ...state.earlierGaps],
  };
}

/** Whether a row is the first of its session, after another one. @param {Facts} rows @param {number} index */
export const begins = (rows, index) => index > 0 && rows.x[index].slice(0, 10) !== rows.x[index - 1].slice(0, 10);

/** How many of the rows are settled: all before the first that still forms. @param {Facts} rows */
export function settledCount(rows) {
  const open = rows.final.indexOf(false);
  return open < 0 ? rows.final.length : open;
}

/**
 * Where candles stand on the time axis, in milliseconds: the newest session's at their starts, each earlier one beside the next,
 * without the night between them.
 * @param {string[]} labels ascending
 * @param {number} step of a candle in milliseconds
 */
export function places(labels, step) {
  /** @type {number[]} */
  const positions = Array(labels.length);
  let shift = 0;
  for (let index = labels.length - 1; index >= 0; index -= 1) {
    const at = toMs(labels[index]);
    if (index < labels.length - 1 && labels[index].slice(0, 10) !== labels[index + 1].slice(0, 10)) shift = positions[index + 1] - 2 * step - at;
    positions[index] = at + shift;
  }
  return positions;
}
