/* The pointer on the chart: crosshair with the price and the time under it, the candle for the legend, wheel, touch and the price axis. */
import { of } from "./base.js";
import { dayOf, toLabel } from "./format.js";
import { lowerBound } from "./rows.js";

const { el } = of;
const FINGER_PIXELS = 6;
const nodes = {};
const fingers = new Map();
let place = null;
let hovered = null;

const plotted = () => (of.rows && of.rows.x.length ? of.plot() : null);
const isFootprint = () => of.chart.state.mode === "footprint";
const holds = (axis, pixel) => axis && axis.length && pixel >= axis.start && pixel <= axis.end;

/* The row of the candle at a pixel: that of the nearest start; in the footprint that of the column. -1 beside the candles. */
function rowAt(axis, pixel) {
  const at = axis.value(pixel);
  if (isFootprint()) {
    const row = of.base() + Math.round(at);
    return row >= 0 && row < of.rows.x.length ? row : -1;
  }
  const times = of.times();
  const half = of.view.minutes * 30000;
  const low = Math.min(lowerBound(times, at - half), times.length - 1);
  return Math.abs(times[low] - at) <= half ? low : -1;
}

/* Units of price in a rupee, the finest of any instrument: price_unit.FINEST. */
const UNITS = 10000;

/* The tick in units: the largest step that divides the shown prices, at most five rupees. */
function tick() {
  const { rows } = of;
  let size = 5 * UNITS;
  for (const name of ["open", "high", "low", "close"])
    for (const price of rows[name]) {
      let [one, two] = [size, price === null ? 0 : Math.round(price * UNITS)];
      while (two) [one, two] = [two, one % two];
      size = one;
    }
  return Math.max(size, 1);
}

function level(plot, pixel) {
  const name = ["price", "volume", "delta"].find((one) => holds(plot[one], pixel));
  if (!name || (isFootprint() && name !== "price")) return null;
  if (name === "price") return of.price(priceAt(plot, pixel));
  return of.short(Math.round(plot[name].value(pixel)), name === "delta");
}

function priceAt(plot, pixel) {
  const { step, ticks } = of.chart.state;
  const size = isFootprint() ? Math.round((step * UNITS) / ticks) : tick();
  return (Math.round((plot.price.value(pixel) * UNITS) / size) * size) / UNITS;
}

/* The price under a pixel of the chart, in ticks as the crosshair shows it; null beside the prices. */
of.priceAt = (x, y) => {
  const plot = plotted();
  return plot && holds(plot.x, x) && holds(plot.price, y) ? priceAt(plot, y) : null;
};

function draw() {
  const plot = plotted();
  const inside = plot && place && holds(plot.x, place.x);
  const row = inside ? rowAt(plot.x, place.x) : -1;
  hover(row < 0 ? null : of.rows.x[row]);
  const words = inside ? level(plot, place.y) : null;
  for (const node of Object.values(nodes)) node.hidden = true;
  if (!inside) return;
  const { x: axis, left, top, inner } = plot;
  const { offsetTop } = of.chart.div;
  const x = row < 0 ? place.x : axis.at(isFootprint() ? row - of.base() : of.times()[row]);
  const time = row >= 0 ? moment(row) : isFootprint() ? "" : later(axis.value(x));
  put(nodes.column, { left: x, top: offsetTop + top, height: inner.height });
  if (time) {
    put(nodes.time, { left: x, top: offsetTop + top + inner.height });
    of.text(nodes.time, time);
  }
  if (words === null) return;
  put(nodes.line, { left, top: offsetTop + place.y, width: inner.width });
  put(nodes.level, { top: offsetTop + place.y });
  of.text(nodes.level, words);
}

/* A candle's time; before the newest session its day too. */
function moment(row) {
  const { x } = of.rows;
  return (x[row].slice(0, 10) === x[x.length - 1].slice(0, 10) ? "" : dayOf(x[row]) + " ") + x[row].slice(11, 16);
}

/* Right of the newest candle the axis tells the time; between sessions there is none. */
function later(at) {
  const times = of.times();
  return at > times[times.length - 1] ? toLabel(at).slice(11, 16) : "";
}

function put(node, edges) {
  node.hidden = false;
  for (const [name, value] of Object.entries(edges)) node.style[name] = Math.round(value) + "px";
}

function hover(label) {
  if (label === hovered) return;
  hovered = label;
  of.emit("hover", label);
}

function move(event) {
  const box = of.chart.div.getBoundingClientRect();
  place = { x: event.clientX - box.left, y: event.clientY - box.top };
  draw();
}

function leave() {
  place = null;
  draw();
}

/* One finger pans in time, two zoom; up and down is left to the page. */
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

/* The wheel zooms the time; sideways it pans; with Shift or over the price axis it stretches the prices. */
function wheel(event) {
  event.preventDefault();
  const pixels = event.deltaMode === 1 ? 16 : event.deltaMode === 2 ? 400 : 1;
  const [x, y] = [event.deltaX * pixels, event.deltaY * pixels];
  const factor = (by) => Math.exp(Math.min(Math.max(by, -300), 300) * 0.0016);
  if (event.shiftKey || event.currentTarget === price) of.zoomPrice(factor(y || x));
  else if (Math.abs(x) > Math.abs(y)) of.panTime(x);
  else of.zoomTime(factor(y), event.clientX - of.chart.div.getBoundingClientRect().left);
}

function priceAxis() {
  let from = null;
  return el("div", {
    id: "of-axis", title: "Drag or wheel: stretch the prices; double click: fit them",
    onpointerdown: (event) => {
      from = event.clientY;
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    onpointermove: (event) => {
      if (from === null) return;
      of.zoomPrice(Math.exp((event.clientY - from) * 0.006));
      from = event.clientY;
    },
    onpointerup: () => (from = null),
    onpointercancel: () => (from = null),
    ondblclick: () => of.fitPrice(),
  });
}

/* The time axis: a drag to the left shows more candles, to the right fewer, as on a price axis turned over. */
function timeAxis() {
  let from = null;
  return el("div", {
    id: "of-time-axis", title: "Drag or wheel: zoom the time; double click: reset",
    onpointerdown: (event) => {
      from = event.clientX;
      event.currentTarget.setPointerCapture(event.pointerId);
    },
    onpointermove: (event) => {
      if (from === null) return;
      of.zoomTime(Math.exp((from - event.clientX) * 0.005), Infinity);
      from = event.clientX;
    },
    onpointerup: () => (from = null),
    onpointercancel: () => (from = null),
    ondblclick: () => of.resetZoom(),
  });
}

of.on("drawn", () => {
  const plot = plotted();
  if (plot) {
    const { offsetTop } = of.chart.div;
    put(time, { top: offsetTop + plot.top + plot.inner.height, left: plot.left, height: plot.bottom, width: plot.x.length });
    put(price, { top: offsetTop + plot.price.start, height: plot.price.length, width: plot.right });
  }
  if (place) draw();
});

let price = null;
let time = null;
of.startPointer = () => {
  const { div } = of.chart;
  price = priceAxis();
  price.addEventListener("wheel", (event) => wheel(event), { passive: false });
  for (const [name, kind] of [["column", "cross"], ["line", "cross"], ["time", "tag reading"], ["level", "tag reading"]]) {
    nodes[name] = el("div", { id: "of-cross-" + name, class: kind, hidden: true });
    of.byId("of-centre").append(nodes[name]);
  }
  time = timeAxis();
  time.addEventListener("wheel", wheel, { passive: false });
  of.byId("of-centre").append(price, time);
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
  for (const name of ["pointerup", "pointercancel", "pointerleave"]) div.addEventListener(name, (event) => fingers.delete(event.pointerId));
  window.addEventListener("resize", leave);
};
