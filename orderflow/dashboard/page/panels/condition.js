/* In the header: how long trades take to this screen, and the state of the connection. */
import { of } from "../base.js";

const { text, klass } = of;
const KEPT_MS = 30000;
const SAMPLES = 300;
const PHASES = { connecting: "Not connected", open: "Connected, but silent", polling: "Polling every 2 s", closed: "Not connected" };

function drawLatency() {
  const node = of.byId("of-latency");
  const old = performance.now() - of.latency.lastAt > KEPT_MS;
  const recent = (old ? [] : of.latency.samples.slice(-SAMPLES)).sort((one, two) => one - two);
  /** @param {number} share */
  const at = (share) => recent[Math.min(recent.length - 1, Math.floor(recent.length * share))];
  text(node, recent.length ? `${Math.round(at(0.5))} ms · p99 ${Math.round(at(0.99))}` : "– ms");
  klass(node, "pill " + (!recent.length ? "" : at(0.5) < 150 ? "good" : at(0.5) < 500 ? "warn" : "bad"));
}

of.on("connection", ({ phase, live }) => {
  drawLatency();
  const dot = of.byId("of-dot");
  klass(dot, phase === "open" && !live ? "silent" : phase);
  dot.title = phase === "open" && live ? "Live" : PHASES[phase];
});
of.startLatency = () => void setInterval(drawLatency, 1000);
