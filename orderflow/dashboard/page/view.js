/* The view as a value: what a link says, what a choice changes, what a link to it is. Pure. */

/** @typedef {import("./page.d.ts").View} View */

export const MINUTES = [1, 3, 5, 15, 30, 60];
/** More candles than a day has. */
export const DAY = 2000;
/** What the footprint's cells show. @type {["pair" | "delta" | "volume", string][]} */
export const CELLS = [["pair", "bid × ask"], ["delta", "delta"], ["volume", "volume"]];
/** @type {("auto" | "light" | "dark")[]} */
const THEMES = ["auto", "light", "dark"];
/** What the page draws by itself; all else is asked of the server. */
const OWN = ["palette", "theme", "cells"];

/** A past day is shown whole, a running or replayed one by its newest candles. @param {{date: string | null, replay: boolean}} view */
export const usual = (view) => (view.date && !view.replay ? DAY : 100);

/** @template T @param {T[]} choices @param {unknown} wish @returns {T} the wish, or the first where there is no such choice */
const oneOf = (choices, wish) => choices.find((choice) => choice === wish) ?? choices[0];

/**
 * Return the view of a link; what is not valid, or not said, is as kept by the browser or usual.
 * @param {string} search as of location
 * @param {(name: string) => unknown} kept what the browser remembers
 * @returns {View}
 */
export function parse(search, kept) {
  const said = new URLSearchParams(search);
  const [minutes, buffer, ticks] = ["minutes", "buffer", "ticks"].map((name) => Number(said.get(name)));
  const date = said.get("date") || "";
  const instrument = said.get("instrument") || kept("instrument");
  const part = { date: /^\d{4}-\d{2}-\d{2}$/.test(date) ? date : null, replay: said.get("replay") === "1" };
  return {
    ...part,
    instrument: typeof instrument === "string" && instrument ? instrument : null,
    minutes: MINUTES.includes(minutes) ? minutes : 1,
    buffer: buffer >= 10 && buffer <= DAY ? buffer : usual(part),
    mode: said.get("mode") === "footprint" ? "footprint" : "chart",
    palette: (said.get("palette") || kept("palette")) === "safe" ? "safe" : "default",
    theme: oneOf(THEMES, said.get("theme") || kept("theme")),
    cells: oneOf(CELLS.map(([cells]) => cells), said.get("cells")),
    ticks: Number.isInteger(ticks) && ticks > 0 && ticks <= 1000 ? ticks : 0,
  };
}

/**
 * Return the view after a choice: the running day has no replay, and the candles shown stay usual until they are chosen.
 * @param {View} view
 * @param {Partial<View>} change
 * @returns {View}
 */
export function changed(view, change) {
  const next = { ...view, ...change };
  if (!next.date) next.replay = false;
  if (view.buffer === usual(view) && !change.buffer) next.buffer = usual(next);
  return next;
}

/** Whether a choice needs an answer of the server. @param {Partial<View>} change */
export const asks = (change) => Object.keys(change).some((name) => !OWN.includes(name));

/** Return the parameters of a link to a view: those that are not usual. @param {View} view @returns {Record<string, string>} */
export function query(view) {
  /** @type {[string, string | number | null, boolean][]} */
  const entries = [
    ["instrument", view.instrument, Boolean(view.instrument)],
    ["minutes", view.minutes, view.minutes !== 1],
    ["buffer", view.buffer, view.buffer !== usual(view)],
    ["mode", view.mode, view.mode !== "chart"],
    ["ticks", view.ticks, view.ticks > 0],
    ["date", view.date, Boolean(view.date)],
    ["replay", 1, Boolean(view.date && view.replay)],
    ["palette", view.palette, view.palette !== "default"],
    ["theme", view.theme, view.theme !== "auto"],
    ["cells", view.cells, view.cells !== "pair"],
  ];
  return Object.fromEntries(entries.filter(([, , said]) => said).map(([name, value]) => [name, String(value)]));
}

/** Return what the server is asked for to show a view. @param {View} view */
export function request({ instrument, minutes, buffer, mode, ticks, date, replay }) {
  return { ...(instrument ? { instrument } : {}), minutes, buffer, mode, ticks, ...(date ? { date, replay } : {}) };
}

/** The same as a poll's parameters. @param {View} view @returns {Record<string, string>} */
export const requested = (view) => Object.fromEntries(Object.entries(request(view)).map(([name, value]) => [name, String(value)]));
