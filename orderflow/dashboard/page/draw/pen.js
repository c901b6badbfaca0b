/* Strokes that several of the drawn things need. */

/** @typedef {import("../page.d.ts").Axis} Axis */

export const SANS = "sans-serif";

/** Paint within a pane alone. @param {CanvasRenderingContext2D} pen @param {Axis} x @param {Axis} y @param {() => void} paint */
export function within(pen, x, y, paint) {
  pen.save();
  pen.beginPath();
  pen.rect(x.start, y.start, x.length, y.length);
  pen.clip();
  paint();
  pen.restore();
}

/** @param {CanvasRenderingContext2D} pen @param {number[][]} points @param {string} color @param {number} width */
export function polyline(pen, points, color, width = 1.4) {
  if (points.length < 2) return;
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

/** A bar on a zero line. @param {CanvasRenderingContext2D} pen @param {number} center @param {number} width @param {number} from @param {number} to @param {string} color */
export function bar(pen, center, width, from, to, color) {
  pen.fillStyle = color;
  pen.fillRect(center - width / 2, Math.min(from, to), width, Math.max(Math.abs(to - from), 1));
}

/**
 * A level line.
 * @param {CanvasRenderingContext2D} pen @param {number} from @param {number} to @param {number} y
 * @param {{color: string, dash?: number[], width?: number, alpha?: number}} style
 */
export function level(pen, from, to, y, { color, dash = [], width = 1, alpha = 1 }) {
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.globalAlpha = alpha;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(from, y);
  pen.lineTo(to, y);
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} pen @param {string} words @param {number} x @param {number} y
 * @param {import("../page.d.ts").Ink} style
 */
export function write(pen, words, x, y, { color, size = 10, bold = false, face = SANS, align = "left", base = "middle" }) {
  pen.font = `${bold ? "bold " : ""}${size}px ${face}`;
  pen.textAlign = align;
  pen.textBaseline = base;
  pen.fillStyle = color;
  pen.fillText(words, x, y);
}
