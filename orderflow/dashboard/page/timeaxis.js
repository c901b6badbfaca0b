// @ts-check
/* Which candles have their time under the chart. */

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
