/* Time and sales. */
import { of } from "../base.js";
import { body, choice } from "./panel.js";

/** @typedef {import("../page.d.ts").Trade} Trade */

const { el } = of;
const ROWS = 60;
const HELD = 400;
/** @type {[string, string][]} */
const SIZES = [["0", "all sizes"], ["big", "big trades"]];
for (const size of [50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000]) SIZES.push([String(size), "≥ " + of.whole(size)]);
/** @type {ReturnType<typeof build> | null} */
let nodes = null;
/** The last trades of every size, so that another least size has rows at once. @type {Trade[]} */
let held = [];

function build() {
  const rows = el("tbody");
  const least = choice("of-tape", "least", "Least size shown", SIZES, () => draw(held.splice(0), true));
  body("of-tape").append(el("table", {}, el("thead", {}, el("tr", {}, ["Time", "Price", "Size", "Buy", "Sell"].map((name) => el("th", {}, name)))), rows));
  return { rows, least };
}

/** @param {Trade[]} trades newest first @param {boolean} whole whether they are all there are */
function draw(trades, whole) {
  nodes = nodes || build();
  const { rows, least } = nodes;
  if (whole) {
    held = [];
    rows.replaceChildren();
  }
  held = trades.concat(held).slice(0, HELD);
  const fresh = trades.filter(([, , , volume, , , , big]) => (least.value === "big" ? big : volume >= Number(least.value))).slice(0, ROWS);
  if (fresh.length && rows.firstElementChild?.className === "nothing") rows.replaceChildren();
  rows.prepend(...fresh.map(row));
  while (rows.childElementCount > ROWS) rows.lastElementChild?.remove();
  if (!rows.firstChild && held.length) rows.append(el("tr", { class: "nothing" }, el("td", { colspan: "5" }, "none of this size yet")));
}

/** @param {Trade} trade */
function row([, time, price, volume, buy, sell, side, big, gap]) {
  const tone = side === "buy" ? "up" : side === "sell" ? "down" : "none";
  const title = gap ? "Volume of an outage: not classified" : big ? "Big trade" : "";
  return el(
    "tr",
    { class: tone + (big ? " big" : "") + (gap ? " gap" : ""), title },
    el("td", {}, of.clock(time)),
    el("td", {}, of.price(price)),
    el("td", {}, of.whole(volume)),
    el("td", {}, buy ? of.whole(buy) : ""),
    el("td", {}, sell ? of.whole(sell) : ""),
  );
}

of.on("message", ({ tape, view }) => (tape || view) && draw(tape || [], Boolean(view)));
