/* Shared names of the page's scripts: element builder, number and time formats. All text is set as text, never as HTML. */
import * as format from "./format.js";
import { parse } from "./view.js";

/* The page's own address, also under a proxy's prefix: this module is served from page/<digest>/ below it. */
export const HOME = new URL("../../", import.meta.url);

/** @typedef {import("./page.d.ts").Page} Page */

/**
 * What may be read before the server has said it.
 * @type {Pick<Page, "view" | "instruments" | "decimals" | "rows" | "offsetMs" | "failures" | "handlers" | "imbalances" | "refused" | "stats" | "live" | "waiting" | "unread">}
 */
const unsaid = {
  view: parse("", () => null), instruments: [], decimals: {}, rows: null, offsetMs: 0, failures: new Map(),
  handlers: { hello: [], message: [], alerts: [], fired: [], stats: [], view: [], hover: [], following: [], connection: [], failed: [], note: [], draw: [], drawn: [] },
  imbalances: null, refused: null, stats: null, live: false, waiting: false, unread: 0,
};
/** Each module adds its own names. @type {Page} */
export const of = /** @type {Page} */ (unsaid);

of.el = (tag, attributes, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else if (name === "class") node.className = String(value);
    else if (name === "value" && "value" in node) node.value = value;
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat()) if (child !== null) node.append(child);
  return node;
};
of.byId = (id) => {
  const node = document.getElementById(id);
  if (!node) throw new Error(`the page has no #${id}`);
  return node;
};
of.on = (name, handler) => void of.handlers[name].push(handler);
/* A handler that fails is reported, and the others go on. */
of.emit = (name, value) => {
  for (const handler of of.handlers[name]) {
    try {
      handler(value);
    } catch (error) {
      of.report(error, name);
    }
  }
};

/* To the login, and back to this view after it. */
of.logIn = () => location.assign(new URL("login" + location.search, HOME));
of.fetch = async (address, options) => {
  const answer = await fetch(address, options);
  if (answer.status === 401) of.logIn();
  return answer;
};

/* What went wrong in this page: in its console, in a banner, and once each to the server's log. */
of.report = (error, where) => {
  console.error(error);
  const text = `${where}: ${(error instanceof Error && error.stack) || error}`.slice(0, 500);
  const count = (of.failures.get(text) || 0) + 1;
  of.failures.set(text, count);
  if (count > 1) return;
  of.send({ type: "error", text });
  if (where !== "failed") of.emit("failed", text);
};
window.addEventListener("error", (event) => of.report(event.error || event.message, "page"));
window.addEventListener("unhandledrejection", (event) => of.report(event.reason, "page"));

/* Set text only when it differs: an untouched node costs no layout. */
of.text = (node, value) => {
  if (node.textContent !== value) node.textContent = value;
};
of.klass = (node, value) => {
  if (node.className !== value) node.className = value;
};

/* Show and say whether a button is on. */
of.press = (button, on) => {
  button.classList.toggle("on", on);
  button.setAttribute("aria-pressed", String(on));
};

/* A price of an instrument, by default of the viewed one: its segment says with how many decimals, two unless it says more. */
of.price = (value, key = of.view.instrument) => format.price(value, of.decimals[(key || "").split("|")[0]]);
Object.assign(of, { whole: format.whole, signed: format.signed, percent: format.percent, short: format.short, clock: format.clock, sign: format.direction });
of.symbolOf = (key) => {
  const instrument = of.instruments.find((each) => each.key === key);
  return instrument ? instrument.symbol : (key || "").replace(/.*\|/, "");
};
of.nameOf = (key) => {
  const instrument = of.instruments.find((each) => each.key === key);
  return instrument ? instrument.name : key || "";
};
of.keep = (name, value) => {
  try {
    localStorage.setItem("orderflow." + name, JSON.stringify(value));
  } catch (error) {
    /* private mode: the page works without a memory */
  }
};
/* What this browser remembers, whoever wrote it; null when it remembers nothing. */
of.kept = (name) => {
  try {
    return JSON.parse(localStorage.getItem("orderflow." + name) || "null");
  } catch (error) {
    return null;
  }
};
/* For the page's tests and for scripts in the browser's console. */
window.orderflow = of;
