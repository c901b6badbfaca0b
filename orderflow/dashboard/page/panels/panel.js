/* What several panels have: a body, and a choice in the title. */
import { of } from "../base.js";

const { el } = of;

/** @param {string} panel @param {string} selector */
function within(panel, selector) {
  const node = of.byId(panel).querySelector(selector);
  if (!node) throw new Error(`#${panel} has no ${selector}`);
  return node;
}

/** @param {string} panel */
export const body = (panel) => within(panel, ".body");

/**
 * A choice in a panel's title, remembered by the browser.
 * @param {string} panel
 * @param {string} id
 * @param {string} title
 * @param {[string, string][]} options values and names; the first is the usual one
 * @param {() => void} changed
 */
export function choice(panel, id, title, options, changed) {
  const [usual] = options[0];
  const kept = of.kept(id);
  const mark = () => select.classList.toggle("on", select.value !== usual);
  const select = el("select", { id: "of-" + id, title, "aria-label": title, onchange: () => {
    of.keep(id, select.value);
    mark();
    changed();
  } }, options.map(([value, name]) => el("option", { value }, name)));
  select.value = (options.find(([value]) => value === kept) || options[0])[0];
  mark();
  within(panel, "h2").append(select);
  return select;
}
