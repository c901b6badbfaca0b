/* Downloads of what is shown (CSV, PNG), the dialog box, and the help. */
import { of } from "./base.js";
import { colors } from "./colors.js";
import { BUY, SELL } from "./draw/footprint.js";
import { picture as takePicture } from "./plot.js";

const { el } = of;

of.openDialog = (title, ...content) => {
  const host = of.byId("of-dialog");
  const box = el("dialog", { "aria-label": title }, el("h2", {}, title, el("button", { type: "button", title: "Close (Esc)", "aria-label": "Close", onclick: () => box.close() }, "✕")), ...content);
  box.addEventListener("close", () => box.remove());
  host.replaceChildren(box);
  box.showModal();
  return box;
};

/* A menu at a place of the centre pane; it closes by its choice, Escape, the wheel or a press elsewhere. */
of.openMenu = (x, y, items) => {
  const host = of.byId("of-centre");
  const old = of.byId("of-menu");
  if (old) old.remove();
  const close = (event) => {
    if (event && (event.type === "keydown" ? event.key !== "Escape" : box.contains(event.target))) return;
    box.remove();
    for (const name of ["pointerdown", "keydown", "wheel"]) window.removeEventListener(name, close, true);
  };
  const act = (run) => () => {
    close();
    run();
  };
  const box = el("div", { id: "of-menu" }, items.map(([name, run]) => el("button", { type: "button", onclick: act(run) }, name)));
  host.append(box);
  box.style.left = Math.min(x, host.clientWidth - box.offsetWidth) + "px";
  box.style.top = Math.min(y, host.clientHeight - box.offsetHeight) + "px";
  for (const name of ["pointerdown", "keydown", "wheel"]) window.addEventListener(name, close, true);
};

function fileName(kind) {
  const rows = of.rows;
  const day = rows && rows.x.length ? rows.x[rows.x.length - 1].slice(0, 10) : "none";
  const footprint = of.chart.state.mode === "footprint" ? "_footprint" : "";
  return `${of.symbolOf(of.view.instrument)}_${day}_${of.view.minutes}m${footprint}.${kind}`.replace(/[^\w.-]+/g, "_");
}

function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/* Cells that a spreadsheet would take for a formula are quoted with a leading apostrophe. */
function quoted(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? "'" + value : value;
  return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}

const ist = (label) => label.replace(" ", "T") + "+05:30";
of.csv = () => (of.chart.state.mode === "footprint" ? footprintCsv() : candlesCsv());

/* The levels of the footprint's columns; `price` is the lowest of its row of `ticks`. */
function footprintCsv() {
  const { rows } = of;
  const { step, ticks } = of.chart.state;
  const base = of.base();
  const below = (step - step / ticks) / 2;
  const lines = ["instrument,symbol,window_start,window_end,final,price,ticks,sell_volume,buy_volume,unclassified_volume,imbalance"];
  for (const { cell, column } of of.columns()) {
    const row = base + column;
    const head = [of.view.instrument, of.symbolOf(of.view.instrument), ist(rows.x[row]), ist(rows.window_end[row]), rows.final[row]];
    for (const [price, sell, buy, none, mark] of cell.levels) {
      const sides = [mark & BUY ? "buy" : "", mark & SELL ? "sell" : ""].filter(Boolean).join(" ");
      lines.push([...head, Number((price - below).toFixed(4)), ticks, sell, buy, none, sides].map(quoted).join(","));
    }
  }
  return lines.join("\n") + "\n";
}

function candlesCsv() {
  const rows = of.rows;
  const names = Object.keys(rows).filter((name) => name !== "x");
  const lines = [["instrument", "symbol", "window_start", ...names].join(",")];
  rows.x.forEach((start, index) => {
    const values = names.map((name) => (name === "window_end" ? ist(rows[name][index]) : rows[name][index]));
    lines.push([of.view.instrument, of.symbolOf(of.view.instrument), ist(start), ...values].map(quoted).join(","));
  });
  return lines.join("\n") + "\n";
}

of.saveCsv = () => of.rows && save(new Blob([of.csv()], { type: "text/csv" }), fileName("csv"));

/* Plotly's picture with the canvases and a title line over it. */
of.png = async () => {
  const { div } = of.chart;
  const [width, height, scale, head] = [div.clientWidth, div.clientHeight, 2, 26];
  const url = await takePicture(div, scale);
  const picture = new Image();
  await new Promise((resolve, reject) => {
    picture.onload = resolve;
    picture.onerror = reject;
    picture.src = url;
  });
  const canvas = el("canvas", { width: width * scale, height: (height + head) * scale });
  const pen = canvas.getContext("2d");
  const { paper, text } = colors();
  pen.fillStyle = paper;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.fillStyle = text;
  pen.font = 13 * scale + "px sans-serif";
  const rows = of.rows;
  const day = rows && rows.x.length ? rows.x[rows.x.length - 1] + " IST" : "";
  pen.fillText(`${of.symbolOf(of.view.instrument)}  ${of.view.minutes} min  ${day}`, 10 * scale, 18 * scale);
  pen.drawImage(picture, 0, head * scale);
  of.drawOnto(pen, 0, head * scale, scale);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
};

const savePng = async () => of.rows && save(await of.png(), fileName("png"));

const HELP = [
  ["/", "search an instrument"], ["J, K", "next, previous instrument"], ["1 … 6", "1, 3, 5, 15, 30, 60 minutes"], ["F", "chart or footprint"], ["[ ]", "finer, coarser price rows of the footprint"], ["X", "footprint cells: bid × ask, delta, volume"], ["← →", "pan; PgUp, PgDn by a screen; further left loads earlier candles"], ["+ −", "zoom the time"], ["↑ ↓", "stretch the prices"], ["Home", "back to the newest candle"], ["R", "reset the zoom"], ["Wheel", "zoom the time; with Shift or on the price axis the prices"], ["Drag", "pan in time; an axis: zoom it"], ["Right click", "on the prices, or a long touch: set an alert there"], ["Double click", "newest candle; on an axis: reset it"],
  ["L", "back to live"], ["Space", "play or pause a replay"], ["A", "alerts"], ["S, P", "save CSV, PNG"], ["C", "colour-blind safe colours"], ["T", "light or dark theme"], ["?", "this help"], [", .", "previous, next candle in the legend"],
];
const LEGEND = [
  ["Hollow candle, pale bars", "still forming; the final candle replaces it"], ["Strip under the prices: blue", "final and confirmed by the exchange's own bar"], ["grey", "final, built from the feed's updates only"],
  ["amber", "part of its volume traded during an outage"], ["Grey in volume", "unclassified: no aggressor known, never dropped"], ["Triangles", "imbalance of 0.6 or more"], ["Yellow line and bands", "VWAP of the day, one and two standard deviations"],
  ["Delta, CVD", "bought minus sold volume of the candle; its sum since the time in the row Seen"], ["Profile", "the day's volume by price; bright: value area (70 %); yellow: point of control"],
  ["Footprint", "at bid (left), at ask (right); bold: diagonal imbalance (see below); thick edge: stacked imbalances; yellow box: point of control; ◂ unfinished auction; delta or volume in the cells, or zoomed out: on the leading side's colour, the stronger the more traded"],
];
/* What makes a cell bold, and how far to trust it. */
function imbalances() {
  const { ratio, floor, ignore_zero: nonzero, precision } = of.imbalances;
  const rule = `at least ${ratio} to 1 against the neighbouring tick of the other side${nonzero ? " that traded" : ""}, and ${Number((floor * 100).toFixed(2))} % of the candle's volume`;
  const share = (value) => Math.round(value * 100);
  const trust = precision ? `On the simulated market ${share(precision[0])} to ${share(precision[1])} % of such marks were real, with one tick per row.` : "The share of such marks that are real was measured only for 3 to 1 and 2 %.";
  return `${rule}. ${trust}`;
}
const help = () =>
  of.openDialog("Help", el("div", { class: "help" }, [HELP, [...LEGEND, ["Diagonal imbalance", imbalances()]]].map((list) => el("dl", {}, list.map(([key, words]) => [el("dt", {}, key), el("dd", {}, words)]).flat()))));

of.keys.s = () => of.saveCsv();
of.keys.p = savePng;
of.keys["?"] = help;
of.startExport = () => {
  of.byId("of-tools").append(
    el("button", { type: "button", id: "of-csv", title: "Download the shown candles, or the footprint's levels (S)", onclick: () => of.saveCsv() }, "CSV"),
    el("button", { type: "button", id: "of-png", title: "Download a picture (P)", onclick: savePng }, "PNG"),
    el("button", { type: "button", id: "of-help", title: "Keyboard and meaning (?)", "aria-label": "Help", onclick: help }, "?"),
  );
  const newest = el("button", { type: "button", id: "of-newest", title: "Back to the newest candle (Home)", onclick: () => of.follow() }, "Newest ⟶");
  newest.hidden = true;
  of.byId("of-centre").append(newest);
  of.on("following", (yes) => (newest.hidden = yes));
};
