/* The best five levels of the book. */
import { of } from "../base.js";
import { body } from "./panel.js";

const { el, text } = of;
const LEVELS = 5;
/** @type {ReturnType<typeof build> | null} */
let nodes = null;

/** @param {"ask" | "bid"} side */
function row(side) {
  const [price, quantity, bar] = [el("td"), el("td"), el("i")];
  return { node: el("tr", { class: side }, price, quantity, el("td", { class: "bar" }, bar)), price, quantity, bar };
}

function build() {
  const asks = [...Array(LEVELS)].map(() => row("ask"));
  const bids = [...Array(LEVELS)].map(() => row("bid"));
  const spread = el("td", { colspan: "3" });
  const nodesOf = (/** @type {typeof asks} */ rows) => rows.map(({ node }) => node);
  body("of-depth").append(el("table", {}, el("tbody", {}, nodesOf(asks), el("tr", { id: "of-spread" }, spread), nodesOf(bids))));
  return { asks: asks.reverse(), bids, spread };
}

/** @param {ReturnType<typeof row>} held @param {[number, number] | undefined} level @param {number} most */
function show({ node, price, quantity, bar }, level, most) {
  text(price, level ? of.price(level[0]) : "");
  text(quantity, level ? of.whole(level[1]) : "");
  node.classList.toggle("none", !level);
  bar.style.width = level ? (level[1] / most) * 100 + "%" : "0";
}

/** @param {import("../page.d.ts").Depth} depth */
function draw({ bid, ask }) {
  nodes = nodes || build();
  const { asks, bids, spread } = nodes;
  const most = Math.max(1, ...[...ask, ...bid].map(([, quantity]) => quantity));
  asks.forEach((held, index) => show(held, ask[index], most));
  bids.forEach((held, index) => show(held, bid[index], most));
  const none = of.view.date ? "depth is kept for the live day only" : "no two-sided quote";
  text(spread, ask.length && bid.length ? "spread " + of.price(ask[0][0] - bid[0][0]) : none);
}

of.on("message", ({ depth }) => depth && draw(depth));
