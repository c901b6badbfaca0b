/* What a first visitor may not find by looking: one hint at a time under the chart, gone for good once it was closed. */
import { of } from "./base.js";

const { el } = of;
const HINTS = [
  "The wheel zooms the time; drag to see earlier candles and sessions.",
  "Press F for the footprint: each candle's volume by price, at the bid and at the ask.",
  "Right-click a price (long touch on a phone) to set an alert there.",
  "Press ? for all keys and what each mark means.",
];

/** @param {number} at which hint */
function show(at) {
  document.getElementById("of-hint")?.remove();
  if (at >= HINTS.length) return;
  /** @param {number} to */
  const go = (to) => () => {
    of.keep("hints", to);
    show(to);
  };
  const next = el("button", { type: "button", onclick: go(at + 1) }, at + 1 < HINTS.length ? "Next" : "Done");
  const close = el("button", { type: "button", title: "No more hints", "aria-label": "No more hints", onclick: go(HINTS.length) }, "✕");
  of.byId("of-replay").before(el("aside", { id: "of-hint", "aria-label": "Hint" }, el("span", {}, HINTS[at]), next, close));
}

of.startHints = () => show(Number(of.kept("hints")) || 0);
