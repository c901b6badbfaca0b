/* Ask for the view at once, while Dash still draws the skeleton; start the parts when it stands; the chart joins in when Plotly
   has been read. */
import { of } from "./base.js";
import { ready } from "./plot.js";
import "./socket.js";
import "./chart.js";
import "./zoom.js";
import "./older.js";
import "./pointer.js";
import "./draw/layers.js";
import "./panels/statistics.js";
import "./panels/depth.js";
import "./panels/tape.js";
import "./panels/watch.js";
import "./panels/legend.js";
import "./panels/banners.js";
import "./panels/note.js";
import "./panels/condition.js";
import "./controls.js";
import "./theme.js";
import "./hints.js";
import "./past.js";
import "./alerts.js";
import "./export.js";
import "./dialog.js";
import "./help.js";

const start = () => {
  if (!document.getElementById("of-toasts")) return void setTimeout(start, 10);
  of.startControls();
  of.startChart();
  of.startPointer();
  of.startLatency();
  of.startPast();
  of.startAlerts();
  of.startExport();
  of.startHints();
  of.release();
  if (!ready()) window.addEventListener("load", () => of.emit("draw", null));
  return undefined;
};
of.readUrl();
of.startTheme();
of.startSocket();
start();
