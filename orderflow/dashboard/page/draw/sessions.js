/* Between two sessions a line with the later one's date. */
import { dayOf } from "../format.js";
import { begins } from "../rows.js";
import { write } from "./pen.js";

/** @param {import("../page.d.ts").Scene} scene */
export function sessions({ pen, plot, colors, rows, times, base, state, view }) {
  const footprint = state.mode === "footprint";
  const { x, top, inner } = plot;
  rows.x.forEach((label, index) => {
    if (!begins(rows, index)) return;
    const at = x.at(footprint ? index - base - 0.5 : times[index] - view.minutes * 60000);
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
