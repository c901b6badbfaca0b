/* Numbers and times as Indian traders read them: lakh and crore, IST. Pure. */

/** @typedef {number | null | undefined} Value */

const IST_MS = 19800000;
const ABSENT = "–";
const prices = [2, 4].map((digits) => new Intl.NumberFormat("en-IN", { minimumFractionDigits: digits, maximumFractionDigits: digits }));
const wholes = new Intl.NumberFormat("en-IN", { maximumFractionDigits: 0 });

/** @param {Value} value @returns {value is null | undefined} */
const absent = (value) => value === null || value === undefined || Number.isNaN(value);
/** @param {number} value @param {boolean} plus whether a positive number has its sign, too */
const signOf = (value, plus) => (value < 0 ? "−" : plus && value > 0 ? "+" : "");

/** @param {Value} value @param {number} digits 2, or 4 in the segments whose ticks are that fine */
export const price = (value, digits = 2) => (absent(value) ? ABSENT : prices[digits > 2 ? 1 : 0].format(value));

/** @param {Value} value */
export const whole = (value) => (absent(value) ? ABSENT : wholes.format(value));

/** @param {Value} value */
export const signed = (value) => (absent(value) ? ABSENT : signOf(value, true) + wholes.format(Math.abs(value)));

/** @param {Value} value @param {number} digits */
export const percent = (value, digits = 2) => (absent(value) ? ABSENT : signOf(value, true) + Math.abs(value).toFixed(digits) + " %");

/**
 * Volumes in few letters, in the market's own units: 9,500, 12.3K, 4.56L, 1.20Cr.
 * @param {Value} value
 * @param {boolean} plus
 */
export function short(value, plus = false) {
  if (absent(value)) return ABSENT;
  const size = Math.abs(value);
  const lead = signOf(value, plus);
  if (size >= 1e7) return lead + (size / 1e7).toFixed(2) + "Cr";
  if (size >= 1e5) return lead + (size / 1e5).toFixed(2) + "L";
  if (size >= 1e4) return lead + (size / 1e3).toFixed(1) + "K";
  return lead + wholes.format(size);
}

/** Volumes in three or four letters, for the footprint's cells. @param {number} count */
export function brief(count) {
  if (count < 1000) return String(count);
  if (count < 9950) return (count / 1000).toFixed(1) + "K";
  if (count < 99500) return Math.round(count / 1000) + "K";
  if (count < 9.95e6) return (count / 1e5).toFixed(count < 9.95e5 ? 1 : 0) + "L";
  return (count / 1e7).toFixed(count < 9.95e7 ? 1 : 0) + "Cr";
}

/** The time of day in IST. @param {Value} ms since 1970 @param {boolean} fraction whether with milliseconds */
export const clock = (ms, fraction = false) => (absent(ms) ? ABSENT : new Date(ms + IST_MS).toISOString().slice(11, fraction ? 23 : 19));

/** @param {number} value @returns {"up" | "down" | "flat"} */
export const direction = (value) => (value > 0 ? "up" : value < 0 ? "down" : "flat");

/** Milliseconds on the page's time axis, which has IST's times of day, of a label such as 2025-12-15 09:15:00. @param {string} label */
export const toMs = (label) => Date.parse(label.replace(" ", "T") + "Z");

/** @param {number} ms on the time axis */
export const toLabel = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

/** The moment of a label, in milliseconds since 1970. @param {string} label */
export const momentOf = (label) => toMs(label) - IST_MS;

/** The label of a moment. @param {number} ms since 1970 */
export const labelOf = (ms) => toLabel(ms + IST_MS);

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/** The day of a label: 15 Dec. @param {string} label */
export const dayOf = (label) => Number(label.slice(8, 10)) + " " + MONTHS[Number(label.slice(5, 7)) - 1];

/** What makes a footprint's cell bold, and how far to trust it. @param {import("./page.d.ts").ImbalanceRule} rule */
export function imbalanceWords({ ratio, floor, ignore_zero: nonzero, precision }) {
  const rule = `at least ${ratio} to 1 against the neighbouring tick of the other side${nonzero ? " that traded" : ""}, and ${Number((floor * 100).toFixed(2))} % of the candle's volume`;
  /** @param {number} value */
  const share = (value) => Math.round(value * 100);
  const trust = precision ? `On the simulated market ${share(precision[0])} to ${share(precision[1])} % of such marks were real, with one tick per row.` : "The share of such marks that are real was measured only for 3 to 1 and 2 %.";
  return `${rule}. ${trust}`;
}
