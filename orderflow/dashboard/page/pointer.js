/* The pointer on the chart: crosshair with the price and the time under it, the candle for the legend, wheel, touch and the price axis. */
import { of } from "./base.js";
import { dayOf, toLabel } from "./format.js";
import { lowerBound } from "./rows.js";

/**
 * @typedef {import("./page.d.ts").Axis} Axis
 * @typedef {import("./page.d.ts").Plot} Plot
 * @typedef {{x: number, y: number}} Place
 */

const { el } = of;
const FINGER_PIXELS = 6;
/** @type {Map<number, Place & {panning?: boolean}>} */
const fingers = new Map();
/** @type {ReturnType<typeof makeNodes> | null} */
let nodes = null;
/** @type {Place | null} */
let place = null;
/** @type {string | null} */
let hovered = null;

/* The drawn figure and the candles in it; null when there is none. */
function plotted() {
  const { rows } = of;
  const plot = rows && rows.x.length ? of.plot() : null;
  return rows && plot && { rows, plot };
}
const isFootprint = () => of.chart.state.mode === "footprint";
/** @param {Axis} axis @param {number} pixel */
const holds = (axis, pixel) => axis.length > 0 && pixel >= axis.start && pixel <= axis.end;

/**
 * The row of the candle at a pixel: that of the nearest start; in the footprint that of the column. -1 beside the candles.
 * @param {number} count of the candles @param {Axis} axis @param {number} pixel
 */
function rowAt(count, axis, pixel) {
  const at = axis.value(pixel);
  if (isFootprint()) {
    const row = of.base() + Math.round(at);
    return row >= 0 && row < count ? row : -1;
  }
  const times = of.times();
  const half = of.view.minutes * 30000;
  const low = Math.min(lowerBound(times, at - half), times.length - 1);
  return Math.abs(times[low] - at) <= half ? low : -1;
}

/* Units of price in a rupee, the finest of any instrument: price_unit.FINEST. */
const UNITS = 10000;

/** The tick in units: the largest step that divides the shown prices, at most five rupees. @param {import("./page.d.ts").Facts} rows */
function tick(rows) {
  let size = 5 * UNITS;
  for (const prices of [rows.open, rows.high, rows.low, rows.close])
    for (const price of prices) {
      let [one, two] = [size, price === null ? 0 : Math.round(price * UNITS)];
      while (two) [one, two] = [two, one % two];
      size = one;
    }
  return Math.max(size, 1);
}

/** What the axis says at a pixel. @param {Plot} plot @param {import("./page.d.ts").Facts} rows @param {number} pixel */
function level(plot, rows, pixel) {
  if (holds(plot.price, pixel)) return of.price(priceAt(plot, rows, pixel));
  if (isFootprint()) return null;
  if (plot.volume && holds(plot.volume, pixel)) return of.short(Math.round(plot.volume.value(pixel)));
  if (plot.delta && holds(plot.delta, pixel)) return of.short(Math.round(plot.delta.value(pixel)), true);
  return null;
}

/** @param {Plot} plot @param {import("./page.d.ts").Facts} rows @param {number} pixel */
function priceAt(plot, rows, pixel) {
  const { step, ticks } = of.chart.state;
  const size = isFootprint() ? Math.round((step * UNITS) / ticks) : tick(rows);
  return (Math.round((plot.price.value(pixel) * UNITS) / size) * size) / UNITS;
}

/* The price under a pixel of the chart, in ticks as the crosshair shows it; null beside the prices. */
of.priceAt = (x, y) => {
  const shown = plotted();
  return shown && holds(shown.plot.x, x) && holds(shown.plot.price, y) ? priceAt(shown.plot, shown.rows, y) : null;
};

function draw() {
  if (!nodes) return;
  const { column, line, time, level: price } = nodes;
  for (const node of [column, line, time, price]) node.hidden = true;
  const shown = plotted();
  if (!shown || !place || !holds(shown.plot.x, place.x)) {
    hover(null);
    return;
  }
  const { plot, rows } = shown;
  const row = rowAt(rows.x.length, plot.x, place.x);
  hover(row < 0 ? null : rows.x[row]);
  const words = level(plot, rows, place.y);
  const { x: axis, left, top, inner } = plot;
  const { offsetTop } = of.chart.div;
  const x = row < 0 ? place.x : axis.at(isFootprint() ? row - of.base() : of.times()[row]);
  const when = row >= 0 ? moment(rows.x, row) : isFootprint() ? "" : later(axis.value(x));
  put(column, { left: x, top: offsetTop + top, height: inner.height });
  if (when) {
    put(time, { left: x, top: offsetTop + top + inner.height });
    of.text(time, when);
  }
  if (words === null) return;
  put(line, { left, top: offsetTop + place.y, width: inner.width });
  put(price, { top: offsetTop + place.y });
  of.text(price, words);
}

/** A candle's time; before the newest session its day too. @param {string[]} x @param {number} row */
function moment(x, row) {
  return (x[row].slice(0, 10) === x[x.length - 1].slice(0, 10) ? "" : dayOf(x[row]) + " ") + x[row].slice(11, 16);
}

/** Right of the newest candle the axis tells the time; between sessions there is none. @param {number} at */
function later(at) {
  const times = of.times();
  return at > times[times.length - 1] ? toLabel(at).slice(11, 16) : "";
}

/** @param {HTMLElement} node @param {Partial<Record<"left" | "top" | "width" | "height", number>>} edges */
function put(node, edges) {
  node.hidden = false;
  for (const [name, value] of Object.entries(edges)) node.style.setProperty(name, Math.round(value) + "px");
}

/** @param {string | null} label */
function hover(label) {
  if (label === hovered) return;
  hovered = label;
  of.emit("hover", label);
}

/** @param {PointerEvent} event */
function move(event) {
  const box = of.chart.div.getBoundingClientRect();
  place = { x: event.clientX - box.left, y: event.clientY - box.top };
  draw();
}

function leave() {
  place = null;
  draw();
}

/** One finger pans in time, two zoom; up and down is left to the page. @param {PointerEvent} event */
function touch(event) {
  const before = fingers.get(event.pointerId);
  if (!before) return;
  const now = { x: event.clientX, y: event.clientY };
  if (fingers.size === 1) {
    if (!before.panning && Math.abs(now.x - before.x) < FINGER_PIXELS) return;
    of.panTime(before.x - now.x);
    fingers.set(event.pointerId, { ...now, panning: true });
    return;
  }
  const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, finger]) => finger);
  const was = Math.hypot(before.x - other.x, before.y - other.y);
  const is = Math.hypot(now.x - other.x, now.y - other.y);
  if (was > 20 && is > 20) of.zoomTime(was / is, (now.x + other.x) / 2 - of.chart.div.getBoundingClientRect().left);
  fingers.set(event.pointerId, now);
}

/** The wheel zooms the time; sideways it pans; with Shift or over the price axis it stretches the prices. @param {WheelEvent} event */
function wheel(event) {
  event.preventDefault();
  const pixels = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
  const [x, y] = [event.deltaX * pixels, event.deltaY * pixels];
  /** @param {number} by */
  const factor = (by) => Math.exp(Math.min(Math.max(by, -300), 300) * 0.0016);
  if (event.shiftKey || event.currentTarget === nodes?.priceAxis) of.zoomPrice(factor(y || x));
  else if (Math.abs(x) > Math.abs(y)) of.panTime(x);
  else of.zoomTime(factor(y), event.clientX - of.chart.div.getBoundingClientRect().left);
}

/**
 * An axis that is dragged.
 * @param {{id: string, title: string}} names
 * @param {(event: PointerEvent) => number} along where the pointer is on it
 * @param {(pixels: number) => void} drag
 * @param {() => void} reset
 */
function axisNode(names, along, drag, reset) {
  /** @type {number | null} */
  let from = null;
  const node = el("div", {
    ...names,
    onpointerdown: (event) => {
      from = along(event);
      node.setPointerCapture(event.pointerId);
    },
    onpointermove: (event) => {
      if (from === null) return;
      drag(along(event) - from);
      from = along(event);
    },
    onpointerup: () => (from = null),
    onpointercancel: () => (from = null),
    ondblclick: reset,
  });
  node.addEventListener("wheel", wheel, { passive: false });
  return node;
}

/* On the time axis a drag to the left shows more candles, to the right fewer, as on a price axis turned over. */
function makeNodes() {
  /** @param {string} name @param {string} kind */
  const cross = (name, kind) => {
    const node = el("div", { id: "of-cross-" + name, class: kind });
    node.hidden = true;
    return node;
  };
  const made = {
    column: cross("column", "cross"),
    line: cross("line", "cross"),
    time: cross("time", "tag reading"),
    level: cross("level", "tag reading"),
    priceAxis: axisNode({ id: "of-axis", title: "Drag or wheel: stretch the prices; double click: fit them" }, (event) => event.clientY, (pixels) => of.zoomPrice(Math.exp(pixels * 0.006)), () => of.fitPrice()),
    timeAxis: axisNode({ id: "of-time-axis", title: "Drag or wheel: zoom the time; double click: reset" }, (event) => event.clientX, (pixels) => of.zoomTime(Math.exp(-pixels * 0.005), Infinity), () => of.resetZoom()),
  };
  of.byId("of-centre").append(...Object.values(made));
  return made;
}

of.on("drawn", () => {
  const shown = plotted();
  if (shown && nodes) {
    const { plot } = shown;
    const { offsetTop } = of.chart.div;
    put(nodes.timeAxis, { top: offsetTop + plot.top + plot.inner.height, left: plot.left, height: plot.bottom, width: plot.x.length });
    put(nodes.priceAxis, { top: offsetTop + plot.price.start, height: plot.price.length, width: plot.right });
  }
  if (place) draw();
});

of.startPointer = () => {
  const { div } = of.chart;
  nodes = makeNodes();
  div.addEventListener("wheel", wheel, { passive: false });
  div.addEventListener("pointermove", (event) => {
    if (event.pointerType === "touch") touch(event);
    if (fingers.size < 1) move(event);
  });
  div.addEventListener("pointerleave", leave);
  div.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "touch") return;
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    move(event);
  });
  for (const name of /** @type {const} */ (["pointerup", "pointercancel", "pointerleave"])) div.addEventListener(name, (event) => fingers.delete(event.pointerId));
  window.addEventListener("resize", leave);
};
