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
const older = { more: true, asking: false };
of.older = older;
let notBefore = 0;
let generation = 0;
let offered = false;

older.forget = () => {
  Object.assign(older, { more: true, asking: false });
  [notBefore, offered] = [0, false];
  generation += 1;
};

/* The start of the oldest candle that is drawn. */
function oldest() {
  const { mode, cells, rows } = of.chart.state;
  return mode === "chart" ? rows.x[0] : cells.length ? cells[0].x : undefined;
}

async function ask(count) {
  const { view, chart } = of;
  const label = oldest();
  if (!label) return;
  const mine = generation;
  older.asking = true;
  /** @type {Record<string, any>} */
  const query = { instrument: view.instrument, minutes: view.minutes, before: momentOf(label), count };
  if (chart.state.mode === "footprint") Object.assign(query, { mode: "footprint", step: chart.state.step, ticks: chart.state.ticks });
  let answer = null;
  try {
    const response = await of.fetch(new URL("api/older", HOME) + "?" + new URLSearchParams(query));
    if (response.ok) answer = await response.json();
  } catch (error) {
    answer = null;
  }
  if (mine !== generation) return;
  if (!answer) notBefore = performance.now() + PATIENCE_MS;
  else if (label === oldest() && (!query.step || query.step === chart.state.step)) {
    older.more = answer.more;
    if (answer.facts.x.length) of.takeEarlier(answer);
  }
  /* Done when it is drawn: the next question depends on what is then in view. */
  requestAnimationFrame(() => {
    if (mine === generation) older.asking = false;
  });
}

/* Ask when the view comes within a tenth of its width of the oldest candle, which stands at `least` (while the newest is followed:
   when all candles are in view), or when a young day leaves most of the chart empty. */
older.seek = ([from, to], least, all) => {
  const { view, rows } = of;
  const { mode, cells } = of.chart.state;
  if (older.asking || !older.more || !rows.x.length || view.replay || performance.now() < notBefore) return;
  const near = from < least + (to - from) * 0.1 && (all || !of.isFollowing());
  if (mode === "footprint") {
    if (cells.length < MOST_COLUMNS && near) ask(COLUMNS);
    return;
  }
  if (rows.x.length >= MOST_ROWS) return;
  const young = of.live && !view.date && !offered && rows.x.length < Math.min(view.buffer, USUAL);
  offered = offered || young;
  if (young || near) ask(young ? Math.min(view.buffer, USUAL) : ROWS);
};
