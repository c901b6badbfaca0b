/* The chart: what of the held rows is in view, and when Plotly draws the settled ones again. What still forms is drawn over it by
   the layers (draw/layers.js) within a millisecond or two. */
import { timeTicks, valueTicks } from "./axes.js";
import { of } from "./base.js";
import { colors } from "./colors.js";
import { cellStyle } from "./draw/style.js";
import { CANDLES_WIDTH, FOOTPRINT_TRACES, HEIGHTS, candleTraces, chartLayout, footprintLayout, gapShapes } from "./figure.js";
import { labelOf, toLabel, toMs } from "./format.js";
import * as plot from "./plot.js";
import { begins, lowerBound, nothing, places, settledCount, taken, withEarlier } from "./rows.js";

const LEAST = { chart: 8, footprint: 3 };
/* Heights in pixels of the footprint's rows: as it opens, and the least when the viewer asks for more columns. */
const [USUAL_ROW, LEAST_ROW] = [10, 4.5];
const PRICES_HEIGHT = 0.82;
/** @type {import("./page.d.ts").Chart} */
const chart = { state: nothing(), settled: 0, div: null, date: null, style: null, sumTicks: [[], []] };
of.chart = chart;
let following = true;
let urgent = false;
let bound = false;
let drawn = "";
/** @type {null | {x: [number, number], price: [number, number], volume?: [number, number], delta?: [number, number], cvd?: [number, number]}} */
let ranges = null;
/* The viewer's own part of the axes: columns shown while following, stretch of the prices, and what was panned to. */
let spans = { chart: null, footprint: null };
let stretch = 1;
/** @type {null | {x: [number, number], y: [number, number]}} */
let held = null;
let shownView = "";
let shownBuffer = 0;

const isChart = () => chart.state.mode === "chart";
of.isFollowing = () => following;
of.plot = () => (chart.state.rows ? plot.plotOf(chart.div) : null);
const nameOf = (view) => JSON.stringify([view.instrument, view.minutes, view.mode, view.date, view.replay]);
of.shows = (view) => Boolean(of.rows && of.rows.x.length) && nameOf(view) === shownView;

/* Where candles stand on the chart's time axis. */
let starts = { x: null, times: [] };
of.times = () => {
  const { x } = of.rows;
  if (starts.x !== x) starts = { x, times: places(x, columnMs()) };
  return starts.times;
};

/* The row of the footprint's column 0; earlier columns are negative, so that none moves when candles join. */
of.base = () => lowerBound(of.rows.x, chart.state.anchor || (of.rows.x[0] ?? ""));
const firstColumn = () => (chart.state.cells.length ? lowerBound(of.rows.x, chart.state.cells[0].x) - of.base() : 0);
const endColumn = () => of.rows.x.length - of.base();

/* The cells of the footprint with the columns they stand in; settled are all but that of a forming candle. */
of.columns = () => {
  const base = of.base();
  return chart.state.cells.map((cell) => ({ cell, column: lowerBound(of.rows.x, cell.x) - base }));
};
of.formingColumn = () => {
  const { x, final } = of.rows;
  return x.length && !final[x.length - 1] ? x.length - 1 - of.base() : Infinity;
};

/* A reconnect brings the same view again and keeps what was panned to; another view starts at its newest candle. */
function take(message) {
  const { view } = message;
  const name = view ? nameOf(view) : shownView;
  const same = name === shownView && chart.state.mode === (message.mode || chart.state.mode);
  const before = chart.state;
  chart.state = taken(before, message, same);
  of.rows = chart.state.rows;
  if (message.cells && message.cells.some((cell) => cell.x !== of.rows.x[of.rows.x.length - 1])) urgent = true;
  if (message.gaps) urgent = true;
  if (message.type !== "whole") {
    if (message.from && message.from <= before.rows?.x[chart.settled - 1]) urgent = true;
    return;
  }
  urgent = true;
  ranges = null;
  if (view && view.buffer !== shownBuffer) spans.chart = null;
  if (view) [shownView, shownBuffer, chart.date] = [name, view.buffer, message.date || view.date];
  if (!same) stretch = 1;
  const stays = same && (isChart() ? before.rows?.x[0] === of.rows.x[0] : before.anchor === chart.state.anchor);
  if (!stays) of.older.forget();
  if (!same || (held && !isChart() && !stays)) setFollowing(true);
}

of.takeEarlier = (answer) => {
  chart.state = withEarlier(chart.state, answer);
  of.rows = chart.state.rows;
  of.refit();
};

function setFollowing(yes) {
  if (yes) held = null;
  if (following !== yes || yes) of.emit("following", yes);
  following = yes;
}

const known = (values) => values.filter((value) => value !== null && value !== undefined);
const inside = (range, low, high) => range && low >= range[0] && high <= range[1];
const columnMs = () => of.view.minutes * 60000;
const unit = () => (isChart() ? columnMs() : 1);
/** @param {[number, number]} range @returns {[number, number]} */
const stretched = ([low, high]) => [(low + high - (high - low) * stretch) / 2, (low + high + (high - low) * stretch) / 2];

/* The time in view: what was panned to, else up to the newest candle, or from the session's start while candles are few. */
/** @returns {[number, number]} */
function timeRange() {
  if (held) return held.x;
  const x = of.times();
  const step = columnMs();
  const shown = spans.chart || Math.max(Math.min(x.length, of.view.buffer), 24);
  const first = x.length ? x[Math.max(0, x.length - shown)] : toMs((chart.date || labelOf(of.serverNow()).slice(0, 10)) + " 09:15:00");
  const last = x.length ? x[x.length - 1] : first;
  if (x.length < 24 && !spans.chart) return [first - 0.6 * step, first + (shown + 1.4) * step];
  return [last - (shown - 0.4) * step, last + step * Math.max(2, shown * 0.03)];
}

/* Prices, volumes and deltas fit the candles in view; they move only when something would leave them. */
function fitChart(changed) {
  const { rows } = of;
  const time = timeRange();
  if (!rows.x.length) {
    ranges = { x: time, price: [0, 1] };
    return;
  }
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
  const calm = ranges && !changed && inside(ranges.price, low, high) && inside(ranges.volume, 0, top) && inside(ranges.delta, deltas[0], deltas[1]) && inside(ranges.cvd, sums[0], sums[1]);
  if (calm) return;
  const pad = Math.max((high - low) * 0.07, high * 0.0003);
  const reach = Math.max(1, -deltas[0], deltas[1]) * 1.15;
  const slack = Math.max(1, (sums[1] - sums[0]) * 0.12);
  ranges = { x: time, price: [low - pad, high + pad], volume: [0, top * 1.12], delta: [deltas[0] < 0 ? -reach : 0, reach], cvd: [sums[0] - slack, sums[1] + slack] };
  urgent = true;
}

/* Show the newest columns, and of the prices as many as stay legible: the newest candle always, older ones while they fit. */
function fitFootprint(changed) {
  const { rows } = of;
  const { step } = chart.state;
  if (held) {
    ranges = { x: held.x, price: held.y };
    return;
  }
  if (!rows.x.length) {
    ranges = { x: [-0.6, 11.6], price: [0, 1] };
    return;
  }
  const usual = Math.max(3, Math.floor(chart.div.clientWidth / 84));
  const columns = Math.round(spans.footprint || usual);
  const [least, end] = [firstColumn(), endColumn()];
  const from = rows.x.length - Math.min(columns, end - least);
  const candles = rows.low.slice(from).map((low, index) => [low, rows.high[from + index]]).reverse();
  const most = (step * chart.div.clientHeight * PRICES_HEIGHT) / (columns > usual ? LEAST_ROW : USUAL_ROW);
  let [low, high] = candles[0];
  for (const [bottom, top] of candles) {
    const wider = [Math.min(low, bottom), Math.max(high, top)];
    if (wider[1] - wider[0] > most) break;
    [low, high] = wider;
  }
  if (ranges && !changed && inside(ranges.price, candles[0][0], candles[0][1])) return;
  const pad = step * 2 + Math.max(0, (most * 0.55 - (high - low)) / 2);
  ranges = { x: [Math.max(end - columns, least) - 0.55, Math.max(end, columns + least) - 0.35], price: [low - pad, high + pad] };
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

function hold() {
  const { x, price } = of.plot();
  held = { x: [x.range[0], x.range[1]], y: [price.range[0], price.range[1]] };
  keepCandles();
  setFollowing(false);
}

/* A tenth of what is shown holds candles, however far was panned. */
function keepCandles() {
  if (!of.rows.x.length) return;
  const span = held.x[1] - held.x[0];
  const times = isChart() ? of.times() : null;
  const [first, last] = times ? [times[0], times[times.length - 1]] : [firstColumn(), endColumn()];
  const from = Math.min(Math.max(held.x[0], first - span * 0.9), last - span * 0.1);
  held.x = [from, from + span];
}

const movable = () => (of.rows && of.rows.x.length ? of.plot() : null);

/* Show `factor` times as many columns: the newest stays in view while followed, else the one at `pixel` stays in place. */
of.zoomTime = (factor, pixel) => {
  const drawnPlot = movable();
  if (!drawnPlot) return;
  const axis = drawnPlot.x;
  const { mode } = chart.state;
  const [from, to] = held ? held.x : axis.range;
  const present = isChart() ? of.rows.x.length : endColumn() - firstColumn();
  const most = Math.max(present, isChart() ? 24 : 12) * (of.older.more ? 1.2 : 1);
  const columns = Math.min(Math.max(((to - from) / unit()) * factor, LEAST[mode]), most * 1.2);
  if (held) {
    const share = Math.min(Math.max((pixel - axis.start) / axis.length, 0), 1);
    const pivot = from + (to - from) * share;
    held.x = [pivot - columns * unit() * share, pivot + columns * unit() * (1 - share)];
  } else {
    const shown = isChart() ? columns - Math.max(1.6, columns * 0.03) : columns - 0.2;
    spans[mode] = Math.min(Math.max(shown, LEAST[mode]), most);
  }
  refit();
};

of.panTime = (pixels) => {
  const drawnPlot = movable();
  if (!drawnPlot) return;
  if (!held) hold();
  const by = ((held.x[1] - held.x[0]) / drawnPlot.x.length) * pixels;
  held.x = [held.x[0] + by, held.x[1] + by];
  keepCandles();
  refit();
};

/* Pan by a part of the width; to the right at most to the newest candle, which is then followed again. */
of.panShare = (share) => {
  const drawnPlot = movable();
  if (!drawnPlot || (share > 0 && following)) return;
  of.panTime(drawnPlot.x.length * share);
  const newest = isChart() ? of.times()[of.rows.x.length - 1] : endColumn() - 1;
  if (share > 0 && held.x[1] > newest + unit()) of.follow();
};

of.resetZoom = () => {
  spans = { chart: null, footprint: null };
  of.follow();
};

of.zoomPrice = (factor) => {
  if (held && !isChart()) {
    const [low, high] = held.y;
    held.y = [(low + high - (high - low) * factor) / 2, (low + high + (high - low) * factor) / 2];
  } else stretch = Math.min(Math.max(stretch * factor, 0.1), 10);
  refit();
};

of.fitPrice = () => {
  stretch = 1;
  refit();
};

of.follow = () => {
  stretch = 1;
  setFollowing(true);
  ranges = null;
  urgent = true;
  draw();
};

/* Drawing ------------------------------------------------------------------------------------------------------------ */
function draw() {
  const { rows } = of;
  if (!rows || !plot.ready()) return;
  const settled = settledCount(rows);
  /* By time, not by count. */
  const shown = [rows.x[0], rows.x[settled - 1], rows.x.length].join();
  const changed = shown !== drawn;
  chart.settled = settled;
  drawn = shown;
  if (changed) urgent = true;
  (isChart() ? fitChart : fitFootprint)(changed || !ranges);
  if (urgent) plotSettled();
  of.drawLive();
  const all = isChart() ? spans.chart !== null && spans.chart >= rows.x.length : ranges.x[1] - ranges.x[0] > endColumn() - firstColumn() + 0.5;
  of.older.seek(ranges.x, isChart() ? of.times()[0] : firstColumn() - 0.5, all);
  of.emit("drawn", null);
}

function plotSettled() {
  urgent = false;
  plot.draw(chart.div, isChart() ? candlesFigure() : footprintFigure());
  of.drawNumbers();
  if (bound) return;
  bound = true;
  plot.listen(chart.div, {
    moved: () => {
      hold();
      refit();
    },
    moving: () => {
      of.drawNumbers();
      of.drawLive();
    },
    doubled: () => of.follow(),
  });
  performance.mark("orderflow.first_chart");
}

const plain = (value) => of.short(value).replace(/\.?0+(?=[A-Z])/, "");
/* How many values have room on an axis. */
const room = (name, pixels) => Math.floor((chart.div.clientHeight * HEIGHTS[name]) / pixels);

function candlesFigure() {
  const { rows } = of;
  const times = of.times();
  const [from, to] = ranges.x;
  const begin = Math.max(lowerBound(times, from - (to - from)) - 1, 0);
  const end = Math.max(Math.min(chart.settled, lowerBound(times, to + (to - from)) + 1), begin);
  const pixels = (chart.div.clientWidth * columnMs()) / (to - from);
  const mark = Math.min(Math.max(pixels * 0.8, 3), 8);
  const axes = { x: ranges.x, ranges: { ...ranges, price: stretched(ranges.price) }, ticks: {} };
  if (rows.x.length) {
    const { price, volume, delta, cvd } = axes.ranges;
    chart.sumTicks = valueTicks(cvd, room("cvd", 24), plain);
    axes.ticks = {
      price: valueTicks(price, room("price", 44), (value) => of.price(value)),
      volume: valueTicks(volume, room("volume", 34), plain),
      delta: valueTicks(delta, room("delta", 34), plain),
      x: timeTicks(rows.x, times, ranges.x, { minutes: of.view.minutes, unit: columnMs(), pixels: (chart.div.clientWidth - 64) * CANDLES_WIDTH, beyond: true }),
    };
  }
  const { gaps, earlierGaps } = chart.state;
  const spansOf = [...earlierGaps, ...gaps].map(placed);
  const theme = colors();
  return { data: candleTraces(rows, times, [begin, end], mark, theme), layout: chartLayout(axes, pixels < 5 ? 0.05 : 0.25, gapShapes(spansOf, theme), theme) };
}

/* An outage's place on the time axis: that of its session. */
function placed([from, to]) {
  const { x } = of.rows;
  const at = Math.min(lowerBound(x, from.slice(0, 10)), x.length - 1);
  const by = at < 0 ? 0 : of.times()[at] - toMs(x[at]);
  return /** @type {[number, number]} */ ([toMs(from) + by, toMs(to) + by]);
}

function footprintFigure() {
  const { rows } = of;
  const price = held ? ranges.price : stretched(ranges.price);
  const base = of.base();
  const axes = { x: ranges.x, ranges: { price }, ticks: {} };
  if (rows.x.length)
    axes.ticks = {
      price: valueTicks(price, Math.floor((chart.div.clientHeight * 0.85) / 44), (value) => of.price(value)),
      x: timeTicks(rows.x, rows.x.map((_, index) => index - base), ranges.x, { minutes: of.view.minutes, unit: 1, pixels: chart.div.clientWidth - 64, beyond: false }),
    };
  const size = { width: chart.div.clientWidth - 64, height: chart.div.clientHeight * PRICES_HEIGHT };
  chart.style = cellStyle(chart.state, of.view.cells, size, { columns: ranges.x[1] - ranges.x[0], prices: price[1] - price[0] });
  return { data: FOOTPRINT_TRACES, layout: footprintLayout(axes, colors()) };
}

of.toMs = toMs;
of.toLabel = toLabel;
of.begins = (index) => begins(of.rows, index);
of.on("message", take);
of.on("draw", draw);
of.startChart = () => {
  chart.div = of.byId("of-chart");
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  new ResizeObserver(() => {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!of.rows) return;
      ranges = null;
      urgent = true;
      draw();
    }, 120);
  }).observe(chart.div);
};
