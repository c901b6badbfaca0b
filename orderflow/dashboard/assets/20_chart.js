/* The chart: keeps the figure the server sent and splices newer columns into it. Plotly draws what is settled, and only when
   that changes; what still forms is drawn over it by 25_live.js within a millisecond or two. */
"use strict";
(() => {
  const of = window.orderflow;
  const CONFIG = { displayModeBar: false, scrollZoom: true, doubleClick: false };
  const LIVE_TRACES = new Set(["profile_buy", "profile_sell", "profile_unclassified", "poc", "value_area", "forming"]);
  const chart = { figure: null, mode: "chart", settled: 0, cells: [], column: 0, step: 0.05, div: null };
  of.chart = chart;
  let byUid = {};
  let following = true;
  let urgent = false;
  let revision = 0;
  let ranges = null;

  const toMs = (label) => Date.parse(label.replace(" ", "T") + "Z");
  const toLabel = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");
  of.isFollowing = () => following;
  of.trace = (uid) => byUid[uid];

  function place(trace, name) {
    const [head, tail] = name.split(".");
    return tail ? [(trace[head] = trace[head] || {}), tail] : [trace, head];
  }

  function setColumns(trace, columns) {
    for (const [name, values] of Object.entries(columns)) {
      const [owner, key] = place(trace, name);
      owner[key] = values;
    }
  }

  function splice(trace, columns, from) {
    let keep = (trace.x || []).length;
    while (keep > 0 && trace.x[keep - 1] >= from) keep -= 1;
    const drop = Math.max(0, keep + columns.x.length - of.view.buffer);
    for (const [name, values] of Object.entries(columns)) {
      const [owner, key] = place(trace, name);
      owner[key] = (owner[key] || []).slice(drop, keep).concat(values);
    }
  }

  function load(message) {
    const same = chart.mode === message.mode && !message.view;
    chart.figure = message.figure;
    chart.mode = message.mode;
    byUid = Object.fromEntries(message.figure.data.map((trace) => [trace.uid, trace]));
    of.rows = message.facts;
    if (!same) {
      following = true;
      ranges = null;
      of.emit("following", true);
    }
    urgent = true;
  }

  function patch(message) {
    if (!chart.figure) return;
    if (message.tails) for (const [uid, columns] of Object.entries(message.tails)) if (byUid[uid]) splice(byUid[uid], columns, message.from);
    if (message.facts && message.from) splice(of.rows, message.facts, message.from);
    if (message.wholes) for (const [uid, columns] of Object.entries(message.wholes)) if (byUid[uid]) setColumns(byUid[uid], columns);
    if (message.shapes) {
      chart.figure.layout.shapes = message.shapes;
      urgent = true;
    }
  }

  function take(message) {
    if (message.type === "figure") load(message);
    else patch(message);
    if (message.cells) {
      chart.cells = message.cells;
      chart.column = message.column;
      chart.step = message.step;
    }
  }

  /* How many of the rows are settled: everything before the first that still forms. */
  function settledRows() {
    const open = of.rows.final.indexOf(false);
    return open < 0 ? of.rows.final.length : open;
  }

  const known = (values) => values.filter((value) => value !== null && value !== undefined);
  const inside = (range, low, high) => range && low >= range[0] && high <= range[1];

  /* While the newest candle is followed, the axes are set from the candles; they move only when something would leave them. */
  function fitChart(changed) {
    const rows = of.rows;
    if (!rows.x.length) return;
    const low = Math.min(...known(rows.low));
    const high = Math.max(...known(rows.high));
    const top = Math.max(1, ...rows.total_volume);
    const deltas = [Math.min(0, ...rows.delta), Math.max(0, ...rows.delta)];
    const sums = [Math.min(...rows.cvd), Math.max(...rows.cvd)];
    const calm = ranges && !changed && inside(ranges.price, low, high) && inside(ranges.volume, 0, top) && inside(ranges.delta, ...deltas) && inside(ranges.cvd, ...sums);
    if (calm) return;
    const pad = Math.max((high - low) * 0.07, high * 0.0003);
    const reach = Math.max(1, -deltas[0], deltas[1]) * 1.15;
    const slack = Math.max(1, (sums[1] - sums[0]) * 0.12);
    ranges = { price: [low - pad, high + pad], volume: [0, top * 1.12], delta: [deltas[0] < 0 ? -reach : 0, reach], cvd: [sums[0] - slack, sums[1] + slack] };
    const step = of.view.minutes * 60000;
    const shown = Math.max(Math.min(rows.x.length, of.view.buffer), 24);
    const last = toMs(rows.x[rows.x.length - 1]);
    const left = Math.max(last - (shown - 0.4) * step, toMs(rows.x[0]) - step);
    const layout = chart.figure.layout;
    layout.xaxis.range = [toLabel(left), toLabel(Math.max(last + step * Math.max(2, shown * 0.03), left + 24 * step))];
    layout.yaxis.range = ranges.price;
    layout.yaxis2.range = ranges.volume;
    layout.yaxis3.range = ranges.delta;
    layout.yaxis5.range = ranges.cvd;
    urgent = true;
  }

  /* Show the newest columns, and of the prices as many as stay legible: the newest candle always, older ones while they fit. */
  function fitFootprint(changed) {
    const rows = of.rows;
    if (!rows.x.length) return;
    const newest = chart.cells.map((cell) => [cell.low, cell.high]);
    const columns = Math.max(3, Math.floor(chart.div.clientWidth / 84));
    const candles = [...chart.figure.ranges, ...newest].slice(-columns).reverse();
    const most = chart.step * 44;
    let [low, high] = candles[0];
    for (const [least, top] of candles) {
      const wider = [Math.min(low, least), Math.max(high, top)];
      if (wider[1] - wider[0] > most) break;
      [low, high] = wider;
    }
    if (ranges && !changed && inside(ranges.price, candles[0][0], candles[0][1])) return;
    const pad = chart.step * 2 + Math.max(0, (chart.step * 24 - (high - low)) / 2);
    ranges = { price: [low - pad, high + pad] };
    const end = chart.column + chart.cells.length;
    const layout = chart.figure.layout;
    layout.xaxis.range = [Math.max(end - columns, 0) - 0.55, Math.max(end, columns) - 0.35];
    layout.yaxis.range = ranges.price;
    urgent = true;
  }

  /* The figure that Plotly draws: settled candles only; forming ones and the profile are the live layer's. */
  function settledFigure() {
    if (chart.mode === "footprint") return chart.figure.data;
    const count = chart.settled;
    return chart.figure.data.map((trace) => {
      if (LIVE_TRACES.has(trace.uid)) return { ...trace, x: [], y: [], open: [], high: [], low: [], close: [] };
      const cut = { ...trace };
      for (const name of ["x", "y", "open", "high", "low", "close"]) if (cut[name]) cut[name] = cut[name].slice(0, count);
      return cut;
    });
  }

  function draw() {
    if (!chart.figure || !of.rows || !window.Plotly) return;
    const settled = settledRows();
    const changed = settled !== chart.settled || chart.rows !== of.rows.x.length;
    chart.settled = settled;
    chart.rows = of.rows.x.length;
    if (changed) urgent = true;
    if (following) (chart.mode === "footprint" ? fitFootprint : fitChart)(changed || !ranges);
    if (urgent) plot();
    of.drawLive();
  }

  function plot() {
    urgent = false;
    const { figure, div } = chart;
    if (!following && div._fullLayout) keepRanges(figure.layout, div._fullLayout);
    figure.layout.width = div.clientWidth;
    figure.layout.height = div.clientHeight;
    figure.layout.datarevision = ++revision;
    window.Plotly.react(div, settledFigure(), figure.layout, CONFIG);
    if (!div.dataset.bound) bind(div);
  }

  /* A viewer who has zoomed keeps the zoom. */
  function keepRanges(layout, full) {
    for (const name of ["xaxis", "yaxis", "yaxis2", "yaxis3", "yaxis5"]) if (layout[name] && full[name]) layout[name].range = full[name].range.slice();
  }

  function bind(div) {
    div.dataset.bound = "yes";
    div.on("plotly_relayout", (event) => {
      if (Object.keys(event).some((name) => /^[xy]axis\d?\.range/.test(name)) && following) {
        following = false;
        of.emit("following", false);
      }
      of.drawLive();
    });
    div.on("plotly_relayouting", () => of.drawLive());
    div.on("plotly_doubleclick", () => of.follow());
    div.on("plotly_hover", (event) => {
      const point = event.points.find((one) => one.xaxis === div._fullLayout.xaxis);
      if (point && chart.mode === "chart") of.emit("hover", String(point.x));
    });
    div.on("plotly_unhover", () => of.emit("hover", null));
  }

  of.follow = () => {
    following = true;
    ranges = null;
    urgent = true;
    of.emit("following", true);
    draw();
  };

  of.on("message", take);
  of.on("draw", draw);
  of.startChart = () => {
    chart.div = of.byId("of-chart");
    let timer = 0;
    new ResizeObserver(() => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        if (!chart.figure) return;
        ranges = null;
        urgent = true;
        draw();
      }, 120);
    }).observe(chart.div);
  };
})();
