/* Downloads of what is shown, as CSV and PNG. */
import { of } from "./base.js";
import { colors } from "./colors.js";
import { BUY, SELL } from "./draw/footprint.js";
import { picture as takePicture } from "./plot.js";

/** @typedef {import("./page.d.ts").Facts} Facts */

const { el } = of;

/** @param {"csv" | "png"} kind */
function fileName(kind) {
  const rows = of.rows;
  const day = rows && rows.x.length ? rows.x[rows.x.length - 1].slice(0, 10) : "none";
  const footprint = of.chart.state.mode === "footprint" ? "_footprint" : "";
  return `${of.symbolOf(of.view.instrument)}_${day}_${of.view.minutes}m${footprint}.${kind}`.replace(/[^\w.-]+/g, "_");
}

/** @param {Blob} blob @param {string} name */
function save(blob, name) {
  const link = el("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/**
 * Cells that a spreadsheet would take for a formula are quoted with a leading apostrophe.
 * @param {string | number | boolean | null} value
 */
function quoted(value) {
  if (value === null) return "";
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? "'" + value : value;
  return /[",\n]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}

/** @param {string} label */
const ist = (label) => label.replace(" ", "T") + "+05:30";
of.csv = () => (!of.rows ? "" : of.chart.state.mode === "footprint" ? footprintCsv(of.rows) : candlesCsv(of.rows));

/** The levels of the footprint's columns; `price` is the lowest of its row of `ticks`. @param {Facts} rows */
function footprintCsv(rows) {
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

/** @param {Facts} rows */
function candlesCsv(rows) {
  const names = /** @type {(keyof Facts)[]} */ (Object.keys(rows)).filter((name) => name !== "x");
  const lines = [["instrument", "symbol", "window_start", ...names].join(",")];
  rows.x.forEach((start, index) => {
    const values = names.map((name) => (name === "window_end" ? ist(rows.window_end[index]) : rows[name][index]));
    lines.push([of.view.instrument, of.symbolOf(of.view.instrument), ist(start), ...values].map(quoted).join(","));
  });
  return lines.join("\n") + "\n";
}

const saveCsv = () => of.rows && save(new Blob([of.csv()], { type: "text/csv" }), fileName("csv"));

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
  if (!pen) throw new Error("this browser draws no pictures");
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
  return new Promise((resolve, reject) => canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("this browser makes no picture of this size"))), "image/png"));
};

const savePng = async () => of.rows && save(await of.png(), fileName("png"));

of.keys.s = saveCsv;
of.keys.p = savePng;
of.startExport = () => {
  of.byId("of-tools").append(
    el("button", { type: "button", id: "of-csv", title: "Download the shown candles, or the footprint's levels (S)", onclick: saveCsv }, "CSV"),
    el("button", { type: "button", id: "of-png", title: "Download a picture (P)", onclick: savePng }, "PNG"),
    el("button", { type: "button", id: "of-help", title: "Keyboard and meaning (?)", "aria-label": "Help", onclick: () => of.keys["?"]() }, "?"),
  );
  const newest = el("button", { type: "button", id: "of-newest", title: "Back to the newest candle (Home)", onclick: () => of.follow() }, "Newest ⟶");
  newest.hidden = true;
  of.byId("of-centre").append(newest);
  of.on("following", (yes) => (newest.hidden = yes));
};
