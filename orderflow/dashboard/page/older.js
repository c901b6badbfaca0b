/* Earlier candles: asked for when the view comes near the left edge, and put before what the page holds. Earlier sessions stand
   beside the next one, without the night between them. */
import { HOME, of } from "./base.js";
import { momentOf } from "./format.js";

const MOST_ROWS = 6000;
const MOST_COLUMNS = 300;
const COLUMNS = 30;
const ROWS = 375;
const PATIENCE_MS = 5000;
const USUAL = 100;
let notBefore = 0;
let generation = 0;
let offered = false;

/** @type {import("./page.d.ts").OlderCandles} */
const older = { more: true, asking: false, forget, seek };
of.older = older;

function forget() {
  Object.assign(older, { more: true, asking: false });
  [notBefore, offered] = [0, false];
  generation += 1;
}

/* The start of the oldest candle that is drawn. */
function oldest() {
  const { mode, cells, rows } = of.chart.state;
  return mode === "chart" ? rows?.x[0] : cells[0]?.x;
}

/** @param {number} count */
async function ask(count) {
  const { view, chart } = of;
  const { mode, step, ticks } = chart.state;
  const label = oldest();
  if (!label) return;
  const mine = generation;
  older.asking = true;
  const query = new URLSearchParams({ instrument: view.instrument || "", minutes: String(view.minutes), before: String(momentOf(label)), count: String(count) });
  if (mode === "footprint") for (const [name, value] of Object.entries({ mode, step, ticks })) query.set(name, String(value));
  const answer = await answerTo(query);
  if (mine !== generation) return;
  if (!answer) notBefore = performance.now() + PATIENCE_MS;
  else if (label === oldest() && (mode === "chart" || step === chart.state.step)) {
    older.more = answer.more;
    if (answer.facts.x.length) of.takeEarlier(answer);
  }
  /* Done when it is drawn: the next question depends on what is then in view. */
  requestAnimationFrame(() => {
    if (mine === generation) older.asking = false;
  });
}

/** @param {URLSearchParams} query @returns {Promise<import("./messages.d.ts").Older | null>} null when there is no answer now */
async function answerTo(query) {
  try {
    const response = await of.fetch(new URL("api/older", HOME) + "?" + query);
    return response.ok ? await response.json() : null;
  } catch (error) {
    return null;
  }
}

/**
 * Ask when the view comes within a tenth of its width of the oldest candle, which stands at `least` (while the newest is followed:
 * when all candles are in view), or when a young day leaves most of the chart empty.
 * @param {import("./page.d.ts").Range} range in view
 * @param {number} least
 * @param {boolean} all whether all candles are in view
 */
function seek([from, to], least, all) {
  const { view, rows } = of;
  const { mode, cells } = of.chart.state;
  if (older.asking || !older.more || !rows || !rows.x.length || view.replay || performance.now() < notBefore) return;
  const near = from < least + (to - from) * 0.1 && (all || !of.isFollowing());
  if (mode === "footprint") {
    if (cells.length < MOST_COLUMNS && near) ask(COLUMNS);
    return;
  }
  if (rows.x.length >= MOST_ROWS) return;
  const young = of.live && !view.date && !offered && rows.x.length < Math.min(view.buffer, USUAL);
  offered = offered || young;
  if (young || near) ask(young ? Math.min(view.buffer, USUAL) : ROWS);
}
