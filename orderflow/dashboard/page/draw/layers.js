/* Two canvases over the chart. The live one has what still forms and the last price: one pass costs a millisecond or two, so every
   update is on the screen at the next frame. The other one has the footprint's settled columns, drawn when Plotly draws: as SVG text
   a thousand numbers took it a second. */
import { of } from "../base.js";
import { colors } from "../colors.js";
import { alertLines } from "./alertlines.js";
import { cvdAxis } from "./cvd.js";
import { footprint, largestOf } from "./footprint.js";
import { forming } from "./forming.js";
import { dayLevels } from "./levels.js";
import { lastPrice } from "./price.js";
import { profile } from "./profile.js";
import { sessions } from "./sessions.js";
import { sums } from "./sums.js";
import { priceTag } from "./tag.js";
import { titles } from "./titles.js";

/**
 * @typedef {import("../page.d.ts").Scene} Scene
 * @typedef {import("../page.d.ts").ChartScene} ChartScene
 * @typedef {import("../page.d.ts").FootprintScene} FootprintScene
 */

/** @type {Partial<Record<"of-numbers" | "of-live", HTMLCanvasElement>>} */
const canvases = {};
/** Canvas pixels for one of the page's, of a picture that is being made; else those of the screen. @type {number | null} */
let wanted = null;

/**
 * An empty canvas over the chart, and what is drawn on it by; null before the first figure.
 * @param {"of-numbers" | "of-live"} id
 * @returns {Scene | null}
 */
function sceneOn(id) {
  const { div } = of.chart;
  const { rows } = of;
  const plot = of.plot();
  if (!plot || !rows) return null;
  const canvas = (canvases[id] = canvases[id] || of.byId("of-centre").appendChild(of.el("canvas", { id, "aria-hidden": "true" })));
  const pen = canvas.getContext("2d");
  if (!pen) return null;
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
  const { state, style, settled, sumTicks } = of.chart;
  const { view, stats, waiting, price, legendRow: pointed } = of;
  const times = state.mode === "chart" ? of.times() : [];
  return { pen, plot, colors: colors(), rows, times, base: of.base(), settled, state, style, sumTicks, view, stats, waiting, rules: of.priceRules(), pointed, price };
}

/** @param {Scene} scene @returns {scene is ChartScene} whether its panes are those of the three-panel chart */
const isChart = (scene) => scene.state.mode === "chart" && Boolean(scene.plot.volume && scene.plot.delta && scene.plot.cvd);

/** @param {Scene} scene @returns {scene is FootprintScene} whether its panes are those of the footprint */
const isFootprint = (scene) => scene.state.mode === "footprint" && Boolean(scene.plot.sums && scene.style);

/** The footprint's columns in view, settled ones and the forming one, with one scale for both. @param {Scene} scene */
function columnsOf({ plot }) {
  const [from, to] = plot.x.range;
  const inView = of.columns().filter(({ column }) => column > from - 1 && column < to + 1);
  const last = of.formingColumn();
  return { settled: inView.filter(({ column }) => column < last), newest: inView.filter(({ column }) => column >= last), largest: largestOf(inView) };
}

of.drawNumbers = () => {
  const scene = sceneOn("of-numbers");
  if (!scene || !isFootprint(scene)) return;
  const { settled, largest } = columnsOf(scene);
  of.chart.largest = largest;
  footprint(scene, settled, largest);
  sums(scene, -Infinity, of.formingColumn() - 1);
};

of.drawLive = () => {
  const scene = sceneOn("of-live");
  if (!scene) return;
  sessions(scene);
  if (isFootprint(scene)) newestColumn(scene);
  else if (isChart(scene)) {
    profile(scene);
    dayLevels(scene);
    forming(scene);
    cvdAxis(scene);
    titles(scene);
  }
  lastPrice(scene);
  alertLines(scene);
  priceTag(scene);
};

/** @param {FootprintScene} scene */
function newestColumn(scene) {
  const { newest } = columnsOf(scene);
  const { level, side } = largestOf(newest);
  const held = of.chart.largest;
  footprint(scene, newest, { level: Math.max(level, held.level), side: Math.max(side, held.side) });
  const column = of.formingColumn();
  if (column < Infinity) sums(scene, column, column);
}

of.liveCanvas = () => canvases["of-live"];

/* Draw both canvases onto a picture of so many pixels for one of the page's. */
of.drawOnto = (picture, left, top, scale) => {
  const draw = () => {
    of.drawNumbers();
    of.drawLive();
  };
  wanted = scale;
  draw();
  for (const canvas of [canvases["of-numbers"], canvases["of-live"]]) if (canvas) picture.drawImage(canvas, left, top);
  wanted = null;
  draw();
};
