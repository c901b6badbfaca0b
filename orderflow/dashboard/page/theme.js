/* Light or dark: the viewer's choice, else the system's, which may change while the page is open. The root names theme and palette;
   style sheet, canvases and Plotly take their colours from there. */
import { of } from "./base.js";

const system = window.matchMedia("(prefers-color-scheme: light)");
const systems = () => (system.matches ? "light" : "dark");
const shown = () => (of.view.theme === "auto" ? systems() : of.view.theme);

function apply() {
  Object.assign(document.documentElement.dataset, { theme: shown(), palette: of.view.palette });
  const button = document.getElementById("of-theme");
  if (button) of.press(button, shown() === "light");
}

/* The other theme; the system's is not a choice of its own, so that the page follows it again. */
of.switchTheme = () => {
  const wanted = shown() === "light" ? "dark" : "light";
  of.choose({ theme: wanted === systems() ? "auto" : wanted });
};

system.addEventListener("change", () => {
  apply();
  if (of.rows) of.refit();
});
of.on("view", apply);
of.startTheme = apply;
