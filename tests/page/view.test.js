import assert from "node:assert/strict";
import { test } from "node:test";

import { DAY, asks, changed, parse, query, request, requested } from "../../orderflow/dashboard/page/view.js";

const forgetful = () => null;
const PLAIN = parse("?instrument=NSE_EQ%7CA", forgetful);

test("a link says the view, and what it does not say is usual", () => {
  assert.deepEqual(PLAIN, { instrument: "NSE_EQ|A", minutes: 1, buffer: 100, mode: "chart", palette: "default", theme: "auto", cells: "pair", ticks: 0, date: null, replay: false });
  assert.deepEqual(query(PLAIN), { instrument: "NSE_EQ|A" });
});

test("a view survives the way through its link", () => {
  const view = { ...PLAIN, minutes: 15, mode: /** @type {const} */ ("footprint"), palette: /** @type {const} */ ("safe"), theme: /** @type {const} */ ("light"), cells: /** @type {const} */ ("delta"), ticks: 5, date: "2025-12-12", replay: true, buffer: 200 };
  assert.deepEqual(parse("?" + new URLSearchParams(query(view)), forgetful), view);
});

test("what is not valid becomes usual", () => {
  const wild = parse("?minutes=7&buffer=1e9&mode=x&palette=%3Cb%3E&theme=pink&cells=9&ticks=-1&date=today", forgetful);
  assert.deepEqual({ ...wild, instrument: "NSE_EQ|A" }, PLAIN);
});

test("a browser remembers instrument, palette and theme, and a link is stronger", () => {
  /** @param {string} name */
  const kept = (name) => ({ instrument: "NSE_EQ|B", palette: "safe", theme: "dark" })[name];
  const { instrument, palette, theme } = parse("?theme=light", kept);
  assert.deepEqual([instrument, palette, theme], ["NSE_EQ|B", "safe", "light"]);
});

test("a past day is shown whole, a replay and the running day by their newest candles, unless a number was chosen", () => {
  const past = changed(PLAIN, { date: "2025-12-12" });
  assert.equal(past.buffer, DAY);
  assert.equal(changed(past, { replay: true }).buffer, 100);
  assert.equal(changed(past, { date: null }).buffer, 100);
  assert.equal(changed({ ...PLAIN, buffer: 50 }, { date: "2025-12-12" }).buffer, 50);
});

test("the running day has no replay", () => {
  assert.equal(changed({ ...PLAIN, date: "2025-12-12", replay: true }, { date: null }).replay, false);
});

test("colours and what cells say are the page's own, all else is asked for", () => {
  assert.deepEqual([asks({ theme: "light" }), asks({ palette: "safe" }), asks({ cells: "delta" }), asks({ minutes: 5 })], [false, false, false, true]);
});

test("the server is asked for all that it draws, and a poll for the same in words", () => {
  assert.deepEqual(request(PLAIN), { instrument: "NSE_EQ|A", minutes: 1, buffer: 100, mode: "chart", ticks: 0 });
  const replayed = { ...PLAIN, instrument: null, date: "2025-12-12", replay: true };
  assert.deepEqual(request(replayed), { minutes: 1, buffer: 100, mode: "chart", ticks: 0, date: "2025-12-12", replay: true });
  assert.deepEqual(requested(replayed), { minutes: "1", buffer: "100", mode: "chart", ticks: "0", date: "2025-12-12", replay: "true" });
});

test("what a browser remembers is not trusted", () => {
  const { instrument, palette, theme } = parse("", () => ({ key: "NSE_EQ|B" }));
  assert.deepEqual([instrument, palette, theme], [null, "default", "auto"]);
});
