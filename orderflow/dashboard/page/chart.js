/* The chart: keeps the figure the server sent and splices newer columns into it. Plotly draws what is settled, and only when
   that changes; what still forms is drawn over it by live.js within a millisecond or two. */
import { of } from "./base.js";
import { labelled } from "./timeaxis.js";

const CONFIG = { displayModeBar: false, scrollZoom: false, doubleClick: false };
const LIVE_TRACES = new Set(["profile_buy", "profile_sell", "profile_unclassified", "poc", "value_area", "forming"]);
const LEAST = { chart: 8, footprint: 3 };
/* Heights in pixels of the footprint's rows: as it opens, and the least when the viewer asks for more columns. */
const [USUAL_ROW, LEAST_ROW] = [10, 4.5];
const chart = { figure: null, mode: "chart", settled: 0, cells: [], column: 0, step: 0.05, div: null };
of.chart = chart;
let byUid = {};
let following = true;
let urgent = false;
let revision = 0;
let ranges = null;
/* The viewer's own part of the axes: columns shown while following, stretch of the prices, and what was panned to. */
let spans = { chart: null, footprint: null };
let stretch = 1;
let held = null;
let shownView = "";
let shownBuffer = 0;
let shownPalette = "";

const toMs = (of.toMs = (label) => Date.parse(label.replace(" ", "T") + "Z"));
const toLabel = (of.toLabel = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " "));
of.isFollowing = () => following;
const nameOf = (view) => JSON.stringify([view.instrument, view.minutes, view.mode, view.date, view.replay]);
of.shows = (view) => Boolean(chart.figure && of.rows.x.length) && nameOf(view) === shownView;
of.trace = (uid) => byUid[uid];

of.place = place;
/** @returns {[any, string]} */
function place(trace, name) {
  const [head, tail] = name.split(".");
  return tail ? [(trace[head] = trace[head] || {}), tail] : [trace, head];
}

function setColumns(trace, columns) {
  for (const [name, values] of Object.entries(columns)) {
    const [owner, key] = place(trace, name);
    owner[key] = values;
  }
}

/* Which rows stay before those that came, for facts and traces alike: earlier sessions stand elsewhere than their times say.
   Rows before the page's first candle part it from the earlier sessions before it, which are asked for again. */
function cutOf({ from, facts }) {
  const { older, rows } = of;
  const keep = lowerBound(rows.x, from);
  if (chart.mode === "chart" && older.rows && from < rows.x[older.rows]) {
    chart.figure.layout.shapes = (chart.figure.layout.shapes || []).filter((shape) => !older.shapes.includes(shape));
    older.forget();
    return [keep, keep];
  }
  older.rows = Math.min(older.rows, keep);
  return [Math.max(0, keep + facts.x.length - of.view.buffer - older.rows), keep];
}

function splice(trace, columns, cut) {
  for (const [name, values] of Object.entries(columns)) {
    const [owner, key] = place(trace, name);
    owner[key] = (owner[key] || []).slice(...cut).concat(values);
  }
}

/* A reconnect brings the same view again and keeps what was panned to; another view starts at its newest candle. */
function load(message) {
  const { view } = message;
  const name = view ? nameOf(view) : shownView;
  const same = chart.mode === message.mode && name === shownView;
  const before = chart.figure;
  const { first } = chart;
  if (view && view.buffer !== shownBuffer) spans.chart = null;
  if (view) [shownView, shownBuffer, shownPalette, chart.date] = [name, view.buffer, view.palette, message.date || view.date];
  chart.figure = Object.assign(message.figure, { buffer: shownBuffer, palette: shownPalette });
  chart.mode = message.mode;
  byUid = Object.fromEntries(message.figure.data.map((trace) => [trace.uid, trace]));
  const rows = of.rows;
  of.rows = message.facts;
  ranges = null;
  chart.first = null;
  take.cells(message);
  chart.first = of.rows.x[of.base()];
  chart.figure.step = chart.step;
  if (!same) {
    stretch = 1;
    setFollowing(true);
    of.older.forget();
  } else if (chart.mode === "footprint" && first) {
    const by = of.older.carry(before, rows, first);
    if (held) held.x = held.x.map((end) => end - by);
  } else if (chart.mode === "chart" && before) of.older.rejoin(before, rows);
  else of.older.forget();
  urgent = true;
}

/* The row of the footprint's column 0. Rows move on with each candle, columns only with the next figure. */
of.base = () => {
  const found = chart.first ? of.rows.x.indexOf(chart.first) : -1;
  return found < 0 ? of.rows.x.length - chart.column - chart.cells.length : found;
};

function setFollowing(yes) {
  if (yes) held = null;
  if (following !== yes || yes) of.emit("following", yes);
  following = yes;
}

function patch(message) {
  if (!chart.figure) return;
  if (message.tails && message.from <= of.rows.x[chart.settled - 1]) urgent = true;
  if (message.facts && message.from) {
    const cut = cutOf(message);
    for (const [uid, columns] of Object.entries(message.tails || {})) if (byUid[uid]) splice(byUid[uid], columns, cut);
    splice(of.rows, message.facts, cut);
  }
  if (message.wholes) for (const [uid, columns] of Object.entries(message.wholes)) if (byUid[uid]) setColumns(byUid[uid], columns);
  if (message.shapes) {
    chart.figure.layout.shapes = [...message.shapes, ...of.older.shapes];
    urgent = true;
  }
}

function take(message) {
  if (message.type === "figure") return load(message);
  patch(message);
  return take.cells(message);
}
take.cells = (message) => {
  if (!message.cells) return;
  chart.cells = message.cells;
  chart.column = message.column;
  if (chart.first) chart.column = of.rows.x.length - chart.cells.length - of.base();
  chart.step = message.step;
  chart.ticks = message.ticks;
};

/* How many of the rows are settled: everything before the first that still forms. */
function settledRows() {
  const open = of.rows.final.indexOf(false, chart.mode === "chart" ? of.older.rows : 0);
  return open < 0 ? of.rows.final.length : open;
}

const known = (values) => values.filter((value) => value !== null && value !== undefined);

/* The index of the first of ascending values that is not below `value`. */
const lowerBound = (of.lowerBound = (values, value) => {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
});

const inside = (range, low, high) => range && low >= range[0] && high <= range[1];

/* Where the candles stand on the time axis, in milliseconds: their starts, but earlier sessions are moved up to the next one. */
let starts = { x: null, count: 0, times: [] };
of.times = () => {
  const { x } = (chart.mode === "chart" && byUid.volume) || of.rows;
  if (starts.x !== x || starts.count !== x.length) starts = { x, count: x.length, times: x.map(toMs) };
  return starts.times;
};

/** @param {number[]} range */
const stretched = ([low, high]) => [(low + high - (high - low) * stretch) / 2, (low + high + (high - low) * stretch) / 2];
const columnMs = () => of.view.minutes * 60000;

/* The time in view: what was panned to, else up to the newest candle, or from the session's start while candles are few. */
function timeRange() {
  if (held) return held.x;
  const x = of.times();
  const step = columnMs();
  const shown = spans.chart || Math.max(Math.min(x.length, of.view.buffer), 24);
  const first = x.length ? x[0] : toMs((chart.date || toLabel(of.serverNow() + 19800000).slice(0, 10)) + " 09:15:00");
  const last = x.length ? x[x.length - 1] : first;
  if (x.length < 24 && !spans.chart) return [first - 0.6 * step, first + (shown + 1.4) * step];
  return [last - (shown - 0.4) * step, last + step * Math.max(2, shown * 0.03)];
}

/* Prices, volumes and deltas fit the candles in view; they move only when something would leave them. */
function fitChart(changed) {
  const rows = of.rows;
  const layout = chart.figure.layout;
  const time = timeRange();
  if (!rows.x.length) return setAxis(layout.xaxis, time.map(toLabel));
  const half = columnMs() / 2;
  const times = of.times();
  let [begin, end] = [lowerBound(times, time[0] - half), lowerBound(times, time[1] + half)];
  if (begin >= end) [begin, end] = begin > 0 ? [begin - 1, begin] : [0, 1];
  const seenOf = (name) => known(rows[name].slice(begin, end));
  const low = Math.min(...seenOf("low"));
  const high = Math.max(...seenOf("high"));
  const top = Math.max(1, ...seenOf("total_volume"));
  const deltas = [Math.min(0, ...seenOf("delta")), Math.max(0, ...seenOf("delta"))];
  const sums = [Math.min(...seenOf("cvd")), Math.max(...seenOf("cvd"))];
  const calm = ranges && !changed && inside(ranges.price, low, high) && inside(ranges.volume, 0, top) && inside(ranges.delta, ...deltas) && inside(ranges.cvd, ...sums);
  if (calm) return undefined;
  const pad = Math.max((high - low) * 0.07, high * 0.0003);
  const reach = Math.max(1, -deltas[0], deltas[1]) * 1.15;
  const slack = Math.max(1, (sums[1] - sums[0]) * 0.12);
  ranges = { x: time, price: [low - pad, high + pad], volume: [0, top * 1.12], delta: [deltas[0] < 0 ? -reach : 0, reach], cvd: [sums[0] - slack, sums[1] + slack] };
  setAxis(layout.xaxis, time.map(toLabel));
  setAxis(layout.yaxis, stretched(ranges.price));
  setAxis(layout.yaxis2, ranges.volume);
  setAxis(layout.yaxis3, ranges.delta);
  setAxis(layout.yaxis5, ranges.cvd);
  urgent = true;
  return undefined;
}

function setAxis(axis, range) {
  axis.range = range;
  axis.autorange = false;
}

/* Show the newest columns, and of the prices as many as stay legible: the newest candle always, older ones while they fit. */
function fitFootprint(changed) {
  const rows = of.rows;
  const layout = chart.figure.layout;
  if (held) {
    ranges = { x: held.x, price: held.y };
    setAxis(layout.xaxis, held.x);
    setAxis(layout.yaxis, held.y);
    return;
  }
  if (!rows.x.length) return;
  const newest = chart.cells.map((cell) => [cell.low, cell.high]);
  const usual = Math.max(3, Math.floor(chart.div.clientWidth / 84));
  const columns = Math.round(spans.footprint || usual);
  const candles = [...chart.figure.ranges, ...newest].slice(-columns).reverse();
  const most = (chart.step * chart.div.clientHeight * 0.82) / (columns > usual ? LEAST_ROW : USUAL_ROW);
  let [low, high] = candles[0];
  for (const [least, top] of candles) {
    const wider = [Math.min(low, least), Math.max(high, top)];
    if (wider[1] - wider[0] > most) break;
    [low, high] = wider;
  }
  if (ranges && !changed && inside(ranges.price, candles[0][0], candles[0][1])) return;
  const pad = chart.step * 2 + Math.max(0, (most * 0.55 - (high - low)) / 2);
  const end = chart.column + chart.cells.length;
  const least = -of.older.columns;
  ranges = { x: [Math.max(end - columns, least) - 0.55, Math.max(end, columns + least) - 0.35], price: [low - pad, high + pad] };
  setAxis(layout.xaxis, ranges.x);
  setAxis(layout.yaxis, stretched(ranges.price));
  urgent = true;
}

/* Wheel, pinch and drag -------------------------------------------------------------------------------------------- */
let asked = false;
of.refit = refit;
function refit() {
  ranges = null;
  urgent = true;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

const unit = () => (chart.mode === "chart" ? columnMs() : 1);

function hold() {
  const full = chart.div._fullLayout;
  held = { x: full.xaxis.range.map((end) => full.xaxis.r2l(end)), y: full.yaxis.range.slice() };
  bound();
  setFollowing(false);
}

/* A tenth of what is shown holds candles, however far was panned. */
function bound() {
  if (!of.rows.x.length) return;
  const span = held.x[1] - held.x[0];
  const times = chart.mode === "chart" ? of.times() : null;
  const first = times ? times[0] : -of.older.columns;
  const last = times ? times[times.length - 1] : chart.column + chart.cells.length;
  const from = Math.min(Math.max(held.x[0], first - span * 0.9), last - span * 0.1);
  held.x = [from, from + span];
}

/* Show `factor` times as many columns: the newest stays in view while followed, else the one at `pixel` stays in place. */
of.zoomTime = (factor, pixel) => {
  const axis = chart.div._fullLayout && chart.div._fullLayout.xaxis;
  if (!chart.figure || !axis || !of.rows.x.length) return;
  const [from, to] = held ? held.x : axis.range.map((end) => axis.r2l(end));
  const present = chart.mode === "chart" ? of.rows.x.length : chart.column + chart.cells.length + of.older.columns;
  const most = Math.max(present, chart.mode === "chart" ? 24 : 12) * (of.older.more ? 1.2 : 1);
  const columns = Math.min(Math.max(((to - from) / unit()) * factor, LEAST[chart.mode]), most * 1.2);
  if (held) {
    const share = Math.min(Math.max((pixel - axis._offset) / axis._length, 0), 1);
    const pivot = from + (to - from) * share;
    held.x = [pivot - columns * unit() * share, pivot + columns * unit() * (1 - share)];
  } else {
    const shown = chart.mode === "chart" ? columns - Math.max(1.6, columns * 0.03) : columns - 0.2;
    spans[chart.mode] = Math.min(Math.max(shown, LEAST[chart.mode]), most);
  }
  refit();
};

of.panTime = (pixels) => {
  const axis = chart.div._fullLayout && chart.div._fullLayout.xaxis;
  if (!chart.figure || !axis || !of.rows.x.length) return;
  if (!held) hold();
  const by = ((held.x[1] - held.x[0]) / axis._length) * pixels;
  held.x = [held.x[0] + by, held.x[1] + by];
  bound();
  refit();
};

/* Pan by a part of the width; to the right at most to the newest candle, which is then followed again. */
of.panShare = (share) => {
  const axis = chart.div._fullLayout && chart.div._fullLayout.xaxis;
  if (!axis || !of.rows || !of.rows.x.length || (share > 0 && following)) return;
  of.panTime(axis._length * share);
  const newest = chart.mode === "chart" ? of.times()[of.rows.x.length - 1] : chart.column + chart.cells.length - 1;
  if (share > 0 && held.x[1] > newest + unit()) of.follow();
};

of.resetZoom = () => {
  spans = { chart: null, footprint: null };
  of.follow();
};

of.zoomPrice = (factor) => {
  if (held && chart.mode === "footprint") {
    const [low, high] = held.y;
    held.y = [(low + high - (high - low) * factor) / 2, (low + high + (high - low) * factor) / 2];
  } else stretch = Math.min(Math.max(stretch * factor, 0.1), 10);
  refit();
};

of.fitPrice = () => {
  stretch = 1;
  refit();
};

/* The figure that Plotly draws: settled candles only; forming ones and the profile are the live layer's. */
function settledFigure() {
  if (chart.mode === "footprint") return footprintFigure();
  const [from, to] = ranges ? ranges.x : timeRange();
  const times = of.times();
  const begin = Math.max(lowerBound(times, from - (to - from)) - 1, 0);
  const count = Math.max(Math.min(chart.settled, lowerBound(times, to + (to - from)) + 1), begin);
  const mark = Math.min(Math.max(((chart.div.clientWidth * 0.8) / (to - from)) * columnMs(), 3), 8);
  return chart.figure.data.map((trace) => {
    if (LIVE_TRACES.has(trace.uid)) return { ...trace, x: [], y: [], open: [], high: [], low: [], close: [] };
    const cut = { ...trace };
    for (const name of ["x", "y", "open", "high", "low", "close"]) if (cut[name]) cut[name] = cut[name].slice(begin, count);
    if (Array.isArray(trace.marker && trace.marker.color)) cut.marker = { ...trace.marker, color: trace.marker.color.slice(begin, count) };
    if (trace.uid.endsWith("_marks")) cut.marker = { ...trace.marker, size: mark, standoff: mark };
    if (trace.type === "scatter" && trace.mode === "lines") broken(cut, begin);
    return cut;
  });
}

/* A running sum or mean begins anew with each session: its line breaks there. */
function broken(trace, begin) {
  const { x } = of.rows;
  for (let index = trace.x.length - 1; index > 0; index -= 1) {
    if (x[begin + index].slice(0, 10) === x[begin + index - 1].slice(0, 10)) continue;
    trace.x.splice(index, 0, trace.x[index]);
    trace.y.splice(index, 0, null);
    trace.fill = "none";
  }
}

/* Of the footprint what is in view; its numbers are drawn beside Plotly (live.js). */
function footprintFigure() {
  const { x } = ranges || { x: chart.figure.layout.xaxis.range };
  const span = x[1] - x[0];
  const style = (chart.style = cellStyle(span));
  return chart.figure.data.map((trace) => {
    const cut = of.cutColumns(trace, x[0] - 1, x[1] + 1);
    if (["bid", "ask", "statistics"].includes(trace.uid)) return { ...trace, x: [], y: [], text: [], textfont: {} };
    if (trace.uid.startsWith("cells_")) return { ...cut, visible: style.form !== "heat" };
    if (trace.uid === "unfinished") return { ...cut, visible: style.near };
    return cut;
  });
}

const SHAPE = /^(<b>)?(\d+)(<\/b>)?(?: <span[^>]*>\?(\d+)<\/span>)?$/;
/* All levels of the shown figure: [column, price, sell, buy, unclassified]. */
const read = new WeakMap();
function readTexts() {
  const { bid, ask } = byUid;
  if (!read.has(ask.text)) {
    const parts = (words) => SHAPE.exec(words) || [];
    const found = { levels: [], strong: [], widest: 2, most: 1 };
    bid.text.forEach((words, index) => {
      const [sold, bought] = [parts(words), parts(ask.text[index])];
      const volumes = [sold[2], bought[2], bought[4]].map((count) => Number(count || 0));
      found.levels.push([Math.round(bid.x[index]), bid.y[index], ...volumes]);
      found.strong.push((bought[1] ? 1 : 0) | (sold[1] ? 2 : 0));
      found.widest = Math.max(found.widest, (sold[2] || "").length, (bought[2] || "").length);
      found.most = Math.max(found.most, volumes[0] + volumes[1] + volumes[2]);
    });
    read.set(ask.text, found);
  }
  return read.get(ask.text);
}
of.levels = () => readTexts().levels;
/* Of the same levels: 1 for a buy imbalance, 2 for a sell imbalance. */
of.strong = () => readTexts().strong;

/* How cells are drawn: "full" or "short" numbers over bars of the parts, or "heat": one number on its shade, where two have no
   room or the delta was asked for. `near`: numbers that were asked for are legible. */
function cellStyle(span) {
  const { cells } = of.view;
  const column = (chart.div.clientWidth - 64) / span;
  const [low, high] = chart.figure.layout.yaxis.range;
  const row = (chart.div.clientHeight * 0.82 * chart.step) / (high - low);
  const total = cells === "volume";
  const room = total ? column * 0.84 - 4 : column * 0.48 - 2;
  const { widest: either, most } = readTexts();
  const widest = total ? String(most).length : either;
  const tall = Math.min(row * 0.78, 12);
  const size = (letters) => Math.min(tall, room / letters / 0.6);
  const legible = row < 7.5 ? "heat" : size(widest) >= 7.5 ? "full" : size(4) >= 7.5 ? "short" : "heat";
  const form = cells === "delta" ? "heat" : legible;
  const found = { form, near: legible !== "heat", column, row, size: Math.floor(size(form === "short" ? 4 : widest) * 2) / 2, every: Math.max(1, Math.ceil(50 / column)) };
  const letters = Math.floor((column * 0.5 - 6) / found.size / 0.6);
  const brief = (found.brief = (count) => (count < 1000 ? String(count) : count < 9950 ? (count / 1000).toFixed(1) + "K" : count < 99500 ? Math.round(count / 1000) + "K" : (count / 100000).toFixed(1) + "L"));
  found.number = (text) => (form === "full" ? text : brief(Number(text)));
  found.unknown = (buy, none) => none && found.number(buy).length + none.length + 2 <= letters;
  return found;
}

function draw() {
  if (!chart.figure || !of.rows || !window.Plotly) return;
  const settled = settledRows();
  /* By time, not by count: of a full buffer a candle leaves whenever one settles. */
  const shown = [of.rows.x[0], of.rows.x[settled - 1], of.rows.x.length].join();
  const changed = shown !== chart.shown;
  chart.settled = settled;
  chart.shown = shown;
  if (changed) urgent = true;
  (chart.mode === "footprint" ? fitFootprint : fitChart)(changed || !ranges);
  if (urgent) plot();
  of.drawLive();
  const wide = chart.mode === "chart" ? spans.chart !== null && spans.chart >= of.rows.x.length : ranges && ranges.x[1] - ranges.x[0] > chart.column + chart.cells.length + of.older.columns + 0.5;
  of.older.seek(ranges ? ranges.x : timeRange(), wide);
  of.emit("drawn", null);
}

function plot() {
  urgent = false;
  const { figure, div } = chart;
  const { layout } = figure;
  layout.width = div.clientWidth;
  layout.height = div.clientHeight;
  layout.datarevision = ++revision;
  /* Ranges are kept here alone: under an unchanged uirevision Plotly would put those of an earlier pan back. */
  layout.uirevision = revision;
  label(layout);
  window.Plotly.react(div, settledFigure(), layout, CONFIG);
  of.drawNumbers();
  if (div.dataset.bound) return;
  bind(div);
  performance.mark("orderflow.first_chart");
}

/* Ticks in the page's own numbers: prices grouped as in India, volumes in thousand, lakh and crore. */
function label(layout) {
  const empty = !of.rows.x.length;
  const size = chart.div.clientHeight;
  const axes = chart.mode === "chart" ? ["yaxis", "yaxis2", "yaxis3", "yaxis5"] : ["yaxis"];
  for (const name of axes) {
    const axis = layout[name];
    axis.showticklabels = !empty;
    if (empty || !axis.range) continue;
    const [low, high] = axis.range;
    const price = name === "yaxis";
    const [bottom, top] = axis.domain || layout.yaxis3.domain;
    const share = top - bottom;
    const step = nice((high - low) / Math.max(2, Math.floor((size * share) / (price ? 44 : name === "yaxis5" ? 24 : 34))));
    const values = [];
    for (let at = Math.ceil(low / step); at * step <= high; at += 1) values.push(Number((at * step).toFixed(4)));
    axis.tickmode = "array";
    axis.tickvals = values;
    axis.ticktext = values.map((value) => (price ? of.price(value) : of.short(value).replace(/\.?0+(?=[A-Z])/, "")));
    if (name !== "yaxis5") continue;
    chart.sumTicks = values.map((value, index) => [value, axis.ticktext[index]]);
    axis.showticklabels = false;
  }
  ticks(layout);
  if (chart.mode === "chart" && ranges) layout.bargap = (chart.div.clientWidth * columnMs()) / (ranges.x[1] - ranges.x[0]) < 5 ? 0.05 : 0.25;
}

/* The times under the columns: full minutes, at a session's first candle the date. */
const MINUTE_STEPS = [1, 2, 3, 5, 10, 15, 30, 60, 120, 180];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
of.day = (label) => Number(label.slice(8, 10)) + " " + MONTHS[Number(label.slice(5, 7)) - 1];
of.begins = (index) => index > 0 && of.rows.x[index].slice(0, 10) !== of.rows.x[index - 1].slice(0, 10);
function ticks(layout) {
  const { x } = of.rows;
  if (!x.length || !ranges) return;
  const footprint = chart.mode === "footprint";
  const [from, to] = ranges.x;
  const base = of.base();
  const places = footprint ? x.map((_, index) => index - base) : of.times();
  const pixels = (chart.div.clientWidth - 64) * (footprint ? 1 : 0.87);
  const every = ((to - from) / unit() / Math.max(2, Math.floor(pixels / 62))) * of.view.minutes;
  const step = MINUTE_STEPS.find((one) => one >= every && one % of.view.minutes === 0) || Math.ceil(every / 360) * 360;
  const marked = labelled(x[x.length - 1], of.view.minutes, step);
  const found = [];
  const add = (place, text, strong) => {
    const last = found[found.length - 1];
    if (last && place - last[0] < (step / of.view.minutes) * unit() * 0.8) {
      if (!strong) return;
      found.pop();
    }
    found.push([place, strong ? `<b>${text}</b>` : text]);
  };
  const [begin, end] = [lowerBound(places, from - (to - from)), lowerBound(places, to + (to - from))];
  for (let index = begin; index < end; index += 1) {
    if (of.begins(index)) add(places[index], of.day(x[index]), true);
    else if (marked(x[index])) add(places[index], x[index].slice(11, 16), false);
  }
  for (let at = places[x.length - 1] + columnMs(); !footprint && at < to; at += columnMs()) if (marked(toLabel(at))) add(at, toLabel(at).slice(11, 16), false);
  layout.xaxis.tickmode = "array";
  layout.xaxis.tickvals = found.map(([place]) => (footprint ? place : toLabel(place)));
  layout.xaxis.ticktext = found.map(([, text]) => text);
}

function nice(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((lead) => lead * power >= rough) || 10);
}

function bind(div) {
  div.dataset.bound = "yes";
  div.on("plotly_relayout", (event) => {
    if (!Object.keys(event).some((name) => /^[xy]axis\d?\.range/.test(name))) return;
    hold();
    refit();
  });
  div.on("plotly_relayouting", () => {
    of.drawNumbers();
    of.drawLive();
  });
  div.on("plotly_doubleclick", () => of.follow());
}

of.follow = () => {
  stretch = 1;
  setFollowing(true);
  ranges = null;
  urgent = true;
  draw();
};

of.on("message", take);
of.on("draw", draw);
of.startChart = () => {
  chart.div = of.byId("of-chart");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!chart.figure) return;
      ranges = null;
      urgent = true;
      draw();
    }, 120);
  }).observe(chart.div);
};
