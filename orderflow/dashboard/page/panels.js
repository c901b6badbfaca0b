/* The panels beside the chart: legend, statistics, depth, time and sales, watch list, banners, latency read-out. */
import { of } from "./base.js";
import { dayOf, momentOf } from "./format.js";

const { el, text, klass } = of;
const body = (id) => of.byId(id).querySelector(".body");
const TAPE_ROWS = 60;
const TAPE_HELD = 400;
/* The processor's watermark of two minutes, and as much again for what is in its way. */
const FINAL_MS = 240000;
let hovered = null;

/* What part of the day's volume is behind the figures that only we can compute. */
const FULL = 0.95;
const covered = (seen) => (seen ? `${Math.floor(seen.share * 100)} % of volume, since ${of.clock(seen.from_ms).slice(0, 5)}` : "–");

/* Statistics ------------------------------------------------------------------------------------------------- */
/** @type {[string, (stats: import("./page.d.ts").Stats) => string, (((stats: import("./page.d.ts").Stats) => string) | null)?, boolean?][]} */
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
  ["Δ candle", (s) => of.short(s.candle && s.candle.delta, true), (s) => of.sign(s.candle ? s.candle.delta : 0)],
  ["Δ conf.", (s) => s.confidence || "–"],
  ["TBQ", (s) => of.short(s.tbq)],
  ["TSQ", (s) => of.short(s.tsq)],
  ["Seen", (s) => covered(s.coverage), (s) => (s.coverage && s.coverage.share < FULL ? "warn" : ""), true],
  ["Last trade", (s) => (s.updated_ms === null ? "–" : of.clock(s.updated_ms, true) + " IST"), null, true],
];
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
let statNodes = null;
let levels = { poc: null, low: null, high: null };

function drawStats(stats) {
  of.stats = stats;
  if (!statNodes) {
    let cells = 0;
    statNodes = STATS.map(([label, , , wide]) => {
      const second = !wide && cells % 2 === 1;
      cells += wide ? 2 : 1;
      return [el("dt", { class: second ? "second" : "", title: MEANING[label] }, label), el("dd", { title: MEANING[label] })];
    });
    body("of-stats").append(
      el("div", { id: "of-balance", title: "Buy and sell volume of the day; grey is unclassified" }, el("i", { class: "up" }), el("i", { class: "none" }), el("i", { class: "down" })),
      el("dl", {}, statNodes.flat()),
    );
  }
  STATS.forEach(([, show, tone, wide], index) => {
    const node = statNodes[index][1];
    text(node, show(stats));
    klass(node, (tone ? tone(stats) : "") + (wide ? " wide" : ""));
  });
  const parts = of.byId("of-balance").children;
  [stats.buy, stats.unclassified, stats.sell].forEach((value, index) => (parts[index].style.flexGrow = String(value || 0)));
  of.emit("stats", stats);
}

/* Depth ------------------------------------------------------------------------------------------------------ */
let depthRows = null;
function drawDepth(depth) {
  if (!depthRows) {
    depthRows = [...Array(10)].map((_, index) =>
      el("tr", { class: index < 5 ? "ask" : "bid" }, el("td"), el("td"), el("td", { class: "bar" }, el("i"))),
    );
    const spread = el("tr", { id: "of-spread" }, el("td", { colspan: "3" }));
    body("of-depth").append(el("table", {}, el("tbody", {}, ...depthRows.slice(0, 5), spread, ...depthRows.slice(5))));
  }
  const most = Math.max(1, ...depth.ask.map((level) => level[1]), ...depth.bid.map((level) => level[1]));
  const sides = [...Array(5)].map((_, index) => depth.ask[4 - index]).concat([...Array(5)].map((_, index) => depth.bid[index]));
  sides.forEach((level, index) => {
    const cells = depthRows[index].children;
    text(cells[0], level ? of.price(level[0]) : "");
    text(cells[1], level ? of.whole(level[1]) : "");
    depthRows[index].classList.toggle("none", !level);
    cells[2].firstChild.style.width = level ? (level[1] / most) * 100 + "%" : "0";
  });
  const spread = depth.ask.length && depth.bid.length ? depth.ask[0][0] - depth.bid[0][0] : null;
  text(of.byId("of-spread").firstChild, spread === null ? (of.view.date ? "depth is kept for the live day only" : "no two-sided quote") : "spread " + of.price(spread));
}

/* A choice in a panel's title, remembered by the browser. */
function choice(panel, id, title, options, changed) {
  const kept = of.kept(id, options[0][0]);
  const select = el("select", { id: "of-" + id, title, "aria-label": title, onchange: () => {
    of.keep(id, select.value);
    mark();
    changed();
  } }, options.map(([value, name]) => el("option", { value }, name)));
  select.value = options.some(([value]) => value === kept) ? kept : options[0][0];
  const mark = () => select.classList.toggle("on", select.value !== options[0][0]);
  mark();
  of.byId(panel).querySelector("h2").append(select);
  return select;
}

/* Time and sales --------------------------------------------------------------------------------------------- */
const SIZES = [["0", "all sizes"], ["big", "big trades"], ...[50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000].map((size) => [String(size), "≥ " + of.whole(size)])];
let tapeBody = null;
let least = null;
/* The last trades of every size, so that another least size has rows at once. */
let held = [];
const passes = ([, , , volume, , , , big]) => (least.value === "big" ? big : volume >= Number(least.value));

function drawTape(trades, whole) {
  if (!tapeBody) {
    tapeBody = el("tbody");
    least = choice("of-tape", "least", "Least size shown", SIZES, () => drawTape(held.splice(0), true));
    body("of-tape").append(el("table", {}, el("thead", {}, el("tr", {}, ...["Time", "Price", "Size", "Buy", "Sell"].map((name) => el("th", {}, name)))), tapeBody));
  }
  if (whole) {
    held = [];
    tapeBody.replaceChildren();
  }
  held = trades.concat(held).slice(0, TAPE_HELD);
  const fresh = trades.filter(passes).slice(0, TAPE_ROWS);
  if (fresh.length && tapeBody.firstChild && tapeBody.firstChild.className === "nothing") tapeBody.replaceChildren();
  tapeBody.prepend(...fresh.map(tapeRow));
  while (tapeBody.childElementCount > TAPE_ROWS) tapeBody.lastChild.remove();
  if (!tapeBody.firstChild && held.length) tapeBody.append(el("tr", { class: "nothing" }, el("td", { colspan: "5" }, "none of this size yet")));
}

function tapeRow([, time, price, volume, buy, sell, side, big, gap]) {
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

/* Watch list ------------------------------------------------------------------------------------------------- */
const watch = new Map();
const ORDERS = [["given", "as given"], ["symbol", "symbol"], ["change", "change"], ["volume", "volume"], ["delta", "delta"]];
const SORT_MS = 2000;
let order = null;

/* An instrument's last price, of the running day; null when there is none. */
of.lastPrice = (key) => {
  const line = watch.get(key);
  return line && line.row.last !== undefined ? line.row.last : null;
};

/* The instruments as they stand in the watch list. Lines change places by their style, so that none loses the focus. */
of.watchOrder = () => {
  const lines = [...watch.values()];
  const by = order ? order.value : "given";
  const first = { symbol: (one, other) => one.symbol.localeCompare(other.symbol), change: (one, other) => greater("change_percent", one, other), volume: (one, other) => greater("volume", one, other), delta: (one, other) => greater("delta", one, other) }[by];
  return first ? lines.sort((one, other) => first(one.row, other.row)) : lines;
};
const greater = (name, one, other) => (other[name] === null ? -Infinity : other[name]) - (one[name] === null ? -Infinity : one[name]) || 0;

function sort() {
  of.watchOrder().forEach((line, index) => {
    if (line.node.style.order !== String(index)) line.node.style.order = String(index);
  });
}

function drawWatch(rows) {
  const host = body("of-watch");
  if (!order) {
    order = choice("of-watch", "order", "Order of the watch list", ORDERS, sort);
    setInterval(() => order.value !== "given" && sort(), SORT_MS);
  }
  const known = watch.size;
  for (const row of rows) {
    let line = watch.get(row.key);
    if (!line) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 60 20");
      svg.setAttribute("preserveAspectRatio", "none");
      const path = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
      svg.append(path);
      const cells = Object.fromEntries(["symbol", "last", "change", "volume", "delta"].map((name) => [name, el("span", { class: name })]));
      const node = el("button", { "aria-current": "false", class: "row", type: "button", title: row.name, onclick: () => of.choose({ instrument: row.key }) }, cells.symbol, svg, cells.last, cells.change, cells.volume, cells.delta);
      line = { key: row.key, node, cells, path, svg, row, last: null };
      watch.set(row.key, line);
      host.append(node);
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
    if (line.last !== null && row.last !== line.last) flash(cells.last, row.last > line.last);
    line.last = row.last;
    if (row.spark) drawSpark(line, row.spark, row.previous_close);
    choose(line);
  }
  if (watch.size !== known) {
    sort();
    markStale();
  }
}

/* The price lights up at each change and then has the text's colour again: a colour that stays would speak of the day. */
function flash(node, rising) {
  const name = rising ? "tick-up" : "tick-down";
  klass(node, "last");
  void node.offsetWidth;
  klass(node, "last " + name);
}

/* Instruments whose last update is long ago, while others are updated. */
let stale = new Set();
function markStale() {
  for (const [key, line] of watch) line.node.classList.toggle("old", stale.has(key));
}

function drawSpark(line, closes, previous) {
  const values = closes.filter((value) => value !== null);
  if (values.length < 2) return;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  line.path.setAttribute("points", values.map((value, index) => ((index / (values.length - 1)) * 60).toFixed(1) + "," + (18.5 - ((value - low) / span) * 17).toFixed(1)).join(" "));
  line.svg.setAttribute("class", of.sign(values[values.length - 1] - (previous || values[0])));
}

function choose(line) {
  const viewed = line.key === of.view.instrument;
  line.node.classList.toggle("chosen", viewed);
  line.node.setAttribute("aria-current", String(viewed));
}

of.markChosen = () => {
  for (const line of watch.values()) choose(line);
};

/* The time of the market; a recorded day that is played again at its original times runs behind the clock. */
const feedNow = (of.feedNow = () => {
  const { received_ms: received, updated_ms: updated } = of.stats || {};
  const behind = received && updated ? received - updated : 0;
  return of.serverNow() - (behind > 600000 ? behind : 0);
});

/* The chart in words: the newest candle, for those who do not see the canvas. Read out when one is final, not with each trade. */
let spoken = "";
function speak() {
  const { rows, view } = of;
  const i = rows ? rows.final.lastIndexOf(true) : -1;
  if (i < 0) return;
  const name = [view.instrument, view.minutes, rows.x[i]].join();
  if (name === spoken) return;
  spoken = name;
  const delta = `delta ${of.signed(rows.delta[i])}, cumulative ${of.signed(rows.cvd[i])}`;
  const words = `${of.symbolOf(view.instrument)}, ${view.minutes} minute candle of ${rows.x[i].slice(11, 16)}: open ${of.price(rows.open[i])}, high ${of.price(rows.high[i])}, low ${of.price(rows.low[i])}, close ${of.price(rows.close[i])}, volume ${of.whole(rows.total_volume[i])}, bought ${of.whole(rows.buy_volume[i])}, sold ${of.whole(rows.sell_volume[i])}, ${delta}.`;
  text(of.byId("of-spoken"), words);
}

/* The candle before or after the one in the legend, by the keyboard. */
of.pointStep = (by) => {
  const { rows } = of;
  if (!rows || !rows.x.length) return;
  const at = hovered === null ? rows.x.length - 1 : rows.x.lastIndexOf(hovered);
  const wanted = at + by;
  of.emit("hover", wanted >= rows.x.length - 1 ? null : rows.x[Math.max(wanted, 0)]);
};

/* Legend: the hovered candle, or the newest ------------------------------------------------------------------- */
/* What trades after continuous trading stands in a candle of its own. */
const PHASES = { closing_auction: "closing auction · ", post_close: "after the close · " };
let legend = null;
function drawLegend() {
  const rows = of.rows;
  const host = of.byId("of-legend");
  if (!legend) {
    legend = Object.fromEntries(["when", "ohlc", "flow", "state"].map((name) => [name, el("span", { class: name })]));
    host.append(...Object.values(legend));
  }
  if (!rows || !rows.x.length) {
    for (const node of Object.values(legend)) text(node, "");
    return;
  }
  const at = hovered === null ? -1 : rows.x.lastIndexOf(hovered);
  const i = at < 0 ? rows.x.length - 1 : at;
  const day = rows.x[i].slice(0, 10) === rows.x[rows.x.length - 1].slice(0, 10) ? "" : dayOf(rows.x[i]) + " ";
  text(legend.when, day + rows.x[i].slice(11, 16) + "–" + rows.window_end[i].slice(11, 16));
  of.legendRow = i;
  text(legend.ohlc, `O ${of.price(rows.open[i])}  H ${of.price(rows.high[i])}  L ${of.price(rows.low[i])}  C ${of.price(rows.close[i])}`);
  klass(legend.ohlc, "ohlc " + of.sign(rows.close[i] - rows.open[i]));
  const unclassified = rows.unclassified_volume[i] ? `  Uncl ${of.whole(rows.unclassified_volume[i])}` : "";
  const band = rows.delta_band[i] ? ` ±${of.whole(rows.delta_band[i])}` : "";
  text(legend.flow, `Vol ${of.whole(rows.total_volume[i])}  Buy ${of.whole(rows.buy_volume[i])}  Sell ${of.whole(rows.sell_volume[i])}${unclassified}  Δ ${of.signed(rows.delta[i])}${band} (${of.signed(rows.min_delta[i])} … ${of.signed(rows.max_delta[i])})  CVD ${of.signed(rows.cvd[i])}`);
  const late = of.live ? feedNow() - momentOf(rows.window_end[i]) : -1;
  const waits = !rows.final[i] && (i < rows.x.length - 1 || late >= 0);
  const closed = late > FINAL_MS ? "closed, no final came" : "closed, final due";
  const bar = rows.source[i] === "exchange" ? "the exchange's minute bar, from before the first update: no buy/sell split" : "final, exchange's bar";
  const state = waits ? closed : !rows.final[i] ? "forming" : rows.exchange_bar[i] ? bar : "final, from ticks";
  const phase = PHASES[rows.session_phase[i]] || "";
  text(legend.state, phase + state + (rows.gap[i] ? ", spans a gap" : "") + (rows.confidence[i] ? ` · Δ ${rows.confidence[i]} confidence` : ""));
  klass(legend.state, "state " + (!rows.final[i] ? "forming" : rows.exchange_bar[i] ? "confirmed" : "") + (rows.gap[i] ? " gap" : ""));
}

/* Banners ---------------------------------------------------------------------------------------------------- */
let serverBanners = [];
let connection = { phase: "connecting", live: true };
const STALE = new Set(["stalled", "disconnected", "kafka", "token", "offline"]);
const LOST = "Connection to the dashboard lost; trying again. Figures are as of the last update.";
const SILENT = "No message has come from the dashboard for more than three seconds. Figures are as of the last update.";
const FAILED = "A part of this page has failed, and what it shows may be old. Reload the page; the dashboard's log has the error.";

/* In the middle of the chart: what is being waited for, or why there is nothing and what to do. */
const ANOTHER_DAY = "Choose another day in the list above, or press L for the running day.";
let note = null;
function drawNote() {
  if (!note) {
    note = el("div", { id: "of-note", role: "status" }, el("b"), el("span"));
    of.byId("of-centre").append(note);
  }
  const { rows, view } = of;
  const day = view.date ? ` on ${view.date}` : "";
  const [title, hint] = of.refused ? [of.refused, view.date ? ANOTHER_DAY : ""] : of.waiting ? [`Loading ${of.symbolOf(view.instrument)}${day} …`, ""] : rows && !rows.x.length ? nothing(view) : ["", ""];
  note.hidden = !title;
  text(note.firstChild, title);
  text(note.lastChild, hint);
}

function nothing(view) {
  const banner = serverBanners.find((one) => ["loading", "archive", "empty", "kafka", "catching_up"].includes(one.code));
  if (banner && (banner.code === "loading" || banner.code === "catching_up")) return [banner.text, ""];
  if (view.replay) return ["No trade yet at this time of the replay", "Press Space to play, or move the slider."];
  if (view.date) return [banner ? banner.text : `No data for ${of.symbolOf(view.instrument)} on ${view.date}`, ANOTHER_DAY];
  return ["No trades yet for " + of.symbolOf(view.instrument), "The chart fills by itself from the first trade. Stored days are in the list above."];
}

/* A screen reader announces each new banner, but not every figure of an auction. */
function bannerNode(banner) {
  const quiet = banner.code === "auction" ? { "aria-live": "off" } : {};
  return el("div", { class: "banner " + banner.level, "data-code": banner.code, ...quiet }, banner.text);
}

function drawBanners() {
  const { phase, live } = connection;
  const own = phase === "closed" || (!live && phase !== "connecting") ? [{ level: "error", code: "offline", text: phase === "closed" ? LOST : SILENT }] : [];
  if (of.failures.size) own.push({ level: "error", code: "failed", text: FAILED });
  const list = [...own, ...serverBanners];
  /* The watch list is live whatever day is looked at. */
  const feedStale = list.some((one) => STALE.has(one.code));
  const quiet = list.some((one) => one.code === "quiet");
  document.documentElement.toggleAttribute("data-stale", (feedStale || quiet) && !of.view.date);
  document.documentElement.toggleAttribute("data-feed-stale", feedStale);
  of.byId("of-banners").replaceChildren(...list.map(bannerNode));
}

/* Latency ---------------------------------------------------------------------------------------------------- */
const LATENCY_KEPT_MS = 30000;
function drawLatency() {
  const node = of.byId("of-latency");
  if (!node) return;
  const old = performance.now() - of.latency.lastAt > LATENCY_KEPT_MS;
  const recent = (old ? [] : of.latency.samples.slice(-300)).sort((one, two) => one - two);
  const at = (share) => recent[Math.min(recent.length - 1, Math.floor(recent.length * share))];
  text(node, recent.length ? `${Math.round(at(0.5))} ms · p99 ${Math.round(at(0.99))}` : "– ms");
  klass(node, "pill " + (!recent.length ? "" : at(0.5) < 150 ? "good" : at(0.5) < 500 ? "warn" : "bad"));
}

of.on("message", (message) => {
  if (message.view) of.live = message.live;
  if (message.banners) {
    serverBanners = message.banners;
    drawBanners();
  }
  if (message.levels) levels = message.levels;
  if (message.stats) drawStats(message.stats);
  if (message.depth) drawDepth(message.depth);
  if (message.tape || message.view) drawTape(message.tape || [], Boolean(message.view));
  if (message.watch) drawWatch(message.watch);
  if (message.stale) {
    stale = new Set(message.stale);
    markStale();
  }
});
of.on("draw", () => {
  drawLegend();
  speak();
  drawNote();
});
of.on("note", drawNote);
of.on("hover", (label) => {
  hovered = label;
  drawLegend();
  of.drawLive();
});
of.on("failed", drawBanners);
of.on("connection", (state) => {
  connection = state;
  drawBanners();
  drawLatency();
  const dot = of.byId("of-dot");
  if (dot) {
    klass(dot, state.phase === "open" && !state.live ? "silent" : state.phase);
    dot.title = state.phase === "open" ? (state.live ? "Live" : "Connected, but silent") : state.phase === "polling" ? "Polling every 2 s" : "Not connected";
  }
});
of.startPanels = () => setInterval(drawLatency, 1000);
