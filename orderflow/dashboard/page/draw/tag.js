/* The last price's tag on the axis, with the time that is left to the candle. */
import { of } from "../base.js";
import { momentOf } from "../format.js";

export function priceTag(plot) {
  const node = of.byId("of-tag");
  const { rows, chart } = of;
  const last = rows.x.length - 1;
  const y = last < 0 || rows.close[last] === null ? -1 : plot.price.at(rows.close[last]);
  const visible = y > plot.price.start && y < plot.price.end;
  node.style.display = visible ? "block" : "none";
  if (!visible) return;
  node.style.top = chart.div.offsetTop + y + "px";
  of.text(node, of.price(rows.close[last]) + remaining(rows, last));
  of.klass(node, "tag " + of.sign(rows.close[last] - rows.open[last]));
}

/* Minutes and seconds until the forming candle ends, for the live day. */
function remaining(rows, last) {
  if (of.view.date || rows.final[last]) return "";
  const left = momentOf(rows.window_end[last]) - of.serverNow();
  if (left <= 0 || left > of.view.minutes * 60000) return "";
  const seconds = Math.ceil(left / 1000);
  return "\n" + Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}
