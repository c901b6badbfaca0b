/* The figures that Plotly draws: the settled candles of the three panels, and the footprint's empty panes. Rows in, figure out. */
import { faded, sideColor } from "./colors.js";
import { begins } from "./rows.js";

/**
 * @typedef {import("./page.d.ts").Facts} Facts
 * @typedef {import("./colors.js").Colors} Colors
 * @typedef {[number, number]} Range
 */

export const IMBALANCE_MARK = 0.6;
/** The share of the width that the candles have; the profile has what is right of it. */
export const CANDLES_WIDTH = 0.87;
export const PROFILE_LEFT = 0.875;
export const SUMS = ["Volume", "Delta", "CVD", "Unclass."];
const SIGMAS = /** @type {[string, number, number][]} */ ([["lower2", -2, 0.22], ["upper2", 2, 0.22], ["lower1", -1, 0.35], ["upper1", 1, 0.35]]);

/** VWAP and so many standard deviations. @param {Facts} rows @param {number} index @param {number} times @returns {number | null} */
export const band = (rows, index, times) => {
  const [mean, sigma] = [rows.vwap[index], rows.sigma[index]];
  return mean === null ? null : mean + times * (sigma || 0);
};

/** Where a candle's imbalance is marked: +1 below it, -1 above it, 0 nowhere. @param {Facts} rows @param {number} index */
export const markOf = (rows, index) => {
  const imbalance = rows.imbalance[index] || 0;
  return imbalance >= IMBALANCE_MARK ? 1 : imbalance <= -IMBALANCE_MARK ? -1 : 0;
};

/** The strip that says where a candle's figures come from. @param {Facts} rows @param {number} index @param {Colors} colors */
export const quality = (rows, index, colors) =>
  rows.gap[index] ? colors.gap : !rows.final[index] ? colors.grid : rows.exchange_bar[index] ? colors.confirmed : colors.neutral;

/**
 * Return the traces of the rows from `from` to `to`, which are settled.
 * @param {Facts} rows
 * @param {number[]} times where they stand
 * @param {[number, number]} part
 * @param {number} mark size of an imbalance's triangle
 * @param {Colors} colors
 */
export function candleTraces(rows, times, [from, to], mark, colors) {
  const indexes = [...Array(Math.max(to - from, 0))].map((_, offset) => from + offset);
  const x = times.slice(from, to);
  /** @template T @param {(index: number) => T} value */
  const each = (value) => indexes.map(value);
  const common = { hoverinfo: "none", showlegend: false };
  /** @param {string} uid @param {(index: number) => number | null} value @param {string} color @param {{width?: number, yaxis?: string}} more */
  const line = (uid, value, color, more = {}) => ({ ...common, uid, type: "scatter", mode: "lines", ...broken(rows, indexes, times, value), line: { color, width: more.width || 1.4 }, ...more });
  /** @param {string} uid @param {string} yaxis @param {(index: number) => number} value @param {string | string[]} color */
  const bars = (uid, yaxis, value, color) => ({ ...common, uid, type: "bar", yaxis, x, y: each(value), marker: { color, line: { width: 0 } } });
  /** @param {string} uid @param {1 | -1} way @param {string} color */
  const marks = (uid, way, color) => ({
    ...common, uid, type: "scatter", mode: "markers", cliponaxis: true, x,
    y: each((i) => (markOf(rows, i) === way ? (way > 0 ? rows.low : rows.high)[i] : null)),
    marker: { symbol: "triangle-up", size: mark, standoff: mark, color, ...(way < 0 ? { angle: 180 } : {}) },
  });
  const sessions = indexes.some((i) => i > from && begins(rows, i));
  const [low2, high2, low1, high1] = SIGMAS.map(([uid, sigmas, alpha]) => line(uid, (i) => band(rows, i, sigmas), faded(colors.vwap, alpha), { width: 1 }));
  /* A band across two sessions would also fill the break between them. */
  const fill = { fill: sessions ? "none" : "tonexty", fillcolor: faded(colors.vwap, 0.05) };
  const prices = /** @type {const} */ (["open", "high", "low", "close"]);
  const sides = each((i) => sideColor(colors, rows.delta[i], rows.final[i]));
  return [
    low2, { ...high2, ...fill }, low1, { ...high1, ...fill },
    line("vwap", (i) => rows.vwap[i], colors.vwap),
    {
      ...common, uid: "candles", type: "candlestick", x, ...Object.fromEntries(prices.map((name) => [name, each((i) => rows[name][i])])),
      increasing: { line: { color: colors.buy, width: 1 }, fillcolor: colors.buy }, decreasing: { line: { color: colors.sell, width: 1 }, fillcolor: colors.sell },
    },
    marks("buy_marks", 1, colors.buy),
    marks("sell_marks", -1, colors.sell),
    bars("quality", "y4", () => 1, each((i) => quality(rows, i, colors))),
    bars("volume", "y2", (i) => rows.total_volume[i] - rows.unclassified_volume[i], sides),
    bars("unclassified", "y2", (i) => rows.unclassified_volume[i], colors.neutral),
    bars("delta", "y3", (i) => rows.delta[i], sides),
    line("cvd", (i) => rows.cvd[i], colors.cvd, { yaxis: "y5" }),
  ];
}

/**
 * A running sum or mean begins anew with each session: its line breaks there.
 * @param {Facts} rows @param {number[]} indexes @param {number[]} times @param {(index: number) => number | null} value
 */
function broken(rows, indexes, times, value) {
  /** @type {{x: number[], y: (number | null)[]}} */
  const points = { x: [], y: [] };
  indexes.forEach((i, offset) => {
    if (offset && begins(rows, i)) {
      points.x.push(times[i]);
      points.y.push(null);
    }
    points.x.push(times[i]);
    points.y.push(value(i));
  });
  return points;
}

/** Shaded bands over all panes. @param {[number, number][]} spans on the time axis @param {Colors} colors */
export const gapShapes = (spans, colors) =>
  spans.map(([x0, x1]) => ({ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, fillcolor: colors.gap, opacity: 0.18, line: { width: 0 }, layer: "below" }));

/** What all figures have in common. @param {Colors} colors */
const frame = (colors) => ({
  paper_bgcolor: colors.paper,
  plot_bgcolor: colors.paper,
  font: { family: "Inter, 'Segoe UI', Roboto, sans-serif", size: 11, color: colors.label },
  margin: { l: 6, r: 58, t: 6, b: 20 },
  showlegend: false,
  dragmode: "pan",
  hovermode: false,
  barmode: "stack",
});

/**
 * @typedef {object} Axes what the page decides of a figure's axes
 * @property {Range} x
 * @property {Record<string, Range | undefined>} ranges by axis: price, volume, delta, cvd
 * @property {Record<string, [number[], string[]]>} ticks values and texts by axis: x, price, volume, delta
 */

/** The three-panel chart's layout. @param {Axes} axes @param {number} bargap @param {object[]} shapes @param {Colors} colors */
export function chartLayout({ x, ranges, ticks }, bargap, shapes, colors) {
  const plain = { gridcolor: colors.grid, zeroline: false, color: colors.label, tickfont: { size: 10 } };
  /** @param {string} name */
  const right = (name) => ({ ...plain, side: "right", anchor: "free", position: 1, fixedrange: true, ...ranged(ranges[name]), ...ticked(ticks[name]) });
  return {
    ...frame(colors),
    bargap,
    shapes,
    xaxis: { ...plain, domain: [0, CANDLES_WIDTH], anchor: "y3", rangeslider: { visible: false }, ...ranged(x), ...ticked(ticks.x) },
    yaxis: { ...right("price"), domain: [0.42, 1] },
    yaxis2: { ...right("volume"), domain: [0.21, 0.385] },
    yaxis3: { ...right("delta"), domain: [0, 0.195], zeroline: true, zerolinecolor: colors.zero },
    yaxis4: { domain: [0.395, 0.41], visible: false, range: [0, 1], fixedrange: true, anchor: "x" },
    yaxis5: { overlaying: "y3", side: "left", anchor: "x", fixedrange: true, showgrid: false, showticklabels: false, zeroline: true, zerolinecolor: faded(colors.cvd, 0.3), ...ranged(ranges.cvd) },
  };
}

/** The heights of the chart's panes as shares of its own. @type {Record<string, number>} */
export const HEIGHTS = { price: 0.58, volume: 0.175, delta: 0.195, cvd: 0.195 };

/** The footprint's panes: prices, and the sums under the columns. @param {Axes} axes @param {Colors} colors */
export function footprintLayout({ x, ranges, ticks }, colors) {
  const plain = { gridcolor: colors.grid, zeroline: false, color: colors.label, tickfont: { size: 10 }, side: "right" };
  return {
    ...frame(colors),
    xaxis: { ...plain, side: "bottom", anchor: "y2", showgrid: false, ...ranged(x), ...ticked(ticks.x) },
    yaxis: { ...plain, domain: [0.15, 1], ...ranged(ranges.price), ...ticked(ticks.price) },
    yaxis2: { ...plain, domain: [0, 0.13], range: [0.4, SUMS.length + 0.6], tickvals: SUMS.map((_, index) => SUMS.length - index), ticktext: SUMS, fixedrange: true, showgrid: false },
  };
}

/** Plotly draws an axis where a trace has it. */
export const FOOTPRINT_TRACES = ["y", "y2"].map((yaxis) => ({ uid: "pane_" + yaxis, type: "scatter", x: [], y: [], yaxis, hoverinfo: "none", showlegend: false }));

/** @param {Range | undefined} range */
const ranged = (range) => (range ? { range, autorange: false } : {});
/** @param {[number[], string[]] | undefined} ticks none: the axis has no labels */
const ticked = (ticks) => (ticks ? { tickmode: "array", tickvals: ticks[0], ticktext: ticks[1] } : { showticklabels: false });
