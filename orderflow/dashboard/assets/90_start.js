/* Ask for the view at once, while Dash still draws the skeleton; start the parts when it stands; the chart joins in when Plotly
   has been read. */
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
    of.release();
    if (!window.Plotly) window.addEventListener("load", () => of.emit("draw", []));
    return undefined;
  };
  of.readUrl();
  of.startSocket();
  start();
})();
