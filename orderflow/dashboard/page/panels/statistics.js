/* The day's statistics. */
import { of } from "../base.js";
import { body } from "./panel.js";

/** @typedef {import("../page.d.ts").Stats} Stats */

const { el, text, klass } = of;

/* What part of the day's volume is behind the figures that only we can compute. */
const FULL = 0.95;
/** @param {import("../page.d.ts").Coverage | null} seen */
const covered = (seen) => (seen ? `${Math.floor(seen.share * 100)} % of volume, since ${of.clock(seen.from_ms).slice(0, 5)}` : "–");

/** Label, value, tone, and whether it takes the whole width. @type {[string, (stats: Stats) => string, (((stats: Stats) => string) | null)?, boolean?][]} */
const STATS = [
  ["Open", (s) => of.price(s.open)],
  ["High", (s) => of.price(s.high)],
  ["Low", (s) => of.price(s.low)],
  ["Prev close", (s) => of.price(s.previous_close)],
  ["VWAP", (s) => of.price(s.vwap)],
  ["POC", () => of.price(levels.poc)],
  ["Value area", () => (levels.low === null ? "–" : of.price(levels.low) + " – " + of.price(levels.high)), null, true],
  ["Volume", (s) => of.short(s.volume)],
  ["Buy/sell", (s) => (s.ratio === null ? "–" : s.ratio.toFixed(2)), (s) => of.sign((s.ratio || 1) - 1)],
  ["Buy", (s) => of.short(s.buy), () => "up"],
  ["Sell", (s) => of.short(s.sell), () => "down"],
  ["Unclass.", (s) => of.short(s.unclassified), (s) => (s.unclassified > 0 ? "warn" : "")],
  ["CVD", (s) => of.short(s.cvd, true), (s) => of.sign(s.cvd)],
  ["Δ candle", (s) => of.short(s.candle?.delta, true), (s) => of.sign(s.candle ? s.candle.delta : 0)],
  ["Δ conf.", (s) => s.confidence || "–"],
  ["TBQ", (s) => of.short(s.tbq)],
  ["TSQ", (s) => of.short(s.tsq)],
  ["Seen", (s) => covered(s.coverage), (s) => (s.coverage && s.coverage.share < FULL ? "warn" : ""), true],
  ["Last trade", (s) => (s.updated_ms === null ? "–" : of.clock(s.updated_ms, true) + " IST"), null, true],
];
/** @type {Record<string, string>} */
const MEANING = {
  "Prev close": "Close of the previous session; the change above is relative to it",
  Open: "The exchange's opening price of the day",
  High: "The exchange's highest price of the day",
  Low: "The exchange's lowest price of the day",
  VWAP: "The exchange's volume-weighted average price of the day",
  POC: "Point of control: the price with the most volume in the part of the day that was seen",
  "Value area": "The prices around the point of control that hold 70 % of the volume seen",
  Volume: "Shares or contracts traded today, by the exchange",
  Seen: "The part of the day's volume behind sides, delta, CVD and profile, and from when. The rest traded before, in auctions or outside the continuous session",
  "Buy/sell": "Bought volume over sold volume, by aggressor",
  Buy: "Volume whose aggressor was the buyer: it traded at the ask",
  Sell: "Volume whose aggressor was the seller: it traded at the bid",
  "Unclass.": "Unclassified: auctions, outages, or unknown aggressor; counted in neither side",
  CVD: "Cumulative volume delta: bought minus sold since the time in the row Seen",
  "Δ candle": "Delta of the newest candle: bought minus sold volume",
  "Δ conf.": "Confidence in the delta of the last final candle: how much of its volume could be classified for certain",
  TBQ: "Total quantity of all buy orders in the exchange's book",
  TSQ: "Total quantity of all sell orders in the exchange's book",
  "Last trade": "The exchange's time of the newest trade",
};
/** @type {import("../page.d.ts").Levels} */
let levels = { poc: null, low: null, high: null };
/** @type {ReturnType<typeof build> | null} */
let nodes = null;

function build() {
  let cells = 0;
  const rows = STATS.map(([label, , , wide]) => {
    const second = !wide && cells % 2 === 1;
    cells += wide ? 2 : 1;
    return { label: el("dt", { class: second ? "second" : "", title: MEANING[label] }, label), value: el("dd", { title: MEANING[label] }) };
  });
  const [up, none, down] = ["up", "none", "down"].map((side) => el("i", { class: side }));
  body("of-stats").append(
    el("div", { id: "of-balance", title: "Buy and sell volume of the day; grey is unclassified" }, up, none, down),
    el("dl", {}, rows.flatMap(({ label, value }) => [label, value])),
  );
  return { values: rows.map(({ value }) => value), up, none, down };
}

/** @param {Stats} stats */
function draw(stats) {
  of.stats = stats;
  nodes = nodes || build();
  const { values, up, none, down } = nodes;
  STATS.forEach(([, show, tone, wide], index) => {
    text(values[index], show(stats));
    klass(values[index], (tone ? tone(stats) : "") + (wide ? " wide" : ""));
  });
  up.style.flexGrow = String(stats.buy);
  none.style.flexGrow = String(stats.unclassified);
  down.style.flexGrow = String(stats.sell);
  of.emit("stats", stats);
}

of.on("message", (message) => {
  if (message.levels) levels = message.levels;
  if (message.stats) draw(message.stats);
});
