/* The pointer on the chart: crosshair with the price and the time under it, the candle for the legend, wheel, touch and the price axis. */
import { of } from "./base.js";

const { el } = of;
const FINGER_PIXELS = 6;
const nodes = {};
const fingers = new Map();
let place = null;
let hovered = null;

const full = () => {
  const found = of.chart.div && of.chart.div._fullLayout;
  return found && found.xaxis && found.xaxis.p2l && of.rows && of.rows.x.length ? found : null;
};
const holds = (axis, pixel) => axis && axis._length && pixel >= axis._offset && pixel <= axis._offset + axis._length;

/* The row of the candle at a pixel: that of the nearest start; in the footprint that of the column. -1 beside the candles. */
function rowAt(axis, pixel) {
  const at = axis.p2l(pixel - axis._offset);
  if (of.chart.mode === "footprint") {
    const { column, cells } = of.chart;
    const index = Math.round(at);
    const row = of.base() + index;
    return index < column + cells.length && row >= 0 ? row : -1;
  }
  const times = of.times();
  const half = of.view.minutes * 30000;
  const low = Math.min(of.lowerBound(times, at - half), times.length - 1);
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

function level(layout, pixel) {
  const chart = of.chart.mode === "chart";
  const panels = chart ? [layout.yaxis, layout.yaxis2, layout.yaxis3] : [layout.yaxis];
  const axis = panels.find((one) => holds(one, pixel));
  if (!axis) return null;
  if (axis === layout.yaxis) return of.price(priceAt(layout, pixel));
  return of.short(Math.round(axis.p2l(pixel - axis._offset)), axis === layout.yaxis3);
}

function priceAt(layout, pixel) {
  const step = of.chart.mode === "chart" ? tick() : Math.round((of.chart.step * UNITS) / of.chart.ticks);
  return (Math.round((layout.yaxis.p2l(pixel - layout.yaxis._offset) * UNITS) / step) * step) / UNITS;
}

/* The price under a pixel of the chart, in ticks as the crosshair shows it; null beside the prices. */
of.priceAt = (x, y) => {
  const layout = full();
  return layout && holds(layout.xaxis, x) && holds(layout.yaxis, y) ? priceAt(layout, y) : null;
};

function draw() {
  const layout = full();
  const inside = layout && place && holds(layout.xaxis, place.x);
  const row = inside ? rowAt(layout.xaxis, place.x) : -1;
  hover(row < 0 ? null : of.rows.x[row]);
  const words = inside ? level(layout, place.y) : null;
  for (const node of Object.values(nodes)) node.hidden = true;
  if (!inside) return;
  const { xaxis, _size: size } = layout;
  const footprint = of.chart.mode === "footprint";
  const { offsetTop } = of.chart.div;
  let { x } = place;
  if (row >= 0) x = xaxis._offset + (footprint ? xaxis.l2p(Math.round(xaxis.p2l(x - xaxis._offset))) : xaxis.l2p(of.times()[row]));
  const time = row >= 0 ? moment(row) : footprint ? "" : later(xaxis.p2l(x - xaxis._offset));
  put(nodes.column, { left: x, top: offsetTop + size.t, height: size.h });
  if (time) {
    put(nodes.time, { left: x, top: offsetTop + size.t + size.h });
    of.text(nodes.time, time);
  }
  if (words === null) return;
  put(nodes.line, { left: size.l, top: offsetTop + place.y, width: size.w });
  put(nodes.level, { top: offsetTop + place.y });
  of.text(nodes.level, words);
}

/* A candle's time; before the newest session its day too. */
function moment(row) {
  const { x } = of.rows;
  return (x[row].slice(0, 10) === x[x.length - 1].slice(0, 10) ? "" : of.day(x[row]) + " ") + x[row].slice(11, 16);
}

/* Right of the newest candle the axis tells the time; between sessions there is none. */
function later(at) {
  const times = of.times();
  return at > times[times.length - 1] ? of.toLabel(at).slice(11, 16) : "";
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

function axis() {
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
    id: "of-time-axis", title: "Drag or wheel: zoom the time; double click: as it was",
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
  const layout = full();
  if (layout) {
    const { _size: size } = layout;
    Object.assign(time.style, { top: of.chart.div.offsetTop + size.t + size.h + "px", left: size.l + "px", height: size.b + "px", width: layout.xaxis._length + "px" });
    const top = of.chart.div.offsetTop + layout.yaxis._offset;
    Object.assign(price.style, { top: top + "px", height: layout.yaxis._length + "px", width: layout._size.r + "px" });
  }
  if (place) draw();
});

let price = null;
let time = null;
of.startPointer = () => {
  const { div } = of.chart;
  price = axis();
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
