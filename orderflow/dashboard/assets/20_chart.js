/* The chart: keeps the figure the server sent and splices newer columns into it. Plotly draws what is settled, and only when
   that changes; what still forms is drawn over it by 25_live.js within a millisecond or two. */
"use strict";
(() => {
  const of = window.orderflow;
  const CONFIG = { displayModeBar: false, scrollZoom: false, doubleClick: false };
  const LIVE_TRACES = new Set(["profile_buy", "profile_sell", "profile_unclassified", "poc", "value_area", "forming"]);
  const LEAST = { chart: 8, footprint: 3 };
  const chart = { figure: null, mode: "chart", settled: 0, cells: [], column: 0, step: 0.05, div: null };
  of.chart = chart;
  let byUid = {};
  let following = true;
  let urgent = false;
  let revision = 0;
  let ranges = null;
  /* The viewer's own part of the axes: columns shown while following, stretch of the prices, and what was panned to. */
  let spans = { chart: null, footprint: null };
  let stretch = 1;
  let held = null;
  let shownView = "";
  let shownBuffer = 0;

  const toMs = (label) => Date.parse(label.replace(" ", "T") + "Z");
  const toLabel = (ms) => new Date(ms).toISOString().slice(0, 23).replace("T", " ");
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

  /* A reconnect brings the same view again and keeps what was panned to; another view starts at its newest candle. */
  function load(message) {
    const { view } = message;
    const name = view ? JSON.stringify([view.instrument, view.minutes, view.mode, view.date, view.replay]) : shownView;
    const same = chart.mode === message.mode && name === shownView;
    if (view && view.buffer !== shownBuffer) spans.chart = null;
    if (view) [shownView, shownBuffer, chart.date] = [name, view.buffer, message.date || view.date];
    chart.figure = message.figure;
    chart.mode = message.mode;
    byUid = Object.fromEntries(message.figure.data.map((trace) => [trace.uid, trace]));
    of.rows = message.facts;
    ranges = null;
    if (!same) {
      stretch = 1;
      setFollowing(true);
    }
    urgent = true;
  }

  function setFollowing(yes) {
    if (yes) held = null;
    if (following !== yes || yes) of.emit("following", yes);
    following = yes;
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

  /* The candles' starts in milliseconds, of the axis's own clock. */
  let starts = { x: null, count: 0, times: [] };
  of.times = () => {
    const { x } = of.rows;
    if (starts.x !== x || starts.count !== x.length) starts = { x, count: x.length, times: x.map(toMs) };
    return starts.times;
  };

  const stretched = ([low, high]) => [(low + high - (high - low) * stretch) / 2, (low + high + (high - low) * stretch) / 2];
  const columnMs = () => of.view.minutes * 60000;

  /* The time in view: what was panned to, else up to the newest candle, or from the session's start while candles are few. */
  function timeRange() {
    if (held) return held.x;
    const { x } = of.rows;
    const step = columnMs();
    const shown = spans.chart || Math.max(Math.min(x.length, of.view.buffer), 24);
    const first = x.length ? toMs(x[0]) : toMs((chart.date || toLabel(of.serverNow() + 19800000).slice(0, 10)) + " 09:15:00");
    const last = x.length ? toMs(x[x.length - 1]) : first;
    if (x.length < 24 && !spans.chart) return [first - 0.6 * step, first + (shown + 1.4) * step];
    return [last - (shown - 0.4) * step, last + step * Math.max(2, shown * 0.03)];
  }

  /* Prices, volumes and deltas fit the candles in view; they move only when something would leave them. */
  function fitChart(changed) {
    const rows = of.rows;
    const layout = chart.figure.layout;
    const time = timeRange();
    if (!rows.x.length) return setAxis(layout.xaxis, time.map(toLabel));
    const half = columnMs() / 2;
    const times = of.times();
    let seen = rows.x.map((_, index) => index).filter((index) => times[index] >= time[0] - half && times[index] <= time[1] + half);
    if (!seen.length) seen = [rows.x.length - 1];
    const seenOf = (name) => known(seen.map((index) => rows[name][index]));
    const low = Math.min(...seenOf("low"));
    const high = Math.max(...seenOf("high"));
    const top = Math.max(1, ...seenOf("total_volume"));
    const deltas = [Math.min(0, ...seenOf("delta")), Math.max(0, ...seenOf("delta"))];
    const sums = [Math.min(...seenOf("cvd")), Math.max(...seenOf("cvd"))];
    const calm = ranges && !changed && inside(ranges.price, low, high) && inside(ranges.volume, 0, top) && inside(ranges.delta, ...deltas) && inside(ranges.cvd, ...sums);
    if (calm) return undefined;
    const pad = Math.max((high - low) * 0.07, high * 0.0003);
    const reach = Math.max(1, -deltas[0], deltas[1]) * 1.15;
    const slack = Math.max(1, (sums[1] - sums[0]) * 0.12);
    ranges = { x: time, price: [low - pad, high + pad], volume: [0, top * 1.12], delta: [deltas[0] < 0 ? -reach : 0, reach], cvd: [sums[0] - slack, sums[1] + slack] };
    setAxis(layout.xaxis, time.map(toLabel));
    setAxis(layout.yaxis, stretched(ranges.price));
    setAxis(layout.yaxis2, ranges.volume);
    setAxis(layout.yaxis3, ranges.delta);
    setAxis(layout.yaxis5, ranges.cvd);
    urgent = true;
    return undefined;
  }

  function setAxis(axis, range) {
    axis.range = range;
    axis.autorange = false;
  }

  /* Show the newest columns, and of the prices as many as stay legible: the newest candle always, older ones while they fit. */
  function fitFootprint(changed) {
    const rows = of.rows;
    const layout = chart.figure.layout;
    if (held) {
      ranges = { x: held.x, price: held.y };
      setAxis(layout.xaxis, held.x);
      setAxis(layout.yaxis, held.y);
      return;
    }
    if (!rows.x.length) return;
    const newest = chart.cells.map((cell) => [cell.low, cell.high]);
    const columns = spans.footprint || Math.max(3, Math.floor(chart.div.clientWidth / 84));
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
    const end = chart.column + chart.cells.length;
    ranges = { x: [Math.max(end - columns, 0) - 0.55, Math.max(end, columns) - 0.35], price: [low - pad, high + pad] };
    setAxis(layout.xaxis, ranges.x);
    setAxis(layout.yaxis, stretched(ranges.price));
    urgent = true;
  }

  /* Wheel, pinch and drag -------------------------------------------------------------------------------------------- */
  let asked = false;
  function refit() {
    ranges = null;
    urgent = true;
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  }

  const unit = () => (chart.mode === "chart" ? columnMs() : 1);

  function hold() {
    const full = chart.div._fullLayout;
    held = { x: full.xaxis.range.map((end) => full.xaxis.r2l(end)), y: full.yaxis.range.slice() };
    setFollowing(false);
  }

  /* Show `factor` times as many columns: the newest stays in view while followed, else the one at `pixel` stays in place. */
  of.zoomTime = (factor, pixel) => {
    const axis = chart.div._fullLayout && chart.div._fullLayout.xaxis;
    if (!chart.figure || !axis || !of.rows.x.length) return;
    const [from, to] = held ? held.x : axis.range.map((end) => axis.r2l(end));
    const most = chart.mode === "chart" ? Math.max(of.rows.x.length, 24) : Math.max(chart.column + chart.cells.length, 12);
    const columns = Math.min(Math.max(((to - from) / unit()) * factor, LEAST[chart.mode]), most * 1.2);
    if (held) {
      const share = Math.min(Math.max((pixel - axis._offset) / axis._length, 0), 1);
      const pivot = from + (to - from) * share;
      held.x = [pivot - columns * unit() * share, pivot + columns * unit() * (1 - share)];
    } else {
      const shown = chart.mode === "chart" ? columns - Math.max(1.6, columns * 0.03) : columns - 0.2;
      spans[chart.mode] = Math.min(Math.max(shown, LEAST[chart.mode]), most);
    }
    refit();
  };

  of.panTime = (pixels) => {
    const axis = chart.div._fullLayout && chart.div._fullLayout.xaxis;
    if (!chart.figure || !axis || !of.rows.x.length) return;
    if (!held) hold();
    const by = ((held.x[1] - held.x[0]) / axis._length) * pixels;
    held.x = [held.x[0] + by, held.x[1] + by];
    refit();
  };

  of.zoomPrice = (factor) => {
    if (held && chart.mode === "footprint") {
      const [low, high] = held.y;
      held.y = [(low + high - (high - low) * factor) / 2, (low + high + (high - low) * factor) / 2];
    } else stretch = Math.min(Math.max(stretch * factor, 0.1), 10);
    refit();
  };

  of.fitPrice = () => {
    stretch = 1;
    refit();
  };

  /* The figure that Plotly draws: settled candles only; forming ones and the profile are the live layer's. */
  function settledFigure() {
    if (chart.mode === "footprint") return chart.figure.data;
    const count = chart.settled;
    const [from, to] = ranges ? ranges.x : timeRange();
    const mark = Math.min(Math.max(((chart.div.clientWidth * 0.8) / (to - from)) * columnMs(), 3), 8);
    return chart.figure.data.map((trace) => {
      if (LIVE_TRACES.has(trace.uid)) return { ...trace, x: [], y: [], open: [], high: [], low: [], close: [] };
      const cut = { ...trace };
      for (const name of ["x", "y", "open", "high", "low", "close"]) if (cut[name]) cut[name] = cut[name].slice(0, count);
      if (trace.uid.endsWith("_marks")) cut.marker = { ...trace.marker, size: mark, standoff: mark };
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
    (chart.mode === "footprint" ? fitFootprint : fitChart)(changed || !ranges);
    if (urgent) plot();
    of.drawLive();
    of.emit("drawn", null);
  }

  function plot() {
    urgent = false;
    const { figure, div } = chart;
    const { layout } = figure;
    layout.width = div.clientWidth;
    layout.height = div.clientHeight;
    layout.datarevision = ++revision;
    /* Ranges are kept here alone: under an unchanged uirevision Plotly would put those of an earlier pan back. */
    layout.uirevision = revision;
    label(layout);
    window.Plotly.react(div, settledFigure(), layout, CONFIG);
    if (div.dataset.bound) return;
    bind(div);
    performance.mark("orderflow.first_chart");
  }

  /* Ticks in the page's own numbers: prices grouped as in India, volumes in thousand, lakh and crore. */
  function label(layout) {
    const empty = !of.rows.x.length;
    const size = chart.div.clientHeight;
    const axes = chart.mode === "chart" ? ["yaxis", "yaxis2", "yaxis3", "yaxis5"] : ["yaxis"];
    for (const name of axes) {
      const axis = layout[name];
      axis.showticklabels = !empty;
      if (empty || !axis.range) continue;
      const [low, high] = axis.range;
      const price = name === "yaxis";
      const [bottom, top] = axis.domain || layout.yaxis3.domain;
      const share = top - bottom;
      const step = nice((high - low) / Math.max(2, Math.floor((size * share) / (price ? 44 : 34))));
      const values = [];
      for (let at = Math.ceil(low / step); at * step <= high; at += 1) values.push(Number((at * step).toFixed(4)));
      axis.tickmode = "array";
      axis.tickvals = values;
      axis.ticktext = values.map((value) => (price ? of.price(value) : of.short(value).replace(/\.?0+(?=[A-Z])/, "")));
    }
    if (chart.mode === "chart" && ranges) layout.bargap = (chart.div.clientWidth * columnMs()) / (ranges.x[1] - ranges.x[0]) < 5 ? 0.05 : 0.25;
  }

  function nice(rough) {
    const power = 10 ** Math.floor(Math.log10(rough));
    return power * ([1, 2, 5].find((lead) => lead * power >= rough) || 10);
  }

  function bind(div) {
    div.dataset.bound = "yes";
    div.on("plotly_relayout", (event) => {
      if (!Object.keys(event).some((name) => /^[xy]axis\d?\.range/.test(name))) return;
      hold();
      refit();
    });
    div.on("plotly_relayouting", () => of.drawLive());
    div.on("plotly_doubleclick", () => of.follow());
  }

  of.follow = () => {
    stretch = 1;
    setFollowing(true);
    ranges = null;
    urgent = true;
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
