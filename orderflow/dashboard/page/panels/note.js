/* In the middle of the chart: what is being waited for, or why there is nothing and what to do. */
import { of } from "../base.js";
import { serverBanners } from "./banners.js";

const { el, text } = of;
const ANOTHER_DAY = "Choose another day in the list above, or press L for the running day.";
const REASONS = ["loading", "archive", "empty", "kafka", "catching_up"];
/** @type {ReturnType<typeof build> | null} */
let nodes = null;

function build() {
  const [title, hint] = [el("b"), el("span")];
  const box = el("div", { id: "of-note", role: "status" }, title, hint);
  of.byId("of-centre").append(box);
  return { box, title, hint };
}

/** @returns {[string, string]} what is said, and what can be done */
function words() {
  const { rows, view } = of;
  if (of.refused) return [of.refused, view.date ? ANOTHER_DAY : ""];
  if (of.waiting) return [`Loading ${of.symbolOf(view.instrument)}${view.date ? ` on ${view.date}` : ""} …`, ""];
  return rows && !rows.x.length ? nothing() : ["", ""];
}

/** @returns {[string, string]} */
function nothing() {
  const { view } = of;
  const banner = serverBanners().find(({ code }) => REASONS.includes(code));
  if (banner && (banner.code === "loading" || banner.code === "catching_up")) return [banner.text, ""];
  if (view.replay) return ["No trade yet at this time of the replay", "Press Space to play, or move the slider."];
  if (view.date) return [banner ? banner.text : `No data for ${of.symbolOf(view.instrument)} on ${view.date}`, ANOTHER_DAY];
  return ["No trades yet for " + of.symbolOf(view.instrument), "The chart fills by itself from the first trade. Stored days are in the list above."];
}

function draw() {
  nodes = nodes || build();
  const [title, hint] = words();
  nodes.box.hidden = !title;
  text(nodes.title, title);
  text(nodes.hint, hint);
}

of.on("draw", draw);
of.on("note", draw);
