/* What is held of the view, message by message. */
import assert from "node:assert/strict";
import { test } from "node:test";

import { begins, nothing, places, settledCount, taken, withEarlier } from "../../orderflow/dashboard/page/rows.js";

/** @param {string[]} times of 15 December, unless they have a date @param {number} close @param {number} forming how many at the end @returns {any} */
function facts(times, close = 100, forming = 0) {
  const x = times.map((time) => (time.length > 5 ? time : `2025-12-15 ${time}`) + ":00");
  return { x, close: x.map(() => close), final: x.map((_, index) => index < x.length - forming) };
}
/** @param {string} time @param {number} volume @returns {any} */
const cell = (time, volume = 1) => ({ x: `2025-12-15 ${time}:00`, levels: [[100, 0, volume, 0, 0]] });
/** @param {any} state */
const shown = (state) => state.rows.x.map((/** @type {string} */ label, /** @type {number} */ index) => [label.slice(11, 16), state.rows.close[index]]);
/** @param {any} more */
const whole = (more) => taken(nothing(), { type: "whole", mode: "chart", ...more }, false);

test("a patch replaces the rows from its first on and keeps those before it", () => {
  const state = whole({ facts: facts(["09:15", "09:16", "09:17"], 100, 1) });
  const next = taken(state, { type: "patch", from: "2025-12-15 09:17:00", facts: facts(["09:17", "09:18"], 101, 1) }, true);
  assert.deepEqual(shown(next), [["09:15", 100], ["09:16", 100], ["09:17", 101], ["09:18", 101]]);
  assert.deepEqual(shown(state).length, 3);
});

test("a minute that comes late before the day's first one is put in its place", () => {
  const state = whole({ facts: facts(["2025-12-12 15:29", "09:16"]) });
  const next = taken(state, { type: "patch", from: "2025-12-15 09:15:00", facts: facts(["09:15", "09:16"], 101) }, true);
  assert.deepEqual(next.rows?.x, ["2025-12-12 15:29:00", "2025-12-15 09:15:00", "2025-12-15 09:16:00"]);
});

test("the same view again keeps earlier candles that are final", () => {
  const state = whole({ facts: facts(["09:15", "09:16", "09:17"], 100, 1) });
  const next = taken(state, { type: "whole", mode: "chart", facts: facts(["09:16", "09:17", "09:18"], 101, 1) }, true);
  assert.deepEqual(shown(next), [["09:15", 100], ["09:16", 101], ["09:17", 101], ["09:18", 101]]);
});

for (const [name, held, fresh] of /** @type {[string, any, any][]} */ ([
  ["that may have changed since", facts(["09:15", "09:16", "09:17"], 100, 3), facts(["09:16", "09:17"], 101)],
  ["that end before it begins, for something may lie between", facts(["09:15", "09:16"]), facts(["09:20"], 101)],
  ["when it begins before them", facts(["09:16"]), facts(["09:15", "09:16"], 101)],
]))
  test("the same view again drops earlier candles " + name, () => {
    const next = taken(whole({ facts: held }), { type: "whole", mode: "chart", facts: fresh }, true);
    assert.deepEqual(next.rows, fresh);
  });

test("another view keeps nothing", () => {
  const state = whole({ facts: facts(["09:15", "09:16"]), profile: { price: [100] }, gaps: [["a", "b"]] });
  const next = taken(state, { type: "whole", mode: "chart", facts: facts(["09:16"]) }, false);
  assert.deepEqual([next.rows?.x.length, next.profile, next.gaps], [1, null, []]);
});

test("cells are replaced from the first that comes on, and column 0 stays that of the first figure", () => {
  const first = whole({ mode: "footprint", facts: facts(["09:15", "09:16", "09:17"], 100, 1), cells: [cell("09:16"), cell("09:17")], step: 0.05, ticks: 1 });
  const next = taken(first, { type: "patch", from: "2025-12-15 09:17:00", facts: facts(["09:17", "09:18"]), cells: [cell("09:17", 7), cell("09:18")], step: 0.05, ticks: 1 }, true);
  assert.deepEqual(next.cells.map(({ x, levels }) => [x.slice(11, 16), levels[0][2]]), [["09:16", 1], ["09:17", 7], ["09:18", 1]]);
  assert.equal(next.anchor, "2025-12-15 09:16:00");
});

test("cells of another height of rows replace all", () => {
  const first = whole({ mode: "footprint", facts: facts(["09:15", "09:16"]), cells: [cell("09:15"), cell("09:16")], step: 0.05, ticks: 1 });
  const next = taken(first, { type: "patch", cells: [cell("09:16", 9)], step: 0.1, ticks: 2 }, true);
  assert.deepEqual([next.cells.length, next.step, next.ticks], [1, 0.1, 2]);
});

test("earlier candles, cells and outages are put before what is held, and none twice", () => {
  const held = whole({ mode: "footprint", facts: facts(["09:17", "09:18"]), cells: [cell("09:18")], step: 0.05, ticks: 1, gaps: [["new", "new"]] });
  const next = withEarlier(held, { facts: facts(["09:16", "09:17"], 99), cells: [cell("09:17"), cell("09:18")], gaps: [["old", "old"]] });
  assert.deepEqual(shown(next), [["09:16", 99], ["09:17", 100], ["09:18", 100]]);
  assert.deepEqual(next.cells.map(({ x }) => x.slice(11, 16)), ["09:17", "09:18"]);
  assert.deepEqual([next.earlierGaps, next.gaps], [[["old", "old"]], [["new", "new"]]]);
});

test("sessions stand beside one another, with one candle's room between them", () => {
  const labels = facts(["2025-12-12 15:28", "2025-12-12 15:29", "09:15", "09:16"]).x;
  const at = places(labels, 60000);
  assert.deepEqual(at.map((place) => (place - at[0]) / 60000), [0, 1, 3, 4]);
  assert.equal(new Date(at[3]).toISOString(), "2025-12-15T09:16:00.000Z");
});

test("a session begins where the day changes, and rows are settled up to the first that forms", () => {
  const rows = facts(["2025-12-12 15:29", "09:15", "09:16"], 100, 1);
  assert.deepEqual([0, 1, 2].map((index) => begins(rows, index)), [false, true, false]);
  assert.equal(settledCount(rows), 2);
  assert.equal(settledCount(facts(["09:15"])), 1);
});
