/* Between two sessions a line with the later one's date. */
import { of } from "../base.js";
import { dayOf } from "../format.js";
import { write } from "./pen.js";

export function sessions({ pen, plot, colors }) {
  const { rows, chart } = of;
  const footprint = chart.state.mode === "footprint";
  const base = footprint ? of.base() : 0;
  const { x, top, inner } = plot;
  rows.x.forEach((label, index) => {
    if (!of.begins(index)) return;
    const at = x.at(footprint ? index - base - 0.5 : of.times()[index] - of.view.minutes * 60000);
    if (at < x.start || at > x.end) return;
    pen.strokeStyle = colors.rule;
    pen.lineWidth = 1;
    pen.setLineDash([4, 4]);
    pen.beginPath();
    pen.moveTo(at, top);
    pen.lineTo(at, top + inner.height);
    pen.stroke();
    pen.setLineDash([]);
    write(pen, dayOf(label), at + 4, top + 2, { color: colors.label, base: "top" });
  });
}
