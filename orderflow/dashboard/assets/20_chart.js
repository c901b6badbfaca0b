/* The chart: keeps the figure the server sent, splices newer columns into it, and lets Plotly draw once a frame. */
"use strict";
(() => {
  const of = window.orderflow;
  const CONFIG = { displayModeBar: false, responsive: true, scrollZoom: true, doubleClick: false };
  let div = null;
  let figure = null;
  let byUid = {};
  let following = true;
  let dirty = false;
  let revision = 0;

  of.chartRows = () => of.rows;
  of.figure = () => figure;

  function parts(trace, name) {
    const [head, tail] = name.split(".");
    return tail ? [(trace[head] = trace[head] || {}), tail] : [trace, head];
  }

  function setColumns(trace, columns) {
    for (const [name, values] of Object.entries(columns)) {
      const [owner, key] = parts(trace, name);
      owner[key] = values;
    }
  }

  function splice(trace, columns, from) {
    const keep = firstAtOrAfter(trace.x || [], from);
    const drop = Math.max(0, keep + columns.x.length - of.view.buffer);
    for (const [name, values] of Object.entries(columns)) {
      const [owner, key] = parts(trace, name);
      owner[key] = (owner[key] || []).slice(drop, keep).concat(values);
    }
  }

  function firstAtOrAfter(x, from) {
    let index = x.length;
    while (index > 0 && x[index - 1] >= from) index -= 1;
    return index;
  }

  function load(message) {
    figure = message.figure;
    byUid = Object.fromEntries(figure.data.map((trace) => [trace.uid, trace]));
    of.rows = message.facts;
    following = true;
    dirty = true;
  }

  function patch(message) {
    if (!figure) return;
    if (message.tails) {
      for (const [uid, columns] of Object.entries(message.tails)) if (byUid[uid]) splice(byUid[uid], columns, message.from);
      splice(of.rows, message.facts, message.from);
      dirty = true;
    }
    if (message.wholes) {
      for (const [uid, columns] of Object.entries(message.wholes)) if (byUid[uid]) setColumns(byUid[uid], columns);
      dirty = true;
    }
    if (message.shapes) {
      figure.layout.shapes = message.shapes;
      dirty = true;
    }
  }

  const toMs = (label) => Date.parse(label.replace(" ", "T") + "Z");
  const toLabel = (ms) => new Date(ms).toISOString().slice(0, 19).replace("T", " ");

  /* While the newest candle is followed, the axes are set from the candles: bands and profile must not squash them. */
  function fit() {
    const rows = of.rows;
    if (!following || !rows || !rows.x.length) return;
    const step = of.view.minutes * 60000;
    const shown = Math.max(rows.x.length, 24);
    const last = toMs(rows.x[rows.x.length - 1]);
    figure.layout.xaxis.range = [toLabel(last - (shown - 0.4) * step), toLabel(last + step * Math.max(2, shown * 0.03))];
    const high = Math.max(...rows.high.filter((value) => value !== null));
    const low = Math.min(...rows.low.filter((value) => value !== null));
    const pad = Math.max((high - low) * 0.06, high * 0.0004);
    figure.layout.yaxis.range = [low - pad, high + pad];
    figure.layout.yaxis.autorange = false;
  }

  function draw() {
    if (!dirty || !figure || !div || !window.Plotly) return;
    dirty = false;
    fit();
    figure.layout.datarevision = ++revision;
    window.Plotly.react(div, figure.data, figure.layout, CONFIG);
    if (!div.dataset.bound) bind();
    tag();
  }

  function bind() {
    div.dataset.bound = "yes";
    div.on("plotly_relayout", (event) => {
      if (Object.keys(event).some((name) => name.startsWith("xaxis.range") || name.startsWith("yaxis.range"))) {
        following = false;
        of.emit("following", false);
        tag();
      }
    });
    div.on("plotly_doubleclick", () => of.follow());
    div.on("plotly_hover", (event) => {
      const point = event.points.find((one) => one.xaxis === div._fullLayout.xaxis);
      if (point) of.emit("hover", String(point.x));
    });
    div.on("plotly_unhover", () => of.emit("hover", null));
  }

  /* The last price as a tag on the price axis. */
  function tag() {
    const node = of.byId("of-tag");
    const full = div._fullLayout;
    const rows = of.rows;
    if (!full || !full.yaxis || !rows || !rows.x.length) {
      node.style.display = "none";
      return;
    }
    const index = rows.x.length - 1;
    const y = full.yaxis._offset + full.yaxis.l2p(rows.close[index]);
    const inside = y > full.yaxis._offset && y < full.yaxis._offset + full.yaxis._length;
    node.style.display = inside ? "block" : "none";
    node.style.top = div.offsetTop + y + "px";
    of.text(node, of.price(rows.close[index]));
    of.klass(node, "tag " + of.sign(rows.close[index] - rows.open[index]));
  }

  of.follow = () => {
    following = true;
    dirty = true;
    of.emit("following", true);
    draw();
  };
  of.isFollowing = () => following;

  of.on("message", (message) => {
    if (message.type === "figure") load(message);
    else patch(message);
  });
  of.on("draw", draw);
  of.startChart = () => {
    div = of.byId("of-chart");
    window.addEventListener("resize", () => setTimeout(() => figure && tag(), 150));
  };
})();
