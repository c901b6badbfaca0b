/* Earlier candles: asked for when the view comes near the left edge, and put before what the page holds. Earlier sessions stand
   beside the next one, without the night between them: their place on the time axis differs from their time, which `rows` keeps. */
import { HOME, of } from "./base.js";

const MOST_ROWS = 6000;
const MOST_COLUMNS = 300;
const PATIENCE_MS = 5000;
const USUAL = 100;
const IST_MS = 19800000;
const older = { rows: 0, columns: 0, more: true, asking: false, shapes: [] };
of.older = older;
let notBefore = 0;
let generation = 0;
let offered = false;

older.forget = () => {
  Object.assign(older, { rows: 0, columns: 0, more: true, asking: false, shapes: [] });
  [notBefore, offered] = [0, false];
  generation += 1;
};

const NAMES = ["x", "y", "text", "width"];

/* The part of a footprint trace whose columns lie between two; a null ends the path before it and goes with it. */
of.cutColumns = (trace, from, to) => {
  if (!trace.x) return trace;
  const kept = [];
  let inside = false;
  trace.x.forEach((x, index) => {
    if (x !== null) inside = x >= from && x <= to;
    if (inside) kept.push(index);
  });
  if (kept.length === trace.x.length) return trace;
  const pick = (values) => kept.map((index) => values[index]);
  const cut = { ...trace };
  for (const name of NAMES) if (Array.isArray(trace[name])) cut[name] = pick(trace[name]);
  if (trace.textfont && Array.isArray(trace.textfont.color)) cut.textfont = { ...trace.textfont, color: pick(trace.textfont.color) };
  return cut;
};

const moved = (values, by) => values.map((x) => (x === null ? null : x + by));

function before(trace, part) {
  for (const name of NAMES) if (Array.isArray(part[name])) trace[name] = part[name].concat(trace[name] || []);
  if (part.textfont && Array.isArray(part.textfont.color)) trace.textfont = { ...trace.textfont, color: part.textfont.color.concat(trace.textfont.color) };
}

/* Draw the bars of the earlier columns by the figure's scale, as footprint.py does. */
function rescale({ most, step }) {
  const bars = ["cells_sell", "cells_buy", "cells_unclassified"].map((uid) => ({ uid, x: [], y: [] }));
  for (const [column, price, ...volumes] of of.levels()) {
    if (column >= 0) continue;
    const unit = 0.42 / Math.max(most, volumes[0], volumes[1] + volumes[2]);
    const [low, high] = [price - step * 0.46, price + step * 0.46];
    let left = column - unit * volumes[0];
    volumes.forEach((volume, side) => {
      if (!volume) return;
      const right = left + unit * volume;
      bars[side].x.push(left, right, right, left, left, null);
      bars[side].y.push(low, low, high, high, low, null);
      left = right;
    });
  }
  for (const part of bars) {
    const trace = of.trace(part.uid);
    const { x, y } = of.cutColumns(trace, -0.5, Infinity);
    Object.assign(trace, { x, y });
    before(trace, part);
  }
}

/* The next minute's figure begins some columns later: keep what left it, and all that was before. Return by how many columns. */
older.carry = (figure, rows, first) => {
  const index = of.rows.x.indexOf(first);
  const by = index < 0 ? 0 : of.base() - index;
  const { figure: fresh } = of.chart;
  const facts = Math.max(rows.x.findIndex((x) => x >= of.rows.x[0]), 0);
  if (!older.columns || index < 0 || figure.step !== fresh.step || figure.palette !== fresh.palette) {
    const wanted = older.columns;
    older.forget();
    older.wanted = wanted;
    return by;
  }
  for (const trace of figure.data) {
    const mine = of.trace(trace.uid);
    const part = of.cutColumns(trace, -Infinity, by - 0.5);
    if (mine && part.x) before(mine, { ...part, x: moved(part.x, -by) });
  }
  if (figure.most !== fresh.most) rescale(fresh);
  const shapes = (figure.layout.shapes || []).map((shape) => ({ ...shape, x0: shape.x0 - by, x1: shape.x1 - by }));
  fresh.layout.shapes = [...shapes.filter((shape) => shape.x1 < 0), ...(fresh.layout.shapes || [])];
  fresh.ranges = [...figure.ranges.slice(0, older.columns + by), ...fresh.ranges];
  for (const name of Object.keys(of.rows)) of.rows[name] = rows[name].slice(0, facts).concat(of.rows[name]);
  older.rows = facts;
  older.columns += by;
  return by;
};

const COLUMNS = ["x", "y", "open", "high", "low", "close"];

/* The same view again, as each poll brings it: keep the earlier candles while they join what came and have not changed since. */
older.rejoin = (figure, rows) => {
  const { figure: fresh } = of.chart;
  const [label] = of.rows.x;
  const end = rows.x.indexOf(label);
  const begin = end - older.rows;
  const traces = figure.data.filter(({ x }) => x && x.length === rows.x.length && x[end] === label);
  const alike = figure.palette === fresh.palette && figure.buffer === fresh.buffer;
  const joins = begin >= 0 && rows.final.slice(older.rows, end).every(Boolean) && traces.some(({ uid }) => uid === "volume");
  if (!alike || (older.rows && !joins)) return older.forget();
  if (!older.rows) return undefined;
  const join = (kept, values) => kept.slice(begin, end).concat(values);
  for (const trace of traces) {
    const mine = of.trace(trace.uid);
    for (const name of COLUMNS) if (Array.isArray(trace[name])) mine[name] = join(trace[name], mine[name]);
    if (Array.isArray(trace.marker && trace.marker.color)) mine.marker.color = join(trace.marker.color, mine.marker.color);
  }
  for (const name of Object.keys(of.rows)) of.rows[name] = join(rows[name], of.rows[name]);
  fresh.layout.shapes = [...(fresh.layout.shapes || []), ...older.shapes];
  return undefined;
};

function prependFacts(facts, count) {
  for (const name of Object.keys(of.rows)) of.rows[name] = (facts[name] || Array(count).fill(null)).slice(0, count).concat(of.rows[name]);
  older.rows += count;
}

function prependChart(answer) {
  const { x } = answer.facts;
  const step = of.view.minutes * 60000;
  const first = of.times()[0];
  const newest = x[x.length - 1];
  const sameDay = newest.slice(0, 10) === of.rows.x[0].slice(0, 10);
  const by = sameDay ? first - of.toMs(of.rows.x[0]) : first - 2 * step - of.toMs(newest);
  const move = (label) => of.toLabel(of.toMs(label) + by);
  const tails = { ...answer.tails };
  for (const name of ["open", "high", "low", "close"]) tails.candles = { ...tails.candles, [name]: answer.facts[name] };
  for (const [uid, columns] of Object.entries(tails)) {
    const trace = of.trace(uid);
    if (!trace) continue;
    for (const [name, values] of Object.entries(columns)) {
      const [owner, key] = of.place(trace, name);
      owner[key] = (name === "x" ? values.map(move) : values).concat(owner[key] || []);
    }
  }
  prependFacts(answer.facts, x.length);
  const shapes = (answer.shapes || []).map((shape) => ({ ...shape, x0: move(shape.x0), x1: move(shape.x1) }));
  older.shapes = [...shapes, ...older.shapes];
  of.chart.figure.layout.shapes = [...(of.chart.figure.layout.shapes || []), ...shapes];
}

function prependFootprint(answer) {
  const count = answer.cells.length;
  const { figure } = of.chart;
  for (const part of answer.data) {
    const trace = of.trace(part.uid);
    if (trace && part.x) before(trace, { ...part, x: moved(part.x, -older.columns) });
  }
  figure.ranges = [...answer.ranges, ...figure.ranges];
  if (answer.most !== figure.most) rescale(figure);
  const shapes = (answer.shapes || []).map((shape) => ({ ...shape, x0: shape.x0 - older.columns, x1: shape.x1 - older.columns }));
  figure.layout.shapes = [...(figure.layout.shapes || []), ...shapes];
  older.columns += count;
  const missing = answer.facts ? answer.facts.x.filter((x) => x < of.rows.x[0]).length : 0;
  if (missing) prependFacts(answer.facts, missing);
}

/* The start of the oldest candle that is drawn. */
function oldest() {
  if (of.chart.mode === "chart") return of.rows.x[0];
  return of.rows.x[of.base() - older.columns];
}

async function ask(count) {
  const { view, chart } = of;
  const label = oldest();
  if (!label) return;
  const mine = generation;
  older.asking = true;
  /** @type {Record<string, any>} */
  const query = { instrument: view.instrument, minutes: view.minutes, before: of.toMs(label) - IST_MS, count, palette: view.palette };
  if (chart.mode === "footprint") Object.assign(query, { mode: "footprint", step: chart.step, ticks: chart.ticks, most: chart.figure.most || 1 });
  let answer = null;
  try {
    const response = await fetch(new URL("api/older", HOME) + "?" + new URLSearchParams(query));
    if (response.ok) answer = await response.json();
  } catch (error) {
    answer = null;
  }
  if (mine !== generation) return;
  if (!answer) notBefore = performance.now() + PATIENCE_MS;
  else if (label === oldest()) take(answer);
  /* Done when it is drawn: the next question depends on what is then in view. */
  requestAnimationFrame(() => {
    if (mine === generation) older.asking = false;
  });
}

function take(answer) {
  older.more = answer.more;
  if (!answer.facts || !answer.facts.x.length) return;
  if (of.chart.mode === "footprint") prependFootprint(answer);
  else prependChart(answer);
  of.refit();
}

/* Ask when the view comes within a tenth of its width of the oldest candle (while the newest is followed: when it is zoomed out
   beyond it), or when a young day leaves most of the chart empty. */
older.seek = ([from, to], wide) => {
  const { chart, view, rows } = of;
  if (older.asking || !older.more || !rows.x.length || view.replay || performance.now() < notBefore) return;
  const near = (least) => from < least + (to - from) * 0.1 && (wide || !of.isFollowing());
  if (chart.mode === "footprint") {
    if (older.columns < MOST_COLUMNS && near(-older.columns - 0.5)) ask(Math.min(60, Math.max(30, older.wanted || 0)));
    return;
  }
  if (rows.x.length >= MOST_ROWS) return;
  const young = of.live && !view.date && !offered && rows.x.length < Math.min(view.buffer, USUAL);
  offered = offered || young;
  if (young || near(of.times()[0])) ask(young ? Math.min(view.buffer, USUAL) : 375);
};
