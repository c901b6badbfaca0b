/* The last price's tag on the axis, with the time that is left to the candle. */
import { of } from "../base.js";
import { momentOf } from "../format.js";

/** @param {import("../page.d.ts").Scene} scene */
export function priceTag({ plot, rows }) {
  const node = of.byId("of-tag");
  const last = rows.x.length - 1;
  const [open, close] = [rows.open[last], rows.close[last]];
  const known = last >= 0 && open !== null && close !== null;
  const y = known ? plot.price.at(close) : -1;
  const visible = known && y > plot.price.start && y < plot.price.end;
  node.style.display = visible ? "block" : "none";
  if (!visible) return;
  node.style.top = of.chart.div.offsetTop + y + "px";
  of.text(node, of.price(close) + remaining(rows, last));
  of.klass(node, "tag " + of.sign(close - open));
}

/** Minutes and seconds until the forming candle ends, for the live day. @param {import("../page.d.ts").Facts} rows @param {number} last */
function remaining(rows, last) {
  if (of.view.date || rows.final[last]) return "";
  const left = momentOf(rows.window_end[last]) - of.serverNow();
  if (left <= 0 || left > of.view.minutes * 60000) return "";
  const seconds = Math.ceil(left / 1000);
  return "\n" + Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}
