/* Two canvases over the chart. The live one has what still forms (candles, bars, last segments, the footprint's newest column) and
   the last price's tag: one pass costs a millisecond or two, so every update is on screen at the next frame. The other one has
   the numbers of the footprint's settled columns, drawn when Plotly draws: as SVG text a thousand of them took it a second. */
import { of } from "./base.js";

const COLORS = {
  default: { buy: "#26a69a", sell: "#ef5350", buyFaint: "rgba(38,166,154,.38)", sellFaint: "rgba(239,83,80,.38)", vwap: "#e0b341", gap: "#c98a2b" },
  safe: { buy: "#3d9bff", sell: "#ff9f2e", buyFaint: "rgba(61,155,255,.38)", sellFaint: "rgba(255,159,46,.38)", vwap: "#e8edf4", gap: "#d65fc4" },
};
const [NEUTRAL, NEUTRAL_FAINT, CVD, TEXT, SUM_TEXT, PAPER] = ["#8591a5", "rgba(107,118,136,.5)", "#b48ef0", "#9aa5b5", "#dbe3ee", "#0d1117"];
const canvases = {};
let pen = null;
/* Canvas pixels for one of the page's: those of the screen, or of a picture that is being made. */
let wanted = null;

function prepare(div, id) {
  const canvas = (canvases[id] = canvases[id] || of.byId("of-centre").appendChild(of.el("canvas", { id })));
  pen = canvas.getContext("2d");
  const ratio = wanted || window.devicePixelRatio || 1;
  const [width, height] = [div.clientWidth, div.clientHeight];
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.width = width + "px";
    canvas.style.height = height + "px";
  }
  canvas.style.top = div.offsetTop + "px";
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
}

function panel(x, y, paint) {
  pen.save();
  pen.beginPath();
  pen.rect(x._offset, y._offset, x._length, y._length);
  pen.clip();
  paint((value) => y._offset + y.l2p(value));
  pen.restore();
}

function bar(center, width, from, to, color) {
  pen.fillStyle = color;
  pen.fillRect(center - width / 2, Math.min(from, to), width, Math.max(Math.abs(to - from), 1));
}

function line(points, color, width = 1.4) {
  if (points.length < 2) return;
  pen.strokeStyle = color;
  pen.lineWidth = width;
  pen.beginPath();
  points.forEach(([x, y], index) => (index ? pen.lineTo(x, y) : pen.moveTo(x, y)));
  pen.stroke();
}

function forming(full, colors) {
  const rows = of.rows;
  const first = of.chart.settled;
  const count = rows.x.length;
  if (first >= count) return;
  const x = full.xaxis;
  const times = of.times();
  const at = (index) => x._offset + x.l2p(times[index]);
  const step = Math.abs(x.l2p(0) - x.l2p(60000)) * of.view.minutes;
  const side = (index) => (rows.delta[index] === 0 ? NEUTRAL : rows.delta[index] > 0 ? (rows.final[index] ? colors.buy : colors.buyFaint) : rows.final[index] ? colors.sell : colors.sellFaint);
  const indexes = [...Array(count - first)].map((_, offset) => first + offset);
  const joined = first > 0 && !of.begins(first) ? [first - 1, ...indexes] : indexes;
  panel(x, full.yaxis, (y) => {
    line(joined.filter((i) => rows.vwap[i] !== null).map((i) => [at(i), y(rows.vwap[i])]), colors.vwap);
    bands(joined, at, y, colors);
    for (const i of indexes) {
      if (rows.close[i] === null) continue;
      const color = rows.close[i] >= rows.open[i] ? colors.buy : colors.sell;
      const width = Math.max(step * 0.56, 2);
      const [high, low] = [y(Math.max(rows.open[i], rows.close[i])), y(Math.min(rows.open[i], rows.close[i]))];
      pen.strokeStyle = color;
      pen.lineWidth = 1.2;
      pen.beginPath();
      pen.moveTo(at(i), y(rows.high[i]));
      pen.lineTo(at(i), high);
      pen.moveTo(at(i), low);
      pen.lineTo(at(i), y(rows.low[i]));
      pen.stroke();
      pen.fillStyle = rows.final[i] ? color : PAPER;
      pen.fillRect(at(i) - width / 2, high, width, Math.max(low - high, 1));
      pen.strokeRect(at(i) - width / 2, high, width, Math.max(low - high, 1));
    }
    marks(indexes, at, y, colors);
    lastPrice(x, y, rows.close[count - 1], rows.close[count - 1] >= rows.open[count - 1] ? colors.buy : colors.sell);
  });
  panel(x, full.yaxis2, (y) => {
    for (const i of indexes) {
      const classified = rows.total_volume[i] - rows.unclassified_volume[i];
      bar(at(i), step * 0.75, y(0), y(classified), side(i));
      if (rows.unclassified_volume[i]) bar(at(i), step * 0.75, y(classified), y(rows.total_volume[i]), NEUTRAL);
    }
  });
  panel(x, full.yaxis3, (y) => {
    for (const i of indexes) bar(at(i), step * 0.75, y(0), y(rows.delta[i]), side(i));
  });
  panel(x, full.yaxis5, (y) => line(joined.map((i) => [at(i), y(rows.cvd[i])]), CVD));
}

function bands(indexes, at, y, colors) {
  /** @type {[string, number][]} */
  const lines = [["upper1", 0.35], ["lower1", 0.35], ["upper2", 0.22], ["lower2", 0.22]];
  for (const [uid, alpha] of lines) {
    const values = of.trace(uid).y;
    pen.globalAlpha = alpha;
    line(indexes.filter((i) => values[i] !== null).map((i) => [at(i), y(values[i])]), colors.vwap, 1);
  }
  pen.globalAlpha = 1;
}

/* Imbalances of candles that are not final: hollow while the candle still forms. */
function marks(indexes, at, y, colors) {
  const newest = of.rows.x.length - 1;
  for (const [uid, color, way] of [["buy_marks", colors.buy, 1], ["sell_marks", colors.sell, -1]]) {
    const values = of.trace(uid).y;
    for (const i of indexes) {
      if (values[i] === null || values[i] === undefined) continue;
      const [left, tip] = [at(i), y(values[i]) + 5 * way];
      pen.beginPath();
      pen.moveTo(left, tip);
      pen.lineTo(left - 4.5, tip + 7 * way);
      pen.lineTo(left + 4.5, tip + 7 * way);
      pen.closePath();
      pen.strokeStyle = pen.fillStyle = color;
      pen.lineWidth = 1;
      if (i === newest && !of.rows.final[i]) pen.stroke();
      else pen.fill();
    }
  }
}

/* The panes' titles with the values of the candle under the pointer, else of the newest. */
function titles(full, colors) {
  const { rows } = of;
  const i = Math.min(of.legendRow === undefined ? Infinity : of.legendRow, rows.x.length - 1);
  if (i < 0) return;
  const delta = rows.delta[i];
  const share = rows.total_volume[i] ? Math.round((rows.buy_volume[i] / rows.total_volume[i]) * 100) : 0;
  title(full.yaxis2, full.xaxis, [["Volume ", TEXT], [of.short(rows.total_volume[i]), "#c6d0de"], [`  ${share} % bought`, TEXT]]);
  title(full.yaxis3, full.xaxis, [["Delta ", TEXT], [of.short(delta, true), delta > 0 ? colors.buy : delta < 0 ? colors.sell : TEXT], ["  CVD ", CVD], [of.short(rows.cvd[i], true), CVD]]);
}

function title(y, x, parts) {
  pen.font = "10px sans-serif";
  pen.textAlign = "left";
  pen.textBaseline = "top";
  const width = parts.reduce((sum, [text]) => sum + pen.measureText(text).width, 0);
  let left = x._offset + 4;
  pen.fillStyle = "rgba(13,17,23,.75)";
  pen.fillRect(left - 2, y._offset + 1, width + 6, 13);
  for (const [text, color] of parts) {
    pen.fillStyle = color;
    pen.fillText(text, left, y._offset + 3);
    left += pen.measureText(text).width;
  }
}

/* CVD's own axis, in the room right of the candles, where the pane of the prices has the profile; delta's is at the edge. */
const sumAxis = (full) => full.xaxis._offset + full.xaxis._length;
function sumScale(full) {
  const y = full.yaxis5;
  const left = sumAxis(full);
  const tag = sumAt(full);
  pen.font = "10px sans-serif";
  pen.textAlign = "left";
  pen.textBaseline = "middle";
  pen.fillStyle = pen.strokeStyle = CVD;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.5;
  pen.beginPath();
  pen.moveTo(left + 0.5, y._offset);
  pen.lineTo(left + 0.5, y._offset + y._length);
  pen.stroke();
  pen.globalAlpha = 1;
  (of.chart.sumTicks || []).forEach(([value, text]) => {
    const at = y.l2p(value);
    if (at < 6 || at > y._length - 6 || (tag !== null && Math.abs(at - tag) < 20)) return;
    pen.fillRect(left, y._offset + at, 3, 1);
    pen.fillText(text, left + 6, y._offset + at);
  });
}

/* Where the last CVD stands in its pane, in pixels; null where it is not in view. */
function sumAt(full) {
  const sum = of.rows.cvd[of.rows.x.length - 1];
  const at = sum === undefined ? -1 : full.yaxis5.l2p(sum);
  return at < 0 || at > full.yaxis5._length ? null : at;
}

/* Levels of the day that traders watch: previous close, high and low, where they are in view. */
function dayLevels(full) {
  const { stats } = of;
  if (!stats || of.waiting) return;
  const { xaxis: x, yaxis: y } = full;
  const placed = [];
  for (const [name, price] of [["prev close", stats.previous_close], ["day high", stats.high], ["day low", stats.low]]) {
    if (price === null || price === undefined) continue;
    const at = y.l2p(price);
    if (at < 6 || at > y._length - 4 || placed.some((one) => Math.abs(one - at) < 11)) continue;
    placed.push(at);
    pen.strokeStyle = "#6b7688";
    pen.globalAlpha = 0.55;
    pen.lineWidth = 1;
    pen.setLineDash([1, 4]);
    pen.beginPath();
    pen.moveTo(x._offset, y._offset + at);
    pen.lineTo(x._offset + x._length, y._offset + at);
    pen.stroke();
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    pen.font = "9px sans-serif";
    pen.textAlign = "left";
    pen.textBaseline = name === "day low" ? "top" : "bottom";
    pen.fillStyle = TEXT;
    pen.fillText(name, x._offset + 4, y._offset + at + (name === "day low" ? 2 : -1));
  }
}

/* Prices that will sound an alert. */
function alertLines(full) {
  const { xaxis: x, yaxis } = full;
  /* The axes belong to another instrument while one loads; a replay's prices sound nothing. */
  if (of.waiting || of.view.replay) return;
  panel(x, yaxis, (y) => {
    pen.font = "9px sans-serif";
    pen.textAlign = "right";
    pen.textBaseline = "bottom";
    pen.lineWidth = 1;
    for (const rule of of.priceRules()) {
      pen.strokeStyle = pen.fillStyle = SUM_TEXT;
      pen.globalAlpha = 0.8;
      pen.setLineDash([7, 4]);
      pen.beginPath();
      pen.moveTo(x._offset, y(rule.value));
      pen.lineTo(x._offset + x._length, y(rule.value));
      pen.stroke();
      pen.setLineDash([]);
      pen.fillText(`alert ${rule.kind === "above" ? "≥" : "≤"} ${of.price(rule.value)}`, x._offset + x._length - 4, y(rule.value) - 1);
      pen.globalAlpha = 1;
    }
  });
}

/* The last CVD on its axis, like the last price on that of the prices. */
function lastSum(full) {
  const y = full.yaxis5;
  const at = sumAt(full);
  if (at === null) return;
  const left = sumAxis(full);
  const width = Math.min(52, full.width - 56 - left);
  pen.fillStyle = CVD;
  const top = y._offset + Math.min(Math.max(at - 13, 0), y._length - 26);
  pen.fillRect(left, top, width, 26);
  pen.fillStyle = PAPER;
  pen.font = "9px sans-serif";
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.fillText("CVD", left + width / 2, top + 7);
  pen.font = "bold 10px sans-serif";
  pen.fillText(of.short(of.rows.cvd[of.rows.x.length - 1], true), left + width / 2, top + 18);
}

/* The volume profile beside the prices: it moves with every trade, so it is drawn here. */
function profile(full, colors) {
  const [buy, sell, none] = ["profile_buy", "profile_sell", "profile_unclassified"].map(of.trace);
  if (!buy || !buy.y || !buy.y.length || !full.xaxis2) return;
  const x = full.xaxis2;
  const sums = buy.y.map((_, index) => buy.x[index] + sell.x[index] + none.x[index]);
  const scale = x._length / Math.max(1, ...sums);
  panel(x, full.yaxis, (y) => {
    const height = Math.max(Math.abs(y(0) - y(buy.width[0])), 1);
    buy.y.forEach((price, index) => {
      pen.globalAlpha = buy.marker.opacity[index];
      let left = x._offset;
      for (const [trace, color] of [[buy, colors.buy], [sell, colors.sell], [none, NEUTRAL]]) {
        pen.fillStyle = color;
        pen.fillRect(left, y(price) - height / 2, trace.x[index] * scale, height);
        left += trace.x[index] * scale;
      }
    });
    pen.globalAlpha = 1;
    const [poc, area] = [of.trace("poc").y[0], of.trace("value_area").y];
    rule(x, y(poc), colors.vwap, []);
    rule(x, y(area[0]), TEXT, [3, 3]);
    rule(x, y(area[3]), TEXT, [3, 3]);
  });
  if (none.meta) unpriced(x, full.yaxis, none.meta, colors.gap);
}

/* What traded in outages has no known price, so no bar: said in words. */
function unpriced(x, y, volume, color) {
  pen.textAlign = "right";
  pen.textBaseline = "top";
  pen.font = "10px sans-serif";
  pen.fillStyle = color;
  const narrow = x._length < 86;
  const width = Math.min(narrow ? 46 : 90, x._length);
  pen.globalAlpha = 0.8;
  pen.fillStyle = PAPER;
  pen.fillRect(x._offset + x._length - width, y._offset, width, 26);
  pen.globalAlpha = 1;
  pen.fillStyle = color;
  pen.fillText("+" + of.short(volume) + (narrow ? "" : " in outages,"), x._offset + x._length - 2, y._offset + 2);
  pen.fillText(narrow ? "outages" : "price unknown", x._offset + x._length - 2, y._offset + 14);
}

function rule(x, y, color, dash) {
  pen.strokeStyle = color;
  pen.lineWidth = dash.length ? 1 : 1.5;
  pen.setLineDash(dash);
  pen.beginPath();
  pen.moveTo(x._offset, y);
  pen.lineTo(x._offset + x._length, y);
  pen.stroke();
  pen.setLineDash([]);
}

function lastPrice(x, y, price, color) {
  pen.strokeStyle = color;
  pen.lineWidth = 1;
  pen.globalAlpha = 0.55;
  pen.setLineDash([2, 3]);
  pen.beginPath();
  pen.moveTo(x._offset, y(price));
  pen.lineTo(x._offset + x._length, y(price));
  pen.stroke();
  pen.setLineDash([]);
  pen.globalAlpha = 1;
}

function column(full, colors) {
  const cell = of.chart.cells[0];
  const x = full.xaxis;
  const at = (value) => x._offset + x.l2p(value);
  if (!of.chart.style) return;
  if (cell && cell.gap) for (const y of [full.yaxis, full.yaxis2]) panel(x, y, () => shade(at, y, colors.gap));
  if (cell && of.chart.style.form === "heat") {
    const levels = cell.levels.map(([price, sell, buy, none]) => [of.chart.column, price, sell, buy, none]);
    panel(x, full.yaxis, (y) => heat(levels, Math.max(of.chart.most || 1, largestOf(levels)), at, y, colors));
  }
  if (cell) panel(x, full.yaxis, (y) => paintCell(cell, at, y, colors));
  if (cell) sums(full, of.base() + of.chart.column, of.rows.x.length - 1, colors);
  const rows = of.rows;
  const last = rows.x.length - 1;
  if (last >= 0) panel(x, full.yaxis, (y) => lastPrice(x, y, rows.close[last], rows.close[last] >= rows.open[last] ? colors.buy : colors.sell));
}

const largestOf = (levels) => levels.reduce((found, [, , sell, buy, none]) => Math.max(found, sell + buy + none), 1);

/* One number a level, its delta or its volume, on the colour of the side that led, the stronger the nearer to `largest`. */
function heat(levels, largest, at, y, colors) {
  const { step, style } = of.chart;
  const height = Math.max(Math.abs(y(0) - y(step)) - 0.5, 1);
  const size = Math.min(Math.floor(Math.min(style.row * 0.8, style.column / 3.2)), 11);
  pen.textBaseline = "middle";
  for (const [column, price, sell, buy, none] of levels) {
    const delta = buy - sell;
    pen.fillStyle = delta === 0 || none > buy + sell ? NEUTRAL : delta > 0 ? colors.buy : colors.sell;
    pen.globalAlpha = 0.1 + 0.65 * Math.sqrt((sell + buy + none) / largest);
    pen.fillRect(at(column - 0.42), y(price) - height / 2, at(column + 0.42) - at(column - 0.42), height);
    pen.globalAlpha = 1;
    const signed = delta > 0 ? "+" + style.brief(delta) : delta < 0 ? "−" + style.brief(-delta) : "0";
    if (size >= 7) words(of.view.cells === "volume" ? style.brief(sell + buy + none) : signed, at(column), y(price), "center", "#e8edf4", false, size);
  }
}

function shade(at, y, color) {
  pen.globalAlpha = 0.18;
  pen.fillStyle = color;
  pen.fillRect(at(of.chart.column - 0.5), y._offset, at(0.5) - at(-0.5), y._length);
  pen.globalAlpha = 1;
}

function paintCell(cell, at, y, colors) {
  const index = of.chart.column;
  const { step, style } = of.chart;
  const most = Math.max(of.chart.figure.most || 1, ...cell.levels.map(([, sell, buy, none]) => Math.max(sell, buy + none)));
  const unit = (at(index + 0.42) - at(index)) / most;
  const height = Math.abs(y(0) - y(step)) * 0.92;
  pen.textBaseline = "middle";
  for (const [price, sell, buy, none, mark] of cell.levels) {
    const top = y(price) - height / 2;
    let left = at(index) - sell * unit;
    for (const [volume, color] of style.form === "heat" ? [] : [[sell, colors.sellFaint], [buy, colors.buyFaint], [none, NEUTRAL_FAINT]]) {
      pen.fillStyle = color;
      pen.fillRect(left, top, volume * unit, height);
      left += volume * unit;
    }
    if (mark & 8) frame(at, index, top, height, colors.vwap);
    if (mark & 4) {
      pen.fillStyle = mark & 1 ? colors.buy : colors.sell;
      pen.fillRect(at(index + 0.44) - 2, top, 4, height / 0.92);
    }
    if (style.form !== "heat") written(at, index, y(price), sell, buy, none, mark, style, colors);
    if (mark & 16 && style.near) words("◂", at(index + 0.49), y(price), "center", colors.vwap, false);
  }
  const rising = cell.close >= cell.open;
  pen.strokeStyle = rising ? colors.buy : colors.sell;
  pen.lineWidth = 1.5;
  pen.beginPath();
  pen.moveTo(at(index - 0.47), y(cell.low));
  pen.lineTo(at(index - 0.47), y(cell.high));
  pen.stroke();
  pen.lineWidth = 4;
  pen.beginPath();
  pen.moveTo(at(index - 0.47), y(cell.open));
  pen.lineTo(at(index - 0.47), y(cell.close));
  pen.stroke();
}

function frame(at, index, top, height, color) {
  pen.strokeStyle = color;
  pen.lineWidth = 1.2;
  pen.strokeRect(at(index - 0.44), top, at(index + 0.42) - at(index - 0.44), height);
}

function words(value, x, y, align, color, strong, size = of.chart.style.size) {
  pen.font = (strong ? "bold " : "") + size + "px ui-monospace, 'DejaVu Sans Mono', monospace";
  pen.textAlign = align;
  pen.fillStyle = color;
  pen.fillText(value, x, y);
}

/* The sums under the columns, each on its shade: the stronger, the nearer to the largest in view. */
/** @type {[string, number, boolean][]} */
const SUMS = [["total_volume", 4, false], ["delta", 3, true], ["cvd", 2, true], ["unclassified_volume", 1, false]];
/* From where a row is shaded: CVD from the middle of its way in view, for its sign is that of the day, all along the row. */
function middle(name, values, least, most) {
  const seen = name === "cvd" ? values.slice(least, most + 1) : [];
  return seen.length ? (Math.min(...seen) + Math.max(...seen)) / 2 : 0;
}
function sums(full, from, to, colors) {
  const { rows, chart } = of;
  const { xaxis: x, yaxis2 } = full;
  const base = of.base();
  const at = (value) => x._offset + x.l2p(value);
  const [least, most] = [Math.max(Math.ceil(base + x.range[0] - 0.5), 0), Math.min(Math.floor(base + x.range[1] + 0.5), rows.x.length - 1)];
  panel(x, yaxis2, (y) => {
    const height = Math.abs(y(1) - y(0)) - 1;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    pen.font = "10px sans-serif";
    for (const [name, place, signed] of SUMS) {
      const zero = middle(name, rows[name], least, most);
      let largest = 1;
      for (let index = least; index <= most; index += 1) largest = Math.max(largest, Math.abs(rows[name][index] - zero));
      for (let index = Math.max(from, least); index <= Math.min(to, most); index += 1) {
        const value = rows[name][index] - zero;
        const column = index - base;
        const outage = name === "unclassified_volume" && rows.gap[index];
        pen.fillStyle = outage ? colors.gap : !signed ? NEUTRAL : value >= 0 ? colors.buy : colors.sell;
        pen.globalAlpha = 0.5 * (Math.abs(value) / largest);
        pen.fillRect(at(column - 0.48), y(place) - height / 2, at(column + 0.48) - at(column - 0.48), height);
        pen.globalAlpha = 1;
        if ((chart.column - column) % chart.style.every) continue;
        pen.fillStyle = SUM_TEXT;
        pen.fillText(of.short(rows[name][index], signed), at(column), y(place));
      }
    }
  });
}

/* The numbers of the settled columns in view: bold where imbalanced, after the bought ones what is unclassified. */
function numbers(full, colors) {
  const { xaxis: x, yaxis } = full;
  const { style } = of.chart;
  const at = (value) => x._offset + x.l2p(value);
  const [from, to] = x.range;
  const [low, high] = yaxis.range;
  const strong = of.strong();
  panel(x, yaxis, (y) => {
    pen.textBaseline = "middle";
    of.levels().forEach(([column, price, sell, buy, none], index) => {
      if (column < from - 1 || column > to + 1 || price < low || price > high) return;
      written(at, column, y(price), sell, buy, none, strong[index], style, colors);
    });
  });
}

function settledHeat(full, colors) {
  const { xaxis: x, yaxis } = full;
  const { chart } = of;
  const [from, to] = x.range;
  const [low, high] = yaxis.range;
  const shown = of.levels().filter(([column, price]) => column > from - 1 && column < to + 1 && price > low - chart.step && price < high + chart.step);
  chart.most = largestOf(shown);
  panel(x, yaxis, (y) => heat(shown, chart.most, (value) => x._offset + x.l2p(value), y, colors));
}

function settledColumns(full, colors) {
  if (of.chart.style.form === "heat") settledHeat(full, colors);
  else numbers(full, colors);
  sums(full, 0, of.base() + of.chart.column - 1, colors);
}

function written(at, column, top, sell, buy, none, mark, style, colors) {
  if (of.view.cells === "volume") {
    words(style.number(String(sell + buy + none)), at(column), top, "center", TEXT, false);
    return;
  }
  const bought = style.number(String(buy));
  words(style.number(String(sell)), at(column - 0.03), top, "right", mark & 2 ? colors.sell : TEXT, mark & 2);
  words(bought, at(column + 0.03), top, "left", mark & 1 ? colors.buy : TEXT, mark & 1);
  if (style.unknown(String(buy), String(none || ""))) words("?" + none, at(column + 0.03) + pen.measureText(bought + " ").width, top, "left", NEUTRAL, false);
}

/* Between two sessions a line with the later one's date. */
function sessions(full) {
  const { rows, chart } = of;
  const footprint = chart.mode === "footprint";
  const base = footprint ? of.base() : 0;
  const x = full.xaxis;
  const size = full._size;
  pen.strokeStyle = "#3a4557";
  pen.fillStyle = TEXT;
  pen.font = "10px sans-serif";
  pen.textAlign = "left";
  pen.textBaseline = "top";
  pen.lineWidth = 1;
  pen.setLineDash([4, 4]);
  rows.x.forEach((label, index) => {
    if (!of.begins(index)) return;
    const at = footprint ? x.l2p(index - base - 0.5) : x.l2p(of.times()[index] - of.view.minutes * 60000);
    if (at < 0 || at > x._length) return;
    pen.beginPath();
    pen.moveTo(x._offset + at, size.t);
    pen.lineTo(x._offset + at, size.t + size.h);
    pen.stroke();
    pen.fillText(of.day(label), x._offset + at + 4, size.t + 2);
  });
  pen.setLineDash([]);
}

/* Minutes and seconds until the forming candle ends, for the live day. */
function remaining(rows, last) {
  if (of.view.date || rows.final[last]) return "";
  const left = Date.parse(rows.window_end[last].replace(" ", "T") + "+05:30") - of.serverNow();
  if (left <= 0 || left > of.view.minutes * 60000) return "";
  const seconds = Math.ceil(left / 1000);
  return "\n" + Math.floor(seconds / 60) + ":" + String(seconds % 60).padStart(2, "0");
}

function tag(full, div) {
  const node = of.byId("of-tag");
  const rows = of.rows;
  const last = rows.x.length - 1;
  if (last < 0 || rows.close[last] === null) {
    node.style.display = "none";
    return;
  }
  const y = full.yaxis._offset + full.yaxis.l2p(rows.close[last]);
  const visible = y > full.yaxis._offset && y < full.yaxis._offset + full.yaxis._length;
  node.style.display = visible ? "block" : "none";
  node.style.top = div.offsetTop + y + "px";
  of.text(node, of.price(rows.close[last]) + remaining(rows, last));
  of.klass(node, "tag " + of.sign(rows.close[last] - rows.open[last]));
}

function layout() {
  const { div, figure } = of.chart;
  const full = div && div._fullLayout;
  return figure && full && full.yaxis && full.yaxis.l2p && of.rows ? full : null;
}

of.drawNumbers = () => {
  const full = layout();
  if (!full) return;
  prepare(of.chart.div, "of-numbers");
  if (of.chart.mode === "footprint" && of.chart.style) settledColumns(full, COLORS[of.view.palette] || COLORS.default);
};

of.drawLive = () => {
  const { div, mode } = of.chart;
  const full = layout();
  if (!full) return;
  prepare(div, "of-live");
  const colors = COLORS[of.view.palette] || COLORS.default;
  if (of.older.rows || of.older.columns) sessions(full);
  if (mode === "footprint") column(full, colors);
  else if (full.yaxis5) {
    profile(full, colors);
    dayLevels(full);
    forming(full, colors);
    lastSum(full);
    sumScale(full);
    titles(full, colors);
  }
  alertLines(full);
  tag(full, div);
};
of.liveCanvas = () => canvases["of-live"];

/* Draw both canvases onto a picture of so many pixels for one of the page's. */
of.drawOnto = (picture, left, top, scale) => {
  wanted = scale;
  of.drawNumbers();
  of.drawLive();
  for (const id of ["of-numbers", "of-live"]) if (canvases[id]) picture.drawImage(canvases[id], left, top);
  wanted = null;
  of.drawNumbers();
  of.drawLive();
};
