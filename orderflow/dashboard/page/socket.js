/* The viewer's socket: asks for a view, applies what comes, acknowledges what was drawn. What the connection does next, and what
   of the messages is still wanted, is decided by connection.js; here its wishes become sockets, polls and events of the page. */
import { HOME, of } from "./base.js";
import { awaits, initial, live, next, wanted } from "./connection.js";
import { request as viewRequest, requested } from "./view.js";

/**
 * @typedef {import("./messages.d.ts").ServerMessage} ServerMessage
 * @typedef {import("./messages.d.ts").Update} Update
 * @typedef {import("./connection.js").Effect} Effect
 * @typedef {import("./connection.js").Event} Event
 */

const TICK_MS = 500;
const PING_MS = 5000;
const FIRST_PINGS_MS = [100, 250, 450, 700, 1000];
const TRUSTED_TRIP_MS = 50;
const CLOCK_STEP_MS = 5;
/* The code with which the server closes a socket whose session has ended. */
const LOGGED_OUT = 4401;
let connection = initial();
/** @type {WebSocket | null} */
let socket = null;
/** @type {AbortController | null} */
let poll = null;
let bestTrip = Infinity;
let pongs = 0;
/** @type {Update[]} */
let pending = [];
let scheduled = false;
let ready = false;
let announced = "";
/** @type {ServerMessage[]} */
const early = [];
/** @type {number[]} */
const latencies = [];
of.latency = { samples: [], last: null, lastAt: -Infinity };

of.serverNow = () => Date.now() + of.offsetMs;

of.send = (message) => {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

const now = () => performance.now();

of.ask = () => happened({ is: "asked", now: now() });

/** @param {Event} event */
function happened(event) {
  const [state, effects] = next(connection, event);
  connection = state;
  effects.forEach(act);
  tell();
}

/** @param {Effect} effect */
function act(effect) {
  switch (effect.do) {
    case "connect":
      setTimeout(connect, effect.afterMs);
      break;
    case "view":
      /* The first ping goes ahead of the view, whose figure its answer would wait behind. */
      if (!pongs) ping();
      of.send({ type: "view", request: connection.request, ...viewRequest(of.view) });
      break;
    case "poll":
      ask(effect.request);
      break;
    case "abort":
      poll?.abort();
      break;
    case "drop":
      drop();
  }
}

function connect() {
  const address = new URL("ws", HOME);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.onopen = () => {
    [bestTrip, pongs] = [Infinity, 0];
    forget();
    refuse(null);
    happened({ is: "opened", now: now() });
    for (const wait of FIRST_PINGS_MS) setTimeout(ping, wait);
  };
  socket.onmessage = (event) => {
    happened({ is: "heard", now: now() });
    receive(JSON.parse(event.data));
  };
  socket.onclose = ({ code }) => (code === LOGGED_OUT ? of.logIn() : happened({ is: "closed", now: now() }));
}

/* Give up a connection that says nothing; its closing handshake would not be answered either. */
function drop() {
  if (!socket) return;
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
}

function tell() {
  const fresh = live(connection, now());
  const state = connection.phase + fresh;
  if (!ready || state === announced) return;
  announced = state;
  if (!fresh) forget();
  of.emit("connection", { phase: connection.phase, live: fresh });
}

/* The page is drawn: show what has come so far. */
of.release = () => {
  ready = true;
  tell();
  early.splice(0).forEach(receive);
};

function forget() {
  latencies.length = 0;
  of.latency.samples.length = 0;
}

/* The clocks' difference is known to half a trip: good enough when short, or when a far server has no shorter one. */
function clockKnown() {
  return bestTrip < TRUSTED_TRIP_MS || pongs > FIRST_PINGS_MS.length;
}

/** @param {import("./messages.d.ts").Pong} message */
function learnClock(message) {
  const trip = Date.now() - message.t;
  pongs += 1;
  if (trip > bestTrip) return;
  const offset = message.server_ms - (message.t + trip / 2);
  if (Math.abs(offset - of.offsetMs) > CLOCK_STEP_MS) forget();
  bestTrip = trip;
  of.offsetMs = offset;
}

function ping() {
  of.send({ type: "ping", t: Date.now() });
}

/** @param {ServerMessage} message */
function receive(message) {
  if (message.type === "pong") return learnClock(message);
  if (message.type === "beat") return undefined;
  if (!ready) return void early.push(message);
  if (message.type === "hello") {
    of.instruments = message.instruments;
    of.imbalances = message.imbalances;
    of.decimals = message.decimals;
    return of.emit("hello", message);
  }
  if (message.type === "alerts") return of.emit("alerts", message);
  if (message.type === "fired") return of.emit("fired", message);
  /* One message waits at most for the next frame; a second one before that is applied right after it, in order. */
  pending.push(message);
  if (scheduled) return undefined;
  scheduled = true;
  if (document.hidden) setTimeout(draw, 0);
  else requestAnimationFrame(draw);
  return undefined;
}

/**
 * Return the part of a message that is to be shown: after a reconnect a past day begins empty while it is read again, and what is
 * shown stays until it comes.
 * @param {Update} message
 * @returns {Update}
 */
function unrepeated(message) {
  const { type, view, facts, profile, gaps, cells, stats, depth, tape, levels, ...rest } = message;
  if (type !== "whole" || !view || view.date === null || view.replay || facts?.x.length || !of.shows(view)) return message;
  return { ...rest, type: "patch" };
}

/* Apply what has come, draw, acknowledge. A handler that fails holds up neither the others nor the acknowledgement. */
function draw() {
  scheduled = false;
  const messages = pending.map((message) => wanted(connection, message));
  pending = [];
  /** @type {number[]} */
  const received = [];
  for (const message of messages) {
    if (message.type === "whole") received.length = 0;
    of.emit("message", unrepeated(message));
    received.push(...(message.rx || []));
  }
  of.emit("draw", null);
  const drawn = of.serverNow();
  for (const moment of clockKnown() && !document.hidden ? received : []) {
    const took = drawn - moment;
    if (took < 0) continue;
    latencies.push(took);
    Object.assign(of.latency, { last: took, lastAt: now() });
    of.latency.samples.push(took);
  }
  if (of.latency.samples.length > 20000) of.latency.samples.splice(0, 5000);
  const last = messages[messages.length - 1];
  if (last && last.seq) of.send({ type: "ack", seq: last.seq, latency_ms: latencies.splice(0) });
}

/** Poll, for as long as no socket can be opened. @param {number} request */
async function ask(request) {
  const mine = (poll = new AbortController());
  try {
    const answer = await of.fetch(new URL("api/view", HOME) + "?" + new URLSearchParams(requested(of.view)), { signal: mine.signal });
    /** @type {(import("./messages.d.ts").Hello | Update)[] | {error: string}} */
    const said = await answer.json();
    if (!awaits(connection, request)) return;
    const messages = Array.isArray(said) ? said : [];
    refuse(Array.isArray(said) ? null : said.error);
    const first = connection.phase !== "polling";
    happened({ is: "polled", now: now(), request });
    for (const message of messages) {
      if (message.type !== "hello") receive({ ...message, request });
      else if (first) receive(message);
    }
  } catch (error) {
    happened({ is: "unpolled", now: now(), request });
  }
}

/** Why the view cannot be shown, which a socket says by a banner; null when it can. @param {string | null} reason */
function refuse(reason) {
  of.refused = reason;
  if (ready) of.emit("note", null);
}

of.startSocket = () => {
  connect();
  setInterval(() => happened({ is: "tick", now: now() }), TICK_MS);
  setInterval(ping, PING_MS);
  /* A page that is hidden gets no frames: what waits for one is drawn at once. */
  document.addEventListener("visibilitychange", () => document.hidden && scheduled && draw());
};
