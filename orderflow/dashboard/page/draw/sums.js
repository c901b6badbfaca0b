/* The sums under the footprint's columns, each on its shade: the stronger, the nearer to the largest in view. */
import { short } from "../format.js";
import { within, write } from "./pen.js";

/** @type {["total_volume" | "delta" | "cvd" | "unclassified_volume", number, boolean][]} a column of the rows, its place from below, whether it has a sign */
const SUMS = [["total_volume", 4, false], ["delta", 3, true], ["cvd", 2, true], ["unclassified_volume", 1, false]];

/** Draw the sums of the columns from one to another. @param {import("../page.d.ts").FootprintScene} scene @param {number} from @param {number} to */
export function sums({ pen, plot, colors, rows, base, style }, from, to) {
  const { x, sums: y } = plot;
  const [least, most] = [Math.max(Math.ceil(base + x.range[0] - 0.5), 0), Math.min(Math.floor(base + x.range[1] + 0.5), rows.x.length - 1)];
  const newest = rows.x.length - 1;
  within(pen, x, y, () => {
    const height = Math.abs(y.at(1) - y.at(0)) - 1;
    for (const [name, place, signed] of SUMS) {
      const zero = middle(name, rows[name], least, most);
      let largest = 1;
      for (let index = least; index <= most; index += 1) largest = Math.max(largest, Math.abs(rows[name][index] - zero));
      for (let index = Math.max(base + from, least); index <= Math.min(base + to, most); index += 1) {
        const value = rows[name][index] - zero;
        const column = index - base;
        const outage = name === "unclassified_volume" && rows.gap[index];
        pen.fillStyle = outage ? colors.gap : !signed ? colors.neutral : value >= 0 ? colors.buy : colors.sell;
        pen.globalAlpha = 0.5 * (Math.abs(value) / largest);
        pen.fillRect(x.at(column - 0.48), y.at(place) - height / 2, x.at(0.48) - x.at(-0.48), height);
        pen.globalAlpha = 1;
        if ((newest - index) % style.every) continue;
        write(pen, short(rows[name][index], signed), x.at(column), y.at(place), { color: colors.bright, align: "center" });
      }
    }
  });
}

/**
 * From where a row is shaded: CVD from the middle of its way in view, for its sign is that of the day, all along the row.
 * @param {string} name @param {number[]} values @param {number} least @param {number} most
 */
function middle(name, values, least, most) {
  const seen = name === "cvd" ? values.slice(least, most + 1) : [];
  return seen.length ? (Math.min(...seen) + Math.max(...seen)) / 2 : 0;
}
