/* The dialog box, and the menu at the pointer. */
import { of } from "./base.js";

const { el } = of;

of.openDialog = (title, ...content) => {
  const box = el("dialog", { "aria-label": title }, el("h2", {}, title, el("button", { type: "button", title: "Close (Esc)", "aria-label": "Close", onclick: () => { box.close(); } }, "✕")), ...content);
  box.addEventListener("close", () => box.remove());
  of.byId("of-dialog").replaceChildren(box);
  box.showModal();
  return box;
};

/* A menu at a place of the centre pane; it closes by its choice, Escape, the wheel or a press elsewhere. */
of.openMenu = (x, y, items) => {
  const host = of.byId("of-centre");
  document.getElementById("of-menu")?.remove();
  const events = ["pointerdown", "keydown", "wheel"];
  const close = () => {
    box.remove();
    for (const name of events) window.removeEventListener(name, elsewhere, true);
  };
  /** @param {Event} event */
  const elsewhere = (event) => {
    if (event instanceof KeyboardEvent ? event.key === "Escape" : !(event.target instanceof Node && box.contains(event.target))) close();
  };
  /** @param {() => void} run */
  const act = (run) => () => {
    close();
    run();
  };
  const box = el("div", { id: "of-menu" }, items.map(([name, run]) => el("button", { type: "button", onclick: act(run) }, name)));
  host.append(box);
  box.style.left = Math.min(x, host.clientWidth - box.offsetWidth) + "px";
  box.style.top = Math.min(y, host.clientHeight - box.offsetHeight) + "px";
  for (const name of events) window.addEventListener(name, elsewhere, true);
};
