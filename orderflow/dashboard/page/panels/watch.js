/* The watch list. */
import { of } from "../base.js";
import { body, choice } from "./panel.js";

/**
 * @typedef {import("../page.d.ts").WatchLine} WatchLine
 * @typedef {import("../page.d.ts").WatchRow} WatchRow
 */

const { el, text, klass } = of;
const SVG = "http://www.w3.org/2000/svg";
/** @type {[string, string][]} */
const ORDERS = [["given", "as given"], ["symbol", "symbol"], ["change", "change"], ["volume", "volume"], ["delta", "delta"]];
const SORT_MS = 2000;
/** @type {Map<string, WatchLine>} */
const watch = new Map();
/** @type {HTMLSelectElement | null} */
let order = null;
/** Instruments whose last update is long ago, while others are updated. @type {Set<string>} */
let stale = new Set();

/* An instrument's last price, of the running day; null when there is none. */
of.lastPrice = (key) => watch.get(key || "")?.row.last ?? null;

/** @param {"change_percent" | "volume" | "delta"} name @returns {(one: WatchRow, other: WatchRow) => number} */
const greatest = (name) => (one, other) => (other[name] ?? -Infinity) - (one[name] ?? -Infinity) || 0;

/** @type {Record<string, (one: WatchRow, other: WatchRow) => number>} */
const FIRST = { symbol: (one, other) => one.symbol.localeCompare(other.symbol), change: greatest("change_percent"), volume: greatest("volume"), delta: greatest("delta") };

/* The instruments as they stand in the watch list. Lines change places by their style, so that none loses the focus. */
of.watchOrder = () => {
  const lines = [...watch.values()];
  const first = FIRST[order ? order.value : "given"];
  return first ? lines.sort((one, other) => first(one.row, other.row)) : lines;
};

function sort() {
  of.watchOrder().forEach((line, index) => {
    if (line.node.style.order !== String(index)) line.node.style.order = String(index);
  });
}

/** @param {WatchRow} row @returns {WatchLine} */
function lineOf(row) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 60 20");
  svg.setAttribute("preserveAspectRatio", "none");
  const path = document.createElementNS(SVG, "polyline");
  svg.append(path);
  const [symbol, last, change, volume, delta] = ["symbol", "last", "change", "volume", "delta"].map((name) => el("span", { class: name }));
  const node = el("button", { "aria-current": "false", class: "row", type: "button", title: row.name, onclick: () => of.choose({ instrument: row.key }) }, symbol, svg, last, change, volume, delta);
  return { key: row.key, row, last: null, node, cells: { symbol, last, change, volume, delta }, svg, path };
}

/** @param {WatchRow[]} rows */
function draw(rows) {
  if (!order) {
    const made = (order = choice("of-watch", "order", "Order of the watch list", ORDERS, sort));
    setInterval(() => made.value !== "given" && sort(), SORT_MS);
  }
  const known = watch.size;
  for (const row of rows) {
    const line = watch.get(row.key) || lineOf(row);
    if (!watch.has(row.key)) {
      watch.set(row.key, line);
      body("of-watch").append(line.node);
    }
    line.row = row;
    const { cells } = line;
    text(cells.symbol, row.symbol);
    text(cells.last, of.price(row.last, row.key));
    text(cells.change, of.percent(row.change_percent));
    klass(cells.change, "change " + of.sign(row.change_percent || 0));
    text(cells.volume, of.short(row.volume));
    text(cells.delta, "Δ " + of.short(row.delta, true));
    klass(cells.delta, "delta " + of.sign(row.delta));
    if (line.last !== null && row.last !== null && row.last !== line.last) flash(cells.last, row.last > line.last);
    line.last = row.last;
    if (row.spark) drawSpark(line, row.spark, row.previous_close ?? null);
    choose(line);
  }
  if (watch.size !== known) {
    sort();
    markStale();
  }
}

/**
 * The price lights up at each change and then has the text's colour again: a colour that stays would speak of the day.
 * @param {HTMLElement} node @param {boolean} rising
 */
function flash(node, rising) {
  klass(node, "last");
  void node.offsetWidth;
  klass(node, "last " + (rising ? "tick-up" : "tick-down"));
}

function markStale() {
  for (const [key, line] of watch) line.node.classList.toggle("old", stale.has(key));
}

/** @param {WatchLine} line @param {number[]} closes @param {number | null} previous close of the session before */
function drawSpark({ path, svg }, closes, previous) {
  if (closes.length < 2) return;
  const low = Math.min(...closes);
  const span = Math.max(...closes) - low || 1;
  path.setAttribute("points", closes.map((value, index) => ((index / (closes.length - 1)) * 60).toFixed(1) + "," + (18.5 - ((value - low) / span) * 17).toFixed(1)).join(" "));
  svg.setAttribute("class", of.sign(closes[closes.length - 1] - (previous || closes[0])));
}

/** @param {WatchLine} line */
function choose(line) {
  const viewed = line.key === of.view.instrument;
  line.node.classList.toggle("chosen", viewed);
  line.node.setAttribute("aria-current", String(viewed));
}

of.markChosen = () => {
  for (const line of watch.values()) choose(line);
};

of.on("message", (message) => {
  if (message.watch) draw(message.watch);
  if (!message.stale) return;
  stale = new Set(message.stale);
  markStale();
});
