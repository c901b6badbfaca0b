/* The state of the connection to the dashboard, as a value: socket, polling when no socket can be opened, how fresh it is, and
   which request is the viewer's newest. It knows no socket, timer or page: events go in, the next state and what to do come out. */

/**
 * @typedef {"connecting" | "open" | "polling" | "closed"} Phase
 *
 * @typedef {object} Connection
 * @property {Phase} phase
 * @property {number} request number of the newest view asked for; answers to others are dropped
 * @property {number} heardMs when the last message or poll came
 * @property {number} failures sockets in a row that could not be opened or ended
 * @property {number} retryMs wait before the next socket
 * @property {{request: number, sinceMs: number} | null} poll the poll that is on its way
 * @property {number} pollDueMs when the next poll is due
 *
 * @typedef {{is: "opened", now: number} | {is: "heard", now: number} | {is: "closed", now: number} | {is: "asked", now: number}
 *   | {is: "tick", now: number} | {is: "polled", now: number, request: number} | {is: "unpolled", now: number, request: number}} Event
 *
 * @typedef {{do: "connect", afterMs: number} | {do: "view"} | {do: "poll", request: number} | {do: "abort"} | {do: "drop"}} Effect
 */

export const POLL_MS = 2000;
/* The server says something every second. */
export const GREY_MS = 3000;
export const GREY_POLL_MS = 7000;
export const MUTE_MS = 14000;
export const POLL_PATIENCE_MS = 8000;
const POLL_AFTER = 3;
const FIRST_RETRY_MS = 250;
const LONGEST_RETRY_MS = 3000;

/** @returns {Connection} */
export function initial() {
  return { phase: "connecting", request: 1, heardMs: -Infinity, failures: 0, retryMs: FIRST_RETRY_MS, poll: null, pollDueMs: 0 };
}

/**
 * Return the next state and what is to be done, in order.
 * @param {Connection} state
 * @param {Event} event
 * @returns {[Connection, Effect[]]}
 */
export function next(state, event) {
  switch (event.is) {
    case "opened":
      return [{ ...state, phase: "open", failures: 0, retryMs: FIRST_RETRY_MS, heardMs: event.now, poll: null }, [...aborting(state), { do: "view" }]];
    case "heard":
      return [{ ...state, heardMs: event.now }, []];
    case "closed":
      return closed(state, event.now);
    case "asked":
      return asked({ ...state, request: state.request + 1 }, event.now);
    case "polled":
      if (!awaits(state, event.request)) return [state, []];
      return [{ ...state, phase: "polling", poll: null, heardMs: event.now }, []];
    case "unpolled":
      if (!awaits(state, event.request)) return [state, []];
      return [{ ...state, phase: "closed", poll: null }, []];
    case "tick":
      return tick(state, event.now);
  }
}

/**
 * Return whether an answer to this poll is still wanted: a socket that opened, or another view, has made older ones void.
 * @param {Connection} state
 * @param {number} request
 */
export function awaits(state, request) {
  return state.phase !== "open" && state.poll !== null && state.poll.request === request;
}

/**
 * Return whether what is shown is as fresh as it can be.
 * @param {Connection} state
 * @param {number} now
 */
export function live(state, now) {
  const silence = now - state.heardMs;
  return (state.phase === "open" && silence <= GREY_MS) || (state.phase === "polling" && silence <= GREY_POLL_MS);
}

const PERSONAL = ["watch", "stale", "alerts", "fired"];

/**
 * Return the part of a message that is to be shown: of one that answers an older request only what no view changes.
 * @template {{request?: number | null, type?: string, seq?: number}} Message
 * @param {Connection} state
 * @param {Message} message
 * @returns {Message}
 */
export function wanted(state, message) {
  if (message.request === undefined || message.request === null || message.request === state.request) return message;
  const kept = Object.fromEntries(Object.entries(message).filter(([name]) => PERSONAL.includes(name) || name === "seq"));
  return /** @type {Message} */ ({ ...kept, type: "patch" });
}

/** @param {Connection} state @returns {Effect[]} */
function aborting(state) {
  return state.poll ? [{ do: "abort" }] : [];
}

/** @param {Connection} state @param {number} now @returns {[Connection, Effect[]]} */
function closed(state, now) {
  const retryMs = Math.min(state.retryMs * 1.6, LONGEST_RETRY_MS);
  /* While polling works, a socket that cannot be opened is no news. */
  const phase = state.phase === "polling" ? "polling" : "closed";
  /** @type {Connection} */
  const after = { ...state, phase, failures: state.failures + 1, retryMs };
  const [polling, effects] = after.poll ? [after, []] : polled(after, now);
  return [polling, [{ do: "connect", afterMs: state.retryMs }, ...effects]];
}

/** @param {Connection} state @param {number} now @returns {[Connection, Effect[]]} */
function asked(state, now) {
  if (state.phase === "open") return [state, [{ do: "view" }]];
  const [after, effects] = polled({ ...state, poll: null, pollDueMs: now }, now);
  return [after, [...aborting(state), ...effects]];
}

/** @param {Connection} state @param {number} now @returns {[Connection, Effect[]]} */
function polled(state, now) {
  if (state.phase === "open" || state.failures < POLL_AFTER || now < state.pollDueMs) return [state, []];
  return [{ ...state, poll: { request: state.request, sinceMs: now }, pollDueMs: now + POLL_MS }, [{ do: "poll", request: state.request }]];
}

/** @param {Connection} state @param {number} now @returns {[Connection, Effect[]]} */
function tick(state, now) {
  if (state.phase === "open" && now - state.heardMs > MUTE_MS) {
    const [after, effects] = closed({ ...state, phase: "closed" }, now);
    return [after, [{ do: "drop" }, ...effects]];
  }
  if (state.poll && now - state.poll.sinceMs > POLL_PATIENCE_MS) return [{ ...state, poll: null, phase: "closed" }, [{ do: "abort" }]];
  return state.poll ? [state, []] : polled(state, now);
}
