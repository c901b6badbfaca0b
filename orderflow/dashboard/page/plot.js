/* Plotly, behind one door: it draws a figure, says where its axes lie, and takes a picture. Only here are its private fields read,
   for it has no public way from a price to a pixel. The version is pinned (vendor/README.md). */

/**
 * @typedef {import("./page.d.ts").Axis} Axis
 * @typedef {import("./page.d.ts").Plot} Plot
 *
 * @typedef {object} Library
 * @property {(div: HTMLElement, data: object[], layout: object, config: object) => Promise<unknown>} react
 * @property {(div: HTMLElement, picture: {format: "png", width: number, height: number, scale: number}) => Promise<string>} toImage
 *
 * @typedef {object} FullAxis
 * @property {unknown[]} [range]
 * @property {number} _offset
 * @property {number} _length
 * @property {(value: number) => number} [l2p]
 * @property {(pixel: number) => number} p2l
 *
 * @typedef {{[axis: string]: FullAxis | undefined}} FullAxes
 * @typedef {{width: number, _size: {l: number, t: number, w: number, h: number, r: number, b: number}}} FullLayout
 * @typedef {HTMLElement & {_fullLayout?: FullLayout & FullAxes, on(name: string, handler: (event: object) => void): void}} Drawn
 */

const CONFIG = { displayModeBar: false, scrollZoom: false, doubleClick: false };
let revision = 0;

export const ready = () => Boolean(window.Plotly);

function library() {
  if (!window.Plotly) throw new Error("plotly.js has not been read");
  return window.Plotly;
}

/**
 * Draw a figure into a node, at its size. Ranges are the page's alone: under an unchanged uirevision Plotly would put those of an
 * earlier pan back.
 * @param {HTMLElement} div
 * @param {{data: object[], layout: object}} figure
 */
export function draw(div, { data, layout }) {
  revision += 1;
  const size = { width: div.clientWidth, height: div.clientHeight };
  library().react(div, data, { ...layout, ...size, datarevision: revision, uirevision: revision }, CONFIG);
}

/**
 * Tell when a drag has moved the axes of a drawn figure, while it moves them, and of a double click.
 * @param {HTMLElement} div
 * @param {Record<"moved" | "moving" | "doubled", () => void>} handlers
 */
export function listen(div, { moved, moving, doubled }) {
  const drawn = /** @type {Drawn} */ (div);
  drawn.on("plotly_relayout", (event) => Object.keys(event).some((name) => /^[xy]axis\d?\.range/.test(name)) && moved());
  drawn.on("plotly_relayouting", moving);
  drawn.on("plotly_doubleclick", doubled);
}

/** @param {FullAxis | undefined} axis @returns {Axis | undefined} */
function axisOf(axis) {
  if (!axis || !axis.l2p || !axis.range) return undefined;
  const { _offset: start, _length: length, l2p, p2l } = axis;
  const [from, to] = axis.range.map(Number);
  return { start, length, end: start + length, range: [from, to], at: (value) => start + l2p(value), value: (pixel) => p2l(pixel - start) };
}

/** Where the drawn figure's axes lie, in pixels of its node; null before the first drawing. @param {HTMLElement} div @returns {Plot | null} */
export function plotOf(div) {
  const full = /** @type {Drawn} */ (div)._fullLayout;
  const [x, price] = [axisOf(full?.xaxis), axisOf(full?.yaxis)];
  if (!full || !x || !price) return null;
  const { l: left, t: top, w: width, h: height, r: right, b: bottom } = full._size;
  const [volume, delta, cvd] = [axisOf(full.yaxis2), axisOf(full.yaxis3), axisOf(full.yaxis5)];
  return { x, price, volume, delta, cvd, sums: volume, width: full.width, left, top, right, bottom, inner: { width, height } };
}

/** The figure as a data URL of a PNG. @param {HTMLElement} div @param {number} scale */
export const picture = (div, scale) => library().toImage(div, { format: "png", width: div.clientWidth, height: div.clientHeight, scale });
