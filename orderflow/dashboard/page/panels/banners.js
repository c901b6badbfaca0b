/* The banners above the chart: the server's, and what this page knows by itself. */
import { of } from "../base.js";

/** @typedef {import("../page.d.ts").Banner} Banner */

const { el } = of;
const STALE = new Set(["stalled", "disconnected", "kafka", "token", "offline"]);
const LOST = "Connection to the dashboard lost; trying again. Figures are as of the last update.";
const SILENT = "No message has come from the dashboard for more than three seconds. Figures are as of the last update.";
const FAILED = "A part of this page has failed, and what it shows may be old. Reload the page; the dashboard's log has the error.";
/** @type {Banner[]} */
let banners = [];
/** @type {import("../page.d.ts").Events["connection"]} */
let connection = { phase: "connecting", live: true };

/** The server's banners. */
export const serverBanners = () => banners;

/** A screen reader announces each new banner, but not every figure of an auction. @param {Banner} banner */
function nodeOf({ level, code, text }) {
  const quiet = code === "auction" ? { "aria-live": "off" } : {};
  return el("div", { class: "banner " + level, "data-code": code, ...quiet }, text);
}

function draw() {
  const { phase, live } = connection;
  /** @type {Banner[]} */
  const own = [];
  if (phase === "closed" || (!live && phase !== "connecting")) own.push({ level: "error", code: "offline", text: phase === "closed" ? LOST : SILENT });
  if (of.failures.size) own.push({ level: "error", code: "failed", text: FAILED });
  const list = [...own, ...banners];
  /* The watch list is live whatever day is looked at. */
  const feedStale = list.some(({ code }) => STALE.has(code));
  const quiet = list.some(({ code }) => code === "quiet");
  document.documentElement.toggleAttribute("data-stale", (feedStale || quiet) && !of.view.date);
  document.documentElement.toggleAttribute("data-feed-stale", feedStale);
  of.byId("of-banners").replaceChildren(...list.map(nodeOf));
}

of.on("message", (message) => {
  if (!message.banners) return;
  banners = message.banners;
  draw();
});
of.on("failed", draw);
of.on("connection", (state) => {
  connection = state;
  draw();
});
