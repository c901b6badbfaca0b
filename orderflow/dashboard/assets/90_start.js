/* Start once Dash has drawn the skeleton; the chart joins in when Plotly has been read. */
"use strict";
(() => {
  const of = window.orderflow;
  const start = () => {
    if (!document.getElementById("of-toasts")) return void setTimeout(start, 10);
    of.startControls();
    of.startChart();
    of.startPointer();
    of.startPanels();
    of.startPast();
    of.startAlerts();
    of.startExport();
    of.startSocket();
    if (!window.Plotly) window.addEventListener("load", () => of.emit("draw", []));
    return undefined;
  };
  start();
})();
