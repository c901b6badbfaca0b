/* The chart: what of the held rows is in view, and when Plotly draws the settled ones again. What still forms is drawn over it by
   the layers (draw/layers.js) within a millisecond or two. */
import { timeTicks, valueTicks } from "./axes.js";
import { of } from "./base.js";
import { colors } from "./colors.js";
import { cellStyle } from "./draw/style.js";
import { CANDLES_WIDTH, FOOTPRINT_TRACES, HEIGHTS, candleTraces, chartLayout, footprintLayout, gapShapes } from "./figure.js";
import { chartRanges, footprintRanges, stretched, timeRange } from "./fit.js";
import { labelOf, toMs } from "./format.js";
import * as plot from "./plot.js";
import { lowerBound, nothing, places, settledCount, taken, withEarlier } from "./rows.js";
import { hold, own } from "./zoom.js";

/**
 * @typedef {import("./page.d.ts").Facts} Facts
 * @typedef {import("./page.d.ts").Range} Range
 * @typedef {import("./fit.js").Ranges} Ranges
 * @typedef {Pick<import("./page.d.ts").View, "instrument" | "minutes" | "mode" | "date" | "replay">} Named
 */

const PRICES_HEIGHT = 0.82;
/* What the axis of the prices takes of the width, in pixels. */
const AXIS_WIDTH = 64;
/** @type {string[]} */
const NO_LABELS = [];
/** @type {import("./page.d.ts").Chart} */
const chart = {
  state: nothing(), settled: 0, date: null, style: null, sumTicks: [[], []], largest: { level: 1, side: 1 },
  get div() {
    return of.byId("of-chart");
  },
};
of.chart = chart;
let following = true;
let urgent = false;
let bound = false;
let drawn = "";
/** @type {Ranges | null} */
let ranges = null;
let shownView = "";
let shownBuffer = 0;

const isChart = () => chart.state.mode === "chart";
const columnMs = () => of.view.minutes * 60000;
const labels = () => (of.rows ? of.rows.x : NO_LABELS);
of.isFollowing = () => following;
of.plot = () => (chart.state.rows ? plot.plotOf(chart.div) : null);
/** @param {Named} view */
const nameOf = ({ instrument, minutes, mode, date, replay }) => JSON.stringify([instrument, minutes, mode, date, replay]);
of.shows = (view) => labels().length > 0 && nameOf(view) === shownView;

/* Where candles stand on the chart's time axis. */
/** @type {{x: string[], times: number[]}} */
let starts = { x: NO_LABELS, times: [] };
of.times = () => {
  const x = labels();
  if (starts.x !== x) starts = { x, times: places(x, columnMs()) };
  return starts.times;
};

/* The row of the footprint's column 0; earlier columns are negative, so that none moves when candles join. */
of.base = () => lowerBound(labels(), chart.state.anchor || (labels()[0] ?? ""));
/* The footprint's columns: the first that has cells, and the one after the last. */
of.span = () => [chart.state.cells.length ? lowerBound(labels(), chart.state.cells[0].x) - of.base() : 0, labels().length - of.base()];

/* The cells of the footprint with the columns they stand in; settled are all but that of a forming candle. */
of.columns = () => {
  const base = of.base();
  return chart.state.cells.map((cell) => ({ cell, column: lowerBound(labels(), cell.x) - base }));
};
of.formingColumn = () => {
  const newest = labels().length - 1;
  return of.rows && newest >= 0 && !of.rows.final[newest] ? newest - of.base() : Infinity;
};

/**
 * A reconnect brings the same view again and keeps what was panned to; another view starts at its newest candle.
 * @param {import("./page.d.ts").Update} message
 */
function take(message) {
  const { view, from, cells } = message;
  const name = view ? nameOf(view) : shownView;
  const same = name === shownView && chart.state.mode === (message.mode || chart.state.mode);
  const before = chart.state;
  chart.state = taken(before, message, same);
  of.rows = chart.state.rows;
  const newest = labels()[labels().length - 1];
  if (cells && cells.some((cell) => cell.x !== newest)) urgent = true;
  if (message.gaps) urgent = true;
  if (message.type !== "whole") {
    const settled = before.rows?.x[chart.settled - 1];
    if (from && settled && from <= settled) urgent = true;
    return;
  }
  urgent = true;
  ranges = null;
  if (view && view.buffer !== shownBuffer) own.spans.chart = null;
  if (view) of.live = Boolean(message.live);
  if (view) [shownView, shownBuffer, chart.date] = [name, view.buffer, message.date || view.date];
  if (!same) own.stretch = 1;
  const stays = same && (isChart() ? before.rows?.x[0] === labels()[0] : before.anchor === chart.state.anchor);
  if (!stays) of.older.forget();
  if (!same || (own.held && !isChart() && !stays)) of.setFollowing(true);
}

of.takeEarlier = (answer) => {
  chart.state = withEarlier(chart.state, answer);
  of.rows = chart.state.rows;
  of.refit();
};

of.setFollowing = (yes) => {
  if (yes) own.held = null;
  if (following !== yes || yes) of.emit("following", yes);
  following = yes;
};

/** @param {Facts} rows @param {Ranges | null} held what may stay as it is @returns {Ranges} */
function fitted(rows, held) {
  const { clientWidth: width, clientHeight: height } = chart.div;
  if (isChart()) {
    const times = of.times();
    const opening = toMs((chart.date || labelOf(of.serverNow()).slice(0, 10)) + " 09:15:00");
    const time = own.held ? own.held.x : timeRange(times, { chosen: own.spans.chart, buffer: of.view.buffer, step: columnMs(), opening });
    return chartRanges(rows, times, time, columnMs(), held);
  }
  const usual = Math.max(3, Math.floor(width / 84));
  const [first, end] = of.span();
  const columns = Math.round(own.spans.footprint || usual);
  return footprintRanges(rows, { first, end, columns, usual, step: chart.state.step, height: height * PRICES_HEIGHT }, held);
}

let asked = false;
of.refit = () => {
  ranges = null;
  urgent = true;
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
};

of.follow = () => {
  own.stretch = 1;
  of.setFollowing(true);
  ranges = null;
  urgent = true;
  draw();
};

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
  const { held } = own;
  /* A footprint that was panned stays where it is; else what is new is drawn where it fits. */
  const next = held && !isChart() ? held : fitted(rows, changed ? null : ranges);
  if (next !== ranges && next !== held && rows.x.length) urgent = true;
  ranges = next;
  if (urgent) plotSettled(rows, next);
  of.drawLive();
  const [first, end] = of.span();
  const all = isChart() ? own.spans.chart !== null && own.spans.chart >= rows.x.length : next.x[1] - next.x[0] > end - first + 0.5;
  of.older.seek(next.x, isChart() ? of.times()[0] : first - 0.5, all);
  of.emit("drawn", null);
}

/** @param {Facts} rows @param {Ranges} shown */
function plotSettled(rows, shown) {
  urgent = false;
  plot.draw(chart.div, isChart() ? candlesFigure(rows, shown) : footprintFigure(rows, shown));
  of.drawNumbers();
  if (bound) return;
  bound = true;
  plot.listen(chart.div, {
    moved: () => {
      hold();
      of.refit();
    },
    moving: () => {
      of.drawNumbers();
      of.drawLive();
    },
    doubled: () => of.follow(),
  });
  performance.mark("orderflow.first_chart");
}

/** @param {number} value */
const plain = (value) => of.short(value).replace(/\.?0+(?=[A-Z])/, "");
/** @param {number} value */
const priced = (value) => of.price(value);
/** How many values have room on an axis. @param {string} name @param {number} pixels */
const room = (name, pixels) => Math.floor((chart.div.clientHeight * HEIGHTS[name]) / pixels);

/** @param {Facts} rows @param {Ranges} shown */
function candlesFigure(rows, shown) {
  const times = of.times();
  const [from, to] = shown.x;
  const width = chart.div.clientWidth;
  const begin = Math.max(lowerBound(times, from - (to - from)) - 1, 0);
  const end = Math.max(Math.min(chart.settled, lowerBound(times, to + (to - from)) + 1), begin);
  const pixels = (width * columnMs()) / (to - from);
  const mark = Math.min(Math.max(pixels * 0.8, 3), 8);
  const { volume, delta, cvd } = shown;
  const price = stretched(shown.price, own.stretch);
  /** @type {import("./figure.js").Axes} */
  const axes = { x: shown.x, ranges: { price, volume, delta, cvd }, ticks: {} };
  if (volume && delta && cvd) {
    chart.sumTicks = valueTicks(cvd, room("cvd", 24), plain);
    axes.ticks = {
      price: valueTicks(price, room("price", 44), priced),
      volume: valueTicks(volume, room("volume", 34), plain),
      delta: valueTicks(delta, room("delta", 34), plain),
      x: timeTicks(rows.x, times, shown.x, { minutes: of.view.minutes, unit: columnMs(), pixels: (width - AXIS_WIDTH) * CANDLES_WIDTH, beyond: true }),
    };
  }
  const theme = colors();
  const outages = [...chart.state.earlierGaps, ...chart.state.gaps].map((gap) => placed(rows.x, gap));
  return { data: candleTraces(rows, times, [begin, end], mark, theme), layout: chartLayout(axes, pixels < 5 ? 0.05 : 0.25, gapShapes(outages, theme), theme) };
}

/** An outage's place on the time axis: that of its session. @param {string[]} x @param {[string, string]} gap @returns {Range} */
function placed(x, [from, to]) {
  const at = Math.min(lowerBound(x, from.slice(0, 10)), x.length - 1);
  const by = at < 0 ? 0 : of.times()[at] - toMs(x[at]);
  return [toMs(from) + by, toMs(to) + by];
}

/** @param {Facts} rows @param {Ranges} shown */
function footprintFigure(rows, shown) {
  const { clientWidth: width, clientHeight: height } = chart.div;
  const price = own.held ? shown.price : stretched(shown.price, own.stretch);
  const base = of.base();
  /** @type {import("./figure.js").Axes} */
  const axes = { x: shown.x, ranges: { price }, ticks: {} };
  if (rows.x.length)
    axes.ticks = {
      price: valueTicks(price, Math.floor((height * 0.85) / 44), priced),
      x: timeTicks(rows.x, rows.x.map((_, index) => index - base), shown.x, { minutes: of.view.minutes, unit: 1, pixels: width - AXIS_WIDTH, beyond: false }),
    };
  const size = { width: width - AXIS_WIDTH, height: height * PRICES_HEIGHT };
  chart.style = cellStyle(chart.state, of.view.cells, size, { columns: shown.x[1] - shown.x[0], prices: price[1] - price[0] });
  return { data: FOOTPRINT_TRACES, layout: footprintLayout(axes, colors()) };
}

of.on("message", take);
of.on("draw", draw);
of.startChart = () => {
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
