/* What stands beside the chart's axes: full minutes and dates below, round numbers at the right. Pure. */
import { dayOf, toLabel } from "./format.js";
import { lowerBound } from "./rows.js";

const MINUTE_STEPS = [1, 2, 3, 5, 10, 15, 30, 60, 120, 180];
/** Pixels that a time takes. */
const TIME_WIDTH = 62;

/** @param {string} label a time as 2025-12-15 09:15:00 @returns {number} minutes of its day */
export const minuteOfDay = (label) => Number(label.slice(11, 13)) * 60 + Number(label.slice(14, 16));

/**
 * Return a test for times that are labelled: every `step` minutes of the day, from the full hour on, or where candles are long from
 * the start of their session, which is at a quarter past in equities and at the full hour in commodities.
 * @param {string} start the start of any candle of the session
 * @param {number} minutes length of a candle
 * @param {number} step a multiple of it
 * @returns {(label: string) => boolean}
 */
export function labelled(start, minutes, step) {
  const origin = minutes >= 30 ? minuteOfDay(start) % minutes : 0;
  return (label) => (minuteOfDay(label) - origin) % step === 0;
}

/**
 * Return where times stand under the candles and what they say; a session's first candle has its date.
 * @param {string[]} labels of the candles
 * @param {number[]} places of the candles on the axis
 * @param {[number, number]} range in view
 * @param {{minutes: number, unit: number, pixels: number, beyond: boolean}} axis length of a candle, on the axis too, the axis's
 *   width, and whether time goes on beyond the newest candle
 * @returns {[number[], string[]]}
 */
export function timeTicks(labels, places, [from, to], { minutes, unit, pixels, beyond }) {
  /** @type {[number, string][]} */
  const marks = [];
  if (!labels.length) return [[], []];
  const every = ((to - from) / unit / Math.max(2, Math.floor(pixels / TIME_WIDTH))) * minutes;
  const step = MINUTE_STEPS.find((one) => one >= every && one % minutes === 0) || Math.ceil(every / 360) * 360;
  // A closing auction, the last candle of a day, stands at its own time and not on the session's grid.
  const today = labels[labels.length - 1].slice(0, 10);
  const marked = labelled(labels.find((label) => label.startsWith(today)) || "", minutes, step);
  /** @param {number} place @param {string} text @param {boolean} date */
  const add = (place, text, date) => {
    const last = marks[marks.length - 1];
    if (last && place - last[0] < (step / minutes) * unit * 0.8) {
      if (!date) return;
      marks.pop();
    }
    marks.push([place, date ? `<b>${text}</b>` : text]);
  };
  const [begin, end] = [lowerBound(places, from - (to - from)), lowerBound(places, to + (to - from))];
  for (let index = begin; index < end; index += 1) {
    if (index > 0 && labels[index].slice(0, 10) !== labels[index - 1].slice(0, 10)) add(places[index], dayOf(labels[index]), true);
    else if (marked(labels[index])) add(places[index], labels[index].slice(11, 16), false);
  }
  for (let at = places[places.length - 1] + unit; beyond && at < to; at += unit) if (marked(toLabel(at))) add(at, toLabel(at).slice(11, 16), false);
  return [marks.map(([place]) => place), marks.map(([, text]) => text)];
}

/**
 * Return round values within a range, and their texts.
 * @param {[number, number]} range @param {number} most how many have room @param {(value: number) => string} text
 * @returns {[number[], string[]]}
 */
export function valueTicks([low, high], most, text) {
  const step = round((high - low) / Math.max(2, most));
  const values = [];
  for (let at = Math.ceil(low / step); at * step <= high; at += 1) values.push(Number((at * step).toFixed(4)));
  return [values, values.map(text)];
}

/** The least of 1, 2, 5, 10, 20 … that is not below. @param {number} rough */
function round(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5].find((lead) => lead * power >= rough) || 10);
}
