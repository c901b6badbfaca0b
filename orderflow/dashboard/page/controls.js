/* The header's controls, the state in the URL, and the keyboard. */
import { HOME, of } from "./base.js";
import { CELLS, DAY, MINUTES, asks, changed, parse, query } from "./view.js";

const { el } = of;
const BUFFERS = [50, 100, 200, 375, DAY];
/* Heights of the footprint's price rows in ticks; 0: what suits the prices. */
const TICKS = [0, 1, 2, 5, 10, 20, 50, 100];
/* What a browser remembers for the next visit. */
const KEPT = /** @type {const} */ (["instrument", "palette", "theme"]);
/** @type {ReturnType<typeof header> | null} */
let nodes = null;

function fromUrl() {
  of.view = parse(location.search, of.kept);
}

of.choose = (change) => {
  of.view = changed(of.view, change);
  for (const name of KEPT) if (change[name]) of.keep(name, change[name]);
  remember();
  if (asks(change)) expect("instrument" in change || "date" in change || "replay" in change);
  show();
  if (asks(change)) of.ask();
  else of.refit();
};

/**
 * Until the chosen view comes, what is on the screen belongs to another: dimmed, and without a price beside the new name.
 * @param {boolean} another whether of another instrument or day
 */
function expect(another) {
  of.waiting = true;
  of.refused = null;
  document.documentElement.dataset.loading = "yes";
  if (another) {
    of.stats = null;
    if (nodes) of.text(nodes.last, "–");
    if (nodes) of.text(nodes.change, "");
  }
  of.emit("note", null);
}

/** @param {import("./page.d.ts").SentView} view */
function arrived(view) {
  const wanted = of.view;
  const same = (!wanted.instrument || view.instrument === wanted.instrument) && view.minutes === wanted.minutes && view.mode === wanted.mode;
  if (!of.waiting || !same) return;
  of.waiting = false;
  delete document.documentElement.dataset.loading;
  if (of.stats) showQuote(of.stats);
  of.emit("note", null);
}

function remember() {
  history.replaceState(null, "", "?" + new URLSearchParams(query(of.view)));
}

function show() {
  const view = of.view;
  document.documentElement.dataset.mode = view.mode;
  if (!nodes) return;
  of.text(nodes.symbol, of.symbolOf(view.instrument) || "Order flow");
  of.text(nodes.name, of.nameOf(view.instrument));
  nodes.minutes.forEach((button) => of.press(button, Number(button.dataset.minutes) === view.minutes));
  nodes.modes.forEach((button) => of.press(button, button.dataset.mode === view.mode));
  nodes.buffer.value = String(view.buffer);
  showTicks(nodes.ticks);
  nodes.cells.value = view.cells;
  of.press(nodes.palette, view.palette === "safe");
  showTitle();
  of.markChosen();
  of.emit("view", view);
}

/** A wish that gave a candle too many rows is not granted: the choice says what is shown instead. @param {HTMLSelectElement} select */
function showTicks(select) {
  const { ticks: wish } = of.view;
  const shown = of.waiting ? wish : of.chart.state.ticks;
  const state = [wish, shown].join();
  if (select.dataset.state === state) return;
  select.dataset.state = state;
  const sizes = [...new Set([...TICKS, wish])].sort((a, b) => a - b);
  /** @param {number} n */
  const name = (n) => (n === 0 ? "auto rows" : n === wish && n !== shown ? `${n} → ${shown} ticks` : n === 1 ? "1 tick" : `${n} ticks`);
  select.replaceChildren(...sizes.map((n) => el("option", { value: n }, name(n))));
  select.value = String(wish);
}

/* The tab says symbol and price, for those who keep many open. */
function showTitle() {
  const symbol = of.symbolOf(of.view.instrument);
  const last = of.stats && of.stats.last !== null ? " " + of.price(of.stats.last) + " " + of.percent(of.stats.change_percent, 1) : "";
  const title = (of.unread ? `(${of.unread}) ` : "") + (symbol ? symbol + last + " · " : "") + "Order flow";
  if (document.title !== title) document.title = title;
}

/* Search: by symbol, name or key ------------------------------------------------------------------------------- */
/** @param {string} words */
function matches(words) {
  const wanted = words.trim().toLowerCase();
  return of.instruments.filter((one) => [one.symbol, one.name, one.key].some((text) => text.toLowerCase().includes(wanted))).slice(0, 30);
}

function search() {
  const list = el("div", { class: "choices", id: "of-choices", role: "listbox", "aria-label": "Instruments found" });
  const choicesOf = () => /** @type {NodeListOf<HTMLElement>} */ (list.querySelectorAll(".choice"));
  /* Say what is chosen in the list, and whether there is one, to those who do not see it. */
  const announce = () => {
    const choices = [...choicesOf()];
    input.setAttribute("aria-expanded", String(choices.length > 0));
    choices.forEach((node) => node.setAttribute("aria-selected", String(node.classList.contains("on"))));
    const marked = choices.find((node) => node.classList.contains("on"));
    if (marked) input.setAttribute("aria-activedescendant", marked.id);
    else input.removeAttribute("aria-activedescendant");
  };
  new MutationObserver(announce).observe(list, { childList: true });
  const input = el("input", {
    id: "of-search", type: "search", placeholder: "Search", title: "Symbol, name or key ( / )", role: "combobox", "aria-controls": "of-choices", "aria-expanded": "false", "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", "aria-label": "Search instrument",
    onfocus: () => fill(), oninput: () => fill(),
    onblur: () => setTimeout(() => list.replaceChildren(), 150),
    onkeydown: (event) => {
      const choices = [...choicesOf()];
      const at = choices.findIndex((node) => node.classList.contains("on"));
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        const next = (at + (event.key === "ArrowDown" ? 1 : -1) + choices.length) % choices.length;
        choices.forEach((node, index) => node.classList.toggle("on", index === next));
        announce();
      } else if (event.key === "Enter" && choices.length) choices[Math.max(at, 0)].dispatchEvent(new MouseEvent("mousedown"));
      else if (event.key === "Escape") input.blur();
    },
  });
  /** @returns {void} */
  function fill() {
    const matching = matches(input.value);
    if (!matching.length) return list.replaceChildren(el("div", { class: "none" }, `“${input.value.trim()}” is not in the feed; add its key to INSTRUMENT.`));
    return list.replaceChildren(
      ...matching.map((row, index) =>
        el("div", { class: "choice" + (index ? "" : " on"), role: "option", id: "of-choice-" + index, "data-key": row.key, onmousedown: () => {
          input.value = "";
          input.blur();
          of.choose({ instrument: row.key });
        } }, el("b", {}, row.symbol), el("span", {}, row.name)),
      ),
    );
  }
  return { input, node: el("div", { class: "search" }, input, list) };
}

function header() {
  const symbol = el("h1", { id: "of-symbol" });
  const name = el("span", { id: "of-name" });
  const last = el("b", { id: "of-last" });
  const change = el("span", { id: "of-change" });
  const minutes = MINUTES.map((n) => el("button", { type: "button", "data-minutes": n, title: `${n} minute candles`, onclick: () => of.choose({ minutes: n }) }, n + "m"));
  /** @type {["chart" | "footprint", string][]} */
  const views = [["chart", "Chart"], ["footprint", "Footprint"]];
  const modes = views.map(([mode, title]) => el("button", { type: "button", "data-mode": mode, onclick: () => of.choose({ mode }) }, title));
  const sizes = [...new Set([...BUFFERS, of.view.buffer])].sort((a, b) => a - b);
  const buffer = el("select", { id: "of-buffer", title: "Candles shown", "aria-label": "Candles shown", onchange: () => { of.choose({ buffer: Number(buffer.value) }); } }, sizes.map((n) => el("option", { value: n }, n === DAY ? "day" : String(n))));
  const ticks = el("select", { id: "of-ticks", title: "Height of a price row ( [ ] )", "aria-label": "Height of a price row", onchange: () => { of.choose({ ticks: Number(ticks.value) }); } });
  const cells = el("select", { id: "of-cells", title: "What the cells say (X)", "aria-label": "What the footprint's cells show", onchange: () => { of.choose({ cells: CELLS[cells.selectedIndex][0] }); } }, CELLS.map(([value, title]) => el("option", { value }, title)));
  const palette = el("button", { type: "button", id: "of-palette", title: "Colour-blind safe colours (C)", "aria-label": "Colour-blind safe colours", onclick: () => of.choose({ palette: of.view.palette === "safe" ? "default" : "safe" }) }, "◐");
  const theme = el("button", { type: "button", id: "of-theme", title: "Light or dark theme (T)", "aria-label": "Light theme", onclick: () => of.switchTheme() }, "☀");
  const found = search();
  of.byId("of-header").append(
    el("div", { class: "title" }, symbol, name),
    el("div", { class: "quote" }, last, change),
    found.node,
    el("div", { class: "group", id: "of-minutes", role: "group", "aria-label": "Length of a candle" }, minutes),
    el("div", { class: "group", id: "of-modes", role: "group", "aria-label": "View" }, modes),
    buffer,
    ticks,
    cells,
    el("div", { class: "tools", id: "of-tools" }, theme, palette),
    el("div", { class: "condition" }, el("span", { id: "of-latency", class: "pill", title: "From the feed message's receipt to this screen: median and 99th percentile of the last 300 trades" }, "– ms"), el("i", { id: "of-dot", class: "closed" }), el("time", { id: "of-clock" })),
  );
  return { symbol, name, last, change, search: found.input, minutes, modes, buffer, ticks, cells, palette };
}

/** @type {Record<string, () => unknown>} */
const KEYS = {
  "/": () => nodes?.search.focus(),
  f: () => of.choose({ mode: of.view.mode === "chart" ? "footprint" : "chart" }),
  c: () => of.choose({ palette: of.view.palette === "safe" ? "default" : "safe" }),
  Home: () => of.follow(),
  "+": () => of.zoomTime(1 / 1.25, Infinity),
  "=": () => of.zoomTime(1 / 1.25, Infinity),
  "-": () => of.zoomTime(1.25, Infinity),
  arrowleft: () => of.panShare(-0.15),
  arrowright: () => of.panShare(0.15),
  arrowup: () => of.zoomPrice(1 / 1.15),
  arrowdown: () => of.zoomPrice(1.15),
  pageup: () => of.panShare(-0.9),
  pagedown: () => of.panShare(0.9),
  r: () => of.resetZoom(),
  "[": () => coarser(-1),
  "]": () => coarser(1),
  x: () => of.view.mode === "footprint" && of.choose({ cells: CELLS[(CELLS.findIndex(([cells]) => cells === of.view.cells) + 1) % CELLS.length][0] }),
  t: () => of.switchTheme(),
  ",": () => of.pointStep(-1),
  ".": () => of.pointStep(1),
  j: () => step(1),
  k: () => step(-1),
};
MINUTES.forEach((n, index) => (KEYS[String(index + 1)] = () => of.choose({ minutes: n })));
of.keys = KEYS;

/** The next height of price rows; from the automatic one to the one beside it. @param {1 | -1} by */
function coarser(by) {
  if (of.view.mode !== "footprint") return;
  const { ticks } = of.view;
  const shown = ticks || of.chart.state.ticks;
  const sizes = TICKS.filter(Boolean);
  const next = by > 0 ? sizes.find((size) => size > shown) : sizes.reverse().find((size) => size < shown);
  if (next) of.choose({ ticks: next });
}

/** @param {1 | -1} by */
function step(by) {
  const keys = [...new Set([...of.watchOrder(), ...of.instruments].map((one) => one.key))];
  if (!keys.length) return;
  of.choose({ instrument: keys[(keys.indexOf(of.view.instrument || "") + by + keys.length) % keys.length] });
}

/* A choice made with the pointer gives the keyboard back to the page; one made with the keys keeps it. */
/** @type {EventTarget | null} */
let pointed = null;
document.addEventListener("pointerdown", (event) => (pointed = event.target), true);
document.addEventListener("keydown", () => (pointed = null), true);
document.addEventListener("change", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (target === pointed && target.matches("#of-header select, #of-replay :is(select, input), .panel h2 select")) target.blur();
});

document.addEventListener("keydown", (event) => {
  const target = /** @type {HTMLElement} */ (event.target);
  if (document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName)) return;
  /* A focused button is pressed by the space bar and Enter, as everywhere. */
  if ((event.key === " " || event.key === "Enter") && target.closest("button, a")) return;
  const action = KEYS[event.key] || KEYS[event.key.toLowerCase()];
  if (action) {
    event.preventDefault();
    action();
  }
});

/** Instruments may join, and names may come, after the page was opened. @param {import("./page.d.ts").WatchRow[]} rows */
function learn(rows) {
  let news = false;
  for (const row of rows) {
    const known = of.instruments.find((one) => one.key === row.key);
    if (known && known.symbol === row.symbol && known.name === row.name) continue;
    if (known) Object.assign(known, { symbol: row.symbol, name: row.name });
    else of.instruments.push({ key: row.key, symbol: row.symbol, name: row.name });
    news = true;
  }
  if (news) show();
}

of.on("hello", ({ user }) => {
  if (user && user.session && !document.getElementById("of-logout")) {
    /* A form, so that the answer's way to the login is followed. */
    const action = new URL("logout", HOME).href;
    of.byId("of-header").append(el("form", { method: "post", action }, el("button", { id: "of-logout", title: `Log out ${user.name}` }, "Log out")));
  }
  show();
});
of.on("message", ({ type, view, watch, ticks, live }) => {
  if (view) arrived(view);
  if (watch) learn(watch);
  if (ticks && nodes) showTicks(nodes.ticks);
  if (!view) return;
  if (type === "whole" && !of.view.instrument) {
    of.view.instrument = view.instrument;
    show();
  }
  /* A copied address names what is shown, also where another tab has chosen something since. */
  if (view.instrument === of.view.instrument && !/[?&]instrument=/.test(location.search)) remember();
  if (live && of.view.date && of.view.date === view.date) {
    of.view.date = null;
    remember();
    show();
  }
});
of.on("stats", (stats) => of.waiting || showQuote(stats));
/** @param {import("./page.d.ts").Stats} stats */
function showQuote(stats) {
  if (!nodes) return;
  of.text(nodes.last, of.price(stats.last));
  const change = stats.change === null ? "" : `${stats.change > 0 ? "+" : stats.change < 0 ? "−" : ""}${of.price(Math.abs(stats.change))}  ${of.percent(stats.change_percent)}`;
  of.text(nodes.change, change);
  of.klass(nodes.change, of.sign(stats.change || 0));
}
of.readUrl = fromUrl;
of.startControls = () => {
  nodes = header();
  show();
  setInterval(showTitle, 1000);
  setInterval(() => of.text(of.byId("of-clock"), of.clock(of.serverNow()) + " IST"), 500);
  window.addEventListener("popstate", () => {
    fromUrl();
    expect(true);
    show();
    of.ask();
  });
};
