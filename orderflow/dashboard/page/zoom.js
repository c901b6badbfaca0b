/* The viewer's own part of the axes: wheel, pinch, drag and keys zoom and pan. */
import { of } from "./base.js";
import { stretched } from "./fit.js";

/** @typedef {import("./page.d.ts").Range} Range */

const LEAST = { chart: 8, footprint: 3 };
const LEAST_ROOM = { chart: 24, footprint: 12 };

/**
 * Columns shown while the newest candle is followed, stretch of the prices, and what was panned to.
 * @type {{spans: Record<"chart" | "footprint", number | null>, stretch: number, held: {x: Range, price: Range} | null}}
 */
export const own = { spans: { chart: null, footprint: null }, stretch: 1, held: null };

/* A column's width on the axis of the time, and where the first and the last candle stand on it. */
function candles() {
  const { mode } = of.chart.state;
  const times = mode === "chart" ? of.times() : [];
  const [first, last] = mode === "chart" ? [times[0], times[times.length - 1]] : of.span();
  return { mode, unit: mode === "chart" ? of.view.minutes * 60000 : 1, count: mode === "chart" ? times.length : last - first, first, last };
}

/* The drawn figure, when there are candles to move. */
const movable = () => (of.rows && of.rows.x.length ? of.plot() : null);

/** Show what Plotly's drag has moved to, or what is shown, until the newest candle is followed again. */
export function hold() {
  const plot = movable();
  if (!plot) return;
  own.held = { x: kept(plot.x.range), price: plot.price.range };
  of.setFollowing(false);
}

/** A tenth of what is shown holds candles, however far was panned. @param {Range} x @returns {Range} */
function kept([from, to]) {
  const { first, last } = candles();
  const span = to - from;
  const start = Math.min(Math.max(from, first - span * 0.9), last - span * 0.1);
  return [start, start + span];
}

/* Show `factor` times as many columns: the newest stays in view while followed, else the one at `pixel` stays in place. */
of.zoomTime = (factor, pixel) => {
  const plot = movable();
  if (!plot) return;
  const axis = plot.x;
  const { mode, unit, count } = candles();
  const [from, to] = own.held ? own.held.x : axis.range;
  const most = Math.max(count, LEAST_ROOM[mode]) * (of.older.more ? 1.2 : 1);
  const columns = Math.min(Math.max(((to - from) / unit) * factor, LEAST[mode]), most * 1.2);
  if (own.held) {
    const share = Math.min(Math.max((pixel - axis.start) / axis.length, 0), 1);
    const pivot = from + (to - from) * share;
    own.held.x = [pivot - columns * unit * share, pivot + columns * unit * (1 - share)];
  } else {
    const shown = mode === "chart" ? columns - Math.max(1.6, columns * 0.03) : columns - 0.2;
    own.spans[mode] = Math.min(Math.max(shown, LEAST[mode]), most);
  }
  of.refit();
};

of.panTime = (pixels) => {
  const plot = movable();
  if (!plot) return;
  if (!own.held) hold();
  if (!own.held) return;
  const [from, to] = own.held.x;
  const by = ((to - from) / plot.x.length) * pixels;
  own.held.x = kept([from + by, to + by]);
  of.refit();
};

/* Pan by a part of the width; to the right at most to the newest candle, which is then followed again. */
of.panShare = (share) => {
  const plot = movable();
  if (!plot || (share > 0 && of.isFollowing())) return;
  of.panTime(plot.x.length * share);
  const { mode, unit, last } = candles();
  const newest = mode === "chart" ? last : last - 1;
  if (share > 0 && own.held && own.held.x[1] > newest + unit) of.follow();
};

of.resetZoom = () => {
  own.spans = { chart: null, footprint: null };
  of.follow();
};

of.zoomPrice = (factor) => {
  if (own.held && of.chart.state.mode === "footprint") own.held.price = stretched(own.held.price, factor);
  else own.stretch = Math.min(Math.max(own.stretch * factor, 0.1), 10);
  of.refit();
};

of.fitPrice = () => {
  own.stretch = 1;
  of.refit();
};
