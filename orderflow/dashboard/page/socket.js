/* The viewer's socket: asks for a view, applies what comes, acknowledges what was drawn, reconnects by itself.
   When no socket can be opened, the same view is polled every two seconds. */
import { HOME, of } from "./base.js";

const POLL_MS = 2000;
const MUTE_MS = 14000;
const FIRST_PINGS_MS = [100, 250, 450, 700, 1000];
const TRUSTED_TRIP_MS = 50;
const CLOCK_STEP_MS = 5;
let socket = null;
let retryMs = 250;
let failures = 0;
let polling = null;
/* When the oldest ping was sent that nothing has answered; 0 when none waits. */
let unanswered = 0;
let bestTrip = Infinity;
let pongs = 0;
let pending = null;
let scheduled = false;
let ready = false;
let state = "connecting";
const early = [];
const latencies = [];
of.latency = { samples: [], last: null };

of.serverNow = () => Date.now() + of.offsetMs;

of.send = (message) => {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
};

of.ask = () => {
  pending = null;
  of.send({ type: "view", ...of.view });
  if (polling) poll();
};

function connect() {
  const address = new URL("ws", HOME);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  socket = new WebSocket(address);
  socket.onopen = () => {
    retryMs = 250;
    failures = 0;
    bestTrip = Infinity;
    pongs = 0;
    forget();
    stopPolling();
    refuse(null);
    tell("open");
    /* The first ping goes ahead of the view, whose figure its answer would wait behind. */
    ping();
    of.send({ type: "view", ...of.view });
    for (const wait of FIRST_PINGS_MS) setTimeout(ping, wait);
  };
  socket.onmessage = (event) => {
    unanswered = 0;
    receive(JSON.parse(event.data));
  };
  socket.onclose = closed;
}

/* While polling works, a socket that cannot be opened is no news. */
function closed() {
  failures += 1;
  unanswered = 0;
  if (state !== "polling") tell("closed");
  if (failures >= 3) startPolling();
  setTimeout(connect, retryMs);
  retryMs = Math.min(retryMs * 1.6, 3000);
}

/* Give up a connection that answers nothing; its closing handshake would not be answered either. */
function drop() {
  socket.onopen = socket.onmessage = socket.onclose = null;
  socket.close();
  closed();
}

function tell(next) {
  state = next;
  if (ready) of.emit("connection", next);
}

/* The page is drawn: show what has come so far. */
of.release = () => {
  ready = true;
  of.emit("connection", state);
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
  if (socket.readyState === WebSocket.OPEN && !unanswered) unanswered = performance.now();
  of.send({ type: "ping", t: Date.now() });
}

function receive(message) {
  if (message.type === "pong") return learnClock(message);
  if (!ready) return void early.push(message);
  if (message.type === "hello") {
    of.instruments = message.instruments;
    of.imbalances = message.imbalances;
    return of.emit("hello", message);
  }
  /* One message waits at most for the next frame; a second one before that is applied right after it, in order. */
  (pending = pending || []).push(repeats(message) ? { ...message, type: "patch", ...NOTHING } : message);
  if (scheduled) return undefined;
  scheduled = true;
  if (document.hidden) setTimeout(draw, 0);
  else requestAnimationFrame(draw);
  return undefined;
}

/* After a reconnect a past day begins empty while it is read again: what is shown stays until it comes. */
const NOTHING = Object.fromEntries(["view", "figure", "facts", "cells", "stats", "depth", "tape", "levels"].map((name) => [name, undefined]));
function repeats({ type, view, facts }) {
  return type === "figure" && Boolean(view) && view.date !== null && !view.replay && !facts.x.length && of.shows(view);
}

function draw() {
  scheduled = false;
  const messages = pending || [];
  pending = null;
  const received = [];
  for (const message of messages) {
    if (message.type === "figure") received.length = 0;
    of.emit("message", message);
    for (const moment of message.rx || []) received.push(moment);
  }
  of.emit("draw", messages);
  const drawn = of.serverNow();
  for (const moment of clockKnown() && !document.hidden ? received : []) {
    const took = drawn - moment;
    if (took < 0) continue;
    latencies.push(took);
    of.latency.last = took;
    of.latency.samples.push(took);
  }
  if (of.latency.samples.length > 20000) of.latency.samples.splice(0, 5000);
  const last = messages[messages.length - 1];
  if (last && last.seq) of.send({ type: "ack", seq: last.seq, latency_ms: latencies.splice(0) });
}

async function poll() {
  try {
    const answer = await fetch(new URL("api/view", HOME) + "?" + new URLSearchParams(of.query(true)));
    const found = await answer.json();
    refuse(answer.ok ? null : found.error);
    if (answer.ok) found.filter((message) => message.type !== "hello" || state !== "polling").forEach(receive);
    tell("polling");
  } catch (error) {
    tell("closed");
  }
}

/* Why the view cannot be shown, which a socket says by a banner; null when it can. */
function refuse(reason) {
  of.refused = reason;
  if (ready) of.emit("note", null);
}

function startPolling() {
  if (!polling) polling = setInterval(poll, POLL_MS);
}

function stopPolling() {
  clearInterval(polling);
  polling = null;
}

of.startSocket = () => {
  connect();
  /* A half-open connection says nothing, where a live one answers each ping. */
  setInterval(() => (unanswered && performance.now() - unanswered > MUTE_MS ? drop() : ping()), 5000);
  /* A page that is hidden gets no frames: what waits for one is drawn at once, or alerts would wait for it too. */
  document.addEventListener("visibilitychange", () => document.hidden && scheduled && draw());
};
