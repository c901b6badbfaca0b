/* The connection's states, without a socket: node --test tests/page */
import assert from "node:assert/strict";
import { test } from "node:test";

import { GREY_MS, MUTE_MS, POLL_MS, POLL_PATIENCE_MS, initial, live, next, wanted } from "../../orderflow/dashboard/page/connection.js";

/** @typedef {import("../../orderflow/dashboard/page/connection.js").Connection} Connection */
/** @typedef {import("../../orderflow/dashboard/page/connection.js").Event} Event */
/** @typedef {import("../../orderflow/dashboard/page/connection.js").Effect} Effect */

/** @param {Event[]} events @returns {[Connection, Effect[]]} */
function after(...events) {
  let state = initial();
  /** @type {Effect[]} */
  let effects = [];
  for (const event of events) [state, effects] = next(state, event);
  return [state, effects];
}

/** @type {Event[]} */
const THREE_FAILURES = [1, 2, 3].map((now) => ({ is: "closed", now }));

test("a socket that opens asks for the view", () => {
  const [state, effects] = after({ is: "opened", now: 5 });
  assert.equal(state.phase, "open");
  assert.deepEqual(effects, [{ do: "view" }]);
});

test("an open connection is live for three seconds after each message, then grey", () => {
  const [state] = after({ is: "opened", now: 0 }, { is: "heard", now: 1000 });
  assert.equal(live(state, 1000 + GREY_MS), true);
  assert.equal(live(state, 1001 + GREY_MS), false);
});

test("a half-open connection is given up and another one tried", () => {
  const [state, effects] = after({ is: "opened", now: 0 }, { is: "tick", now: MUTE_MS + 1 });
  assert.equal(state.phase, "closed");
  assert.deepEqual(effects, [{ do: "drop" }, { do: "connect", afterMs: 250 }]);
});

test("sockets that cannot be opened are tried at longer and longer intervals, with polls from the third on", () => {
  const [, second] = after({ is: "closed", now: 1 }, { is: "closed", now: 2 });
  assert.deepEqual(second, [{ do: "connect", afterMs: 400 }]);
  const [state, third] = after(...THREE_FAILURES);
  assert.deepEqual(third, [{ do: "connect", afterMs: 640 }, { do: "poll", request: 1 }]);
  assert.equal(live(state, 4), false);
});

test("a poll that answers makes it live, and the next one is due two seconds after the last", () => {
  const [state] = after(...THREE_FAILURES, { is: "polled", now: 50, request: 1 });
  assert.equal(state.phase, "polling");
  assert.equal(live(state, 60), true);
  assert.deepEqual(next(state, { is: "tick", now: 3 + POLL_MS - 1 })[1], []);
  assert.deepEqual(next(state, { is: "tick", now: 3 + POLL_MS })[1], [{ do: "poll", request: 1 }]);
});

test("a poll that fails after the socket has come back changes nothing", () => {
  const [state, effects] = after(...THREE_FAILURES, { is: "opened", now: 10 }, { is: "unpolled", now: 20, request: 1 });
  assert.equal(state.phase, "open");
  assert.equal(live(state, 20), true);
  assert.deepEqual(effects, []);
});

test("a socket that opens cancels the poll on its way", () => {
  assert.deepEqual(after(...THREE_FAILURES, { is: "opened", now: 10 })[1], [{ do: "abort" }, { do: "view" }]);
});

test("another view cancels the poll of the one before, whose late answer is no answer", () => {
  const [state, effects] = after(...THREE_FAILURES, { is: "asked", now: 10 });
  assert.deepEqual(effects, [{ do: "abort" }, { do: "poll", request: 2 }]);
  const [same] = next(state, { is: "polled", now: 20, request: 1 });
  assert.equal(same, state);
  assert.equal(next(state, { is: "polled", now: 20, request: 2 })[0].phase, "polling");
});

test("a poll without an answer is given up", () => {
  const [state, effects] = after(...THREE_FAILURES, { is: "tick", now: 4 + POLL_PATIENCE_MS });
  assert.deepEqual([state.phase, state.poll, effects], ["closed", null, [{ do: "abort" }]]);
});

test("of a message for an older view only what no view changes is shown, and it is acknowledged", () => {
  const [state] = after({ is: "opened", now: 0 }, { is: "asked", now: 1 });
  const late = { type: "figure", request: 1, seq: 7, figure: {}, stats: {}, watch: ["a line"], stale: [] };
  assert.deepEqual(wanted(state, late), { type: "patch", seq: 7, watch: ["a line"], stale: [] });
  const current = { ...late, request: 2 };
  assert.equal(wanted(state, current), current);
});
