/* The viewer's socket: asks for a view, applies what comes, acknowledges what was drawn. What the connection does next, and what
   of the messages is still wanted, is decided by connection.js; here its wishes become sockets, polls and events of the page. */
import { HOME, of } from "./base.js";
import { awaits, initial, live, next, wanted } from "./connection.js";
import { query } from "./view.js";

const TICK_MS = 500;
const PING_MS = 5000;
const FIRST_PINGS_MS = [100, 250, 450, 700, 1000];
const TRUSTED_TRIP_MS = 50;
const CLOCK_STEP_MS = 5;
/* The code with which the server closes a socket whose session has ended. */
const LOGGED_OUT = 4401;
let connection = initial();
let socket = null;
let poll = null;
let bestTrip = Infinity;
let pongs = 0;
let pending = null;
let scheduled = false;
let ready = false;
let announced = "";
const early = [];
const latencies = [];
of.latency = { samples: [], last: null, lastAt: -Infinity };

of.serverNow = () => Date.now() + of.offsetMs;

of.send = (message) => {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

of.ask = () => happened({ is: "asked" });

const now = () => performance.now();

function happened(event) {
  const [state, effects] = next(connection, { ...event, now: now() });
  connection = state;
  for (const effect of effects) ACTIONS[effect.do](effect);
  tell();
}

/** @type {Record<import("./connection.js").Effect["do"], (effect: any) => any>} */
const ACTIONS = {
  connect: ({ afterMs }) => setTimeout(connect, afterMs),
  view: () => {
    /* The first ping goes ahead of the view, whose figure its answer would wait behind. */
    if (!pongs) ping();
    of.send({ type: "view", request: connection.request, ...query(of.view, true) });
  },
  poll: ({ request }) => ask(request),
  abort: () => poll && poll.abort(),
  drop,
};

function connect() {
  const address = new URL("ws", HOME);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.onopen = () => {
    [bestTrip, pongs] = [Infinity, 0];
    forget();
    refuse(null);
    happened({ is: "opened" });
    for (const wait of FIRST_PINGS_MS) setTimeout(ping, wait);
  };
  socket.onmessage = (event) => {
    happened({ is: "heard" });
    receive(JSON.parse(event.data));
  };
  socket.onclose = ({ code }) => (code === LOGGED_OUT ? of.logIn() : happened({ is: "closed" }));
}

/* Give up a connection that says nothing; its closing handshake would not be answered either. */
function drop() {
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
  if (message.type === "alerts" || message.type === "fired") return of.emit(message.type, message);
  /* One message waits at most for the next frame; a second one before that is applied right after it, in order. */
  (pending = pending || []).push(message);
  if (scheduled) return undefined;
  scheduled = true;
  if (document.hidden) setTimeout(draw, 0);
  else requestAnimationFrame(draw);
  return undefined;
}

/* After a reconnect a past day begins empty while it is read again: what is shown stays until it comes. */
const NOTHING = Object.fromEntries(["view", "facts", "profile", "gaps", "cells", "stats", "depth", "tape", "levels"].map((name) => [name, undefined]));
function repeats({ type, view, facts }) {
  return type === "whole" && Boolean(view) && view.date !== null && !view.replay && !facts.x.length && of.shows(view);
}

/* Apply what has come, draw, acknowledge. A handler that fails holds up neither the others nor the acknowledgement. */
function draw() {
  scheduled = false;
  const messages = (pending || []).map((message) => wanted(connection, message));
  pending = null;
  const received = [];
  for (const message of messages) {
    if (message.type === "whole") received.length = 0;
    of.emit("message", repeats(message) ? { ...message, type: "patch", ...NOTHING } : message);
    for (const moment of message.rx || []) received.push(moment);
  }
  of.emit("draw", messages);
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

async function ask(request) {
  const mine = (poll = new AbortController());
  try {
    const answer = await of.fetch(new URL("api/view", HOME) + "?" + new URLSearchParams(query(of.view, true)), { signal: mine.signal });
    const messages = await answer.json();
    if (!awaits(connection, request)) return;
    refuse(answer.ok ? null : messages.error);
    const first = connection.phase !== "polling";
    happened({ is: "polled", request });
    if (answer.ok) messages.filter((message) => message.type !== "hello" || first).forEach((message) => receive({ ...message, request }));
  } catch (error) {
    happened({ is: "unpolled", request });
  }
}

/* Why the view cannot be shown, which a socket says by a banner; null when it can. */
function refuse(reason) {
  of.refused = reason;
  if (ready) of.emit("note", null);
}

of.startSocket = () => {
  connect();
  setInterval(() => happened({ is: "tick" }), TICK_MS);
  setInterval(ping, PING_MS);
  /* A page that is hidden gets no frames: what waits for one is drawn at once. */
  document.addEventListener("visibilitychange", () => document.hidden && scheduled && draw());
};
