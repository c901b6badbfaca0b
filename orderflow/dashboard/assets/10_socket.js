/* The viewer's socket: asks for a view, applies what comes, acknowledges what was drawn, reconnects by itself.
   When no socket can be opened, the same view is polled every two seconds. */
"use strict";
(() => {
  const of = window.orderflow;
  const POLL_MS = 2000;
  let socket = null;
  let retryMs = 250;
  let failures = 0;
  let polling = null;
  let lastHeard = 0;
  let bestTrip = Infinity;
  let pending = null;
  let scheduled = false;
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
    const scheme = location.protocol === "https:" ? "wss://" : "ws://";
    socket = new WebSocket(scheme + location.host + "/ws");
    socket.onopen = () => {
      retryMs = 250;
      failures = 0;
      bestTrip = Infinity;
      stopPolling();
      of.emit("connection", "open");
      of.send({ type: "view", ...of.view });
      ping();
    };
    socket.onmessage = (event) => {
      lastHeard = performance.now();
      receive(JSON.parse(event.data));
    };
    socket.onclose = () => {
      failures += 1;
      of.emit("connection", "closed");
      if (failures >= 3) startPolling();
      setTimeout(connect, retryMs);
      retryMs = Math.min(retryMs * 1.6, 3000);
    };
  }

  function ping() {
    of.send({ type: "ping", t: Date.now() });
  }

  function receive(message) {
    if (message.type === "pong") {
      const trip = Date.now() - message.t;
      if (trip <= bestTrip) {
        bestTrip = trip;
        of.offsetMs = message.server_ms - (message.t + trip / 2);
      }
      return;
    }
    if (message.type === "hello") {
      of.instruments = message.instruments;
      of.emit("hello", message);
      return;
    }
    /* One message waits at most for the next frame; a second one before that is applied right after it, in order. */
    (pending = pending || []).push(message);
    if (scheduled) return;
    scheduled = true;
    if (document.hidden) setTimeout(draw, 0);
    else requestAnimationFrame(draw);
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
    for (const moment of received) {
      const took = drawn - moment;
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
      const answer = await fetch("/api/view?" + new URLSearchParams(of.query(true)));
      if (!answer.ok) return;
      for (const message of await answer.json()) receive(message);
      of.emit("connection", "polling");
    } catch (error) {
      of.emit("connection", "closed");
    }
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
    setInterval(() => {
      ping();
      /* A half-open connection says nothing: pongs come every five seconds on a live one. */
      if (socket.readyState === WebSocket.OPEN && performance.now() - lastHeard > 15000) socket.close();
    }, 5000);
  };
})();
