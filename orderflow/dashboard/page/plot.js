/* Plotly, behind one door: it draws a figure, says where its axes lie, and takes a picture. Only here are its private fields read,
   for it has no public way from a price to a pixel. The version is pinned (vendor/README.md). */

const CONFIG = { displayModeBar: false, scrollZoom: false, doubleClick: false };
const AXES = { x: "xaxis", price: "yaxis", volume: "yaxis2", delta: "yaxis3", cvd: "yaxis5", sums: "yaxis2" };
let revision = 0;

export const ready = () => Boolean(window.Plotly);

/* Draw a figure into a node, at its size. Ranges are the page's alone: under an unchanged uirevision Plotly would put those of an
   earlier pan back. */
export function draw(div, { data, layout }) {
  revision += 1;
  const size = { width: div.clientWidth, height: div.clientHeight };
  window.Plotly.react(div, data, { ...layout, ...size, datarevision: revision, uirevision: revision }, CONFIG);
}

/* Tell when a drag has moved the axes, while it moves them, and of a double click. */
export function listen(div, { moved, moving, doubled }) {
  div.on("plotly_relayout", (event) => Object.keys(event).some((name) => /^[xy]axis\d?\.range/.test(name)) && moved());
  div.on("plotly_relayouting", moving);
  div.on("plotly_doubleclick", doubled);
}

/** @returns {import("./page.d.ts").Axis | undefined} */
function axisOf(full, name) {
  const axis = full[name];
  if (!axis || !axis.l2p || !axis.range) return undefined;
  const { _offset: start, _length: length } = axis;
  return { start, length, end: start + length, range: axis.range.map(Number), at: (value) => start + axis.l2p(value), value: (pixel) => axis.p2l(pixel - start) };
}

/** Where the drawn figure's axes lie, in pixels of its node; null before the first drawing. @returns {import("./page.d.ts").Plot | null} */
export function plotOf(div) {
  const full = div && div._fullLayout;
  const axes = full ? Object.fromEntries(Object.entries(AXES).map(([name, axis]) => [name, axisOf(full, axis)])) : {};
  if (!axes.x || !axes.price) return null;
  const { l: left, t: top, w: width, h: height, r: right, b: bottom } = full._size;
  return /** @type {any} */ ({ ...axes, width: full.width, left, top, right, bottom, inner: { width, height } });
}

/* The figure as a data URL of a PNG. */
export const picture = (div, scale) => window.Plotly.toImage(div, { format: "png", width: div.clientWidth, height: div.clientHeight, scale });
