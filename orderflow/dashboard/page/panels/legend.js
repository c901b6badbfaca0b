/* The legend: the candle under the pointer, else the newest. The newest final one is also said in words, for those who do not
   see the chart. */
import { of } from "../base.js";
import { dayOf, momentOf } from "../format.js";

/** @typedef {import("../page.d.ts").Facts} Facts */

const { el, text, klass } = of;
/* The processor's watermark of two minutes, and as much again for what is in its way. */
const FINAL_MS = 240000;
/* A recorded day that is played again at its original times runs further behind the clock than any feed. */
const BEHIND_MS = 600000;
/** What trades after continuous trading stands in a candle of its own. @type {Record<string, string>} */
const PHASES = { closing_auction: "closing auction · ", post_close: "after the close · " };
/** @type {string | null} */
let hovered = null;
/** @type {Record<"when" | "ohlc" | "flow" | "state", HTMLElement> | null} */
let nodes = null;
let spoken = "";

/* The time of the market. */
function feedNow() {
  const { received_ms: received, updated_ms: updated } = of.stats || {};
  const behind = received && updated ? received - updated : 0;
  return of.serverNow() - (behind > BEHIND_MS ? behind : 0);
}

/* The candle before or after the one in the legend, by the keyboard. */
of.pointStep = (by) => {
  const { rows } = of;
  if (!rows || !rows.x.length) return;
  const at = hovered === null ? rows.x.length - 1 : rows.x.lastIndexOf(hovered);
  const wanted = at + by;
  of.emit("hover", wanted >= rows.x.length - 1 ? null : rows.x[Math.max(wanted, 0)]);
};

function build() {
  const [when, ohlc, flow, state] = ["when", "ohlc", "flow", "state"].map((name) => el("span", { class: name }));
  of.byId("of-legend").append(when, ohlc, flow, state);
  return { when, ohlc, flow, state };
}

function draw() {
  const { rows } = of;
  nodes = nodes || build();
  if (!rows || !rows.x.length) {
    for (const node of Object.values(nodes)) text(node, "");
    return;
  }
  const { when, ohlc, flow, state } = nodes;
  const at = hovered === null ? -1 : rows.x.lastIndexOf(hovered);
  const i = at < 0 ? rows.x.length - 1 : at;
  of.legendRow = i;
  const day = rows.x[i].slice(0, 10) === rows.x[rows.x.length - 1].slice(0, 10) ? "" : dayOf(rows.x[i]) + " ";
  text(when, day + rows.x[i].slice(11, 16) + "–" + rows.window_end[i].slice(11, 16));
  text(ohlc, `O ${of.price(rows.open[i])}  H ${of.price(rows.high[i])}  L ${of.price(rows.low[i])}  C ${of.price(rows.close[i])}`);
  klass(ohlc, "ohlc " + of.sign((rows.close[i] ?? 0) - (rows.open[i] ?? 0)));
  const unclassified = rows.unclassified_volume[i] ? `  Uncl ${of.whole(rows.unclassified_volume[i])}` : "";
  const band = rows.delta_band[i] ? ` ±${of.whole(rows.delta_band[i])}` : "";
  text(flow, `Vol ${of.whole(rows.total_volume[i])}  Buy ${of.whole(rows.buy_volume[i])}  Sell ${of.whole(rows.sell_volume[i])}${unclassified}  Δ ${of.signed(rows.delta[i])}${band} (${of.signed(rows.min_delta[i])} … ${of.signed(rows.max_delta[i])})  CVD ${of.signed(rows.cvd[i])}`);
  text(state, (PHASES[rows.session_phase[i]] || "") + stateOf(rows, i) + (rows.gap[i] ? ", spans a gap" : "") + (rows.confidence[i] ? ` · Δ ${rows.confidence[i]} confidence` : ""));
  klass(state, "state " + (!rows.final[i] ? "forming" : rows.exchange_bar[i] ? "confirmed" : "") + (rows.gap[i] ? " gap" : ""));
}

/** Whether a candle forms, is closed, or is final, and by what. @param {Facts} rows @param {number} i */
function stateOf(rows, i) {
  if (rows.final[i]) {
    if (!rows.exchange_bar[i]) return "final, from ticks";
    return rows.source[i] === "exchange" ? "the exchange's minute bar, from before the first update: no buy/sell split" : "final, exchange's bar";
  }
  const late = of.live ? feedNow() - momentOf(rows.window_end[i]) : -1;
  if (i === rows.x.length - 1 && late < 0) return "forming";
  return late > FINAL_MS ? "closed, no final came" : "closed, final due";
}

/* Said when a candle is final, not with each trade. */
function speak() {
  const { rows, view } = of;
  const i = rows ? rows.final.lastIndexOf(true) : -1;
  if (!rows || i < 0) return;
  const name = [view.instrument, view.minutes, rows.x[i]].join();
  if (name === spoken) return;
  spoken = name;
  const delta = `delta ${of.signed(rows.delta[i])}, cumulative ${of.signed(rows.cvd[i])}`;
  text(of.byId("of-spoken"), `${of.symbolOf(view.instrument)}, ${view.minutes} minute candle of ${rows.x[i].slice(11, 16)}: open ${of.price(rows.open[i])}, high ${of.price(rows.high[i])}, low ${of.price(rows.low[i])}, close ${of.price(rows.close[i])}, volume ${of.whole(rows.total_volume[i])}, bought ${of.whole(rows.buy_volume[i])}, sold ${of.whole(rows.sell_volume[i])}, ${delta}.`);
}

of.on("draw", () => {
  draw();
  speak();
});
of.on("hover", (label) => {
  hovered = label;
  draw();
  of.drawLive();
});
