/* The help: every key, and what each mark means. */
import { of } from "./base.js";
import { imbalanceWords } from "./format.js";

const { el } = of;
/** @type {[string, string][]} */
const HELP = [
  ["/", "search an instrument"], ["J, K", "next, previous instrument"], ["1 … 6", "1, 3, 5, 15, 30, 60 minutes"], ["F", "chart or footprint"], ["[ ]", "finer, coarser price rows of the footprint"], ["X", "footprint cells: bid × ask, delta, volume"], ["← →", "pan; PgUp, PgDn by a screen; further left loads earlier candles"], ["+ −", "zoom the time"], ["↑ ↓", "stretch the prices"], ["Home", "back to the newest candle"], ["R", "reset the zoom"], ["Wheel", "zoom the time; with Shift or on the price axis the prices"], ["Drag", "pan in time; an axis: zoom it"], ["Right click", "on the prices, or a long touch: set an alert there"], ["Double click", "newest candle; on an axis: reset it"],
  ["L", "back to live"], ["Space", "play or pause a replay"], ["A", "alerts"], ["S, P", "save CSV, PNG"], ["C", "colour-blind safe colours"], ["T", "light or dark theme"], ["?", "this help"], [", .", "previous, next candle in the legend"],
];
/** @type {[string, string][]} */
const LEGEND = [
  ["Hollow candle, pale bars", "still forming; the final candle replaces it"], ["Strip under the prices: blue", "final and confirmed by the exchange's own bar"], ["grey", "final, built from the feed's updates only"],
  ["amber", "part of its volume traded during an outage"], ["Grey in volume", "unclassified: no aggressor known, never dropped"], ["Triangles", "imbalance of 0.6 or more"], ["Yellow line and bands", "VWAP of the day, one and two standard deviations"],
  ["Delta, CVD", "bought minus sold volume of the candle; its sum since the time in the row Seen"], ["Profile", "the day's volume by price; bright: value area (70 %); yellow: point of control"],
  ["Footprint", "at bid (left), at ask (right); bold: diagonal imbalance (see below); thick edge: stacked imbalances; yellow box: point of control; ◂ unfinished auction; delta or volume in the cells, or zoomed out: on the leading side's colour, the stronger the more traded"],
];

/** @param {[string, string][]} list */
const listed = (list) => el("dl", {}, list.flatMap(([key, words]) => [el("dt", {}, key), el("dd", {}, words)]));

of.keys["?"] = () => {
  /** @type {[string, string][]} */
  const marks = of.imbalances ? [["Diagonal imbalance", imbalanceWords(of.imbalances)]] : [];
  of.openDialog("Help", el("div", { class: "help" }, listed(HELP), listed([...LEGEND, ...marks])));
};
