/* Start once Dash has drawn the skeleton and Plotly is there. */
"use strict";
(() => {
  const of = window.orderflow;
  const start = () => {
    if (!document.getElementById("of-toasts") || !window.Plotly) return void setTimeout(start, 10);
    of.startControls();
    of.startChart();
    of.startPanels();
    of.startSocket();
    return undefined;
  };
  start();
})();
