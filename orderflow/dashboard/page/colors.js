/* The page's colours as the style sheet has them: the server writes each once (web/palette.py), canvases and Plotly read them here. */

const ROLES = /** @type {const} */ (["paper", "text", "bright", "label", "grid", "zero", "rule", "accent", "buy", "sell", "neutral", "vwap", "cvd", "confirmed", "gap"]);
/** @typedef {Record<typeof ROLES[number], string>} Colors */

/** @type {{of: string, colors: Colors | null}} */
let held = { of: "", colors: null };

/** Return the colours of the theme and palette that the page's root names. @returns {Colors} */
export function colors() {
  const root = document.documentElement;
  const { theme, palette } = root.dataset;
  const name = [theme, palette].join();
  if (held.colors === null || held.of !== name) {
    const style = getComputedStyle(root);
    held = { of: name, colors: /** @type {Colors} */ (Object.fromEntries(ROLES.map((role) => [role, style.getPropertyValue("--" + role).trim()]))) };
  }
  return /** @type {Colors} */ (held.colors);
}

/** Return a colour such as #26a69a with an opacity. @param {string} color @param {number} alpha */
export function faded(color, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return `rgba(${red},${green},${blue},${alpha})`;
}

/** The side of a volume in its colour, paler while the candle forms. @param {Colors} held @param {number} delta @param {boolean} final */
export const sideColor = ({ buy, sell, neutral }, delta, final) => {
  const color = delta > 0 ? buy : delta < 0 ? sell : neutral;
  return final || delta === 0 ? color : faded(color, 0.38);
};
