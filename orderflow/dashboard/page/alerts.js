/* Alerts: rules on price, delta, volume and imbalance of any instrument. The server keeps them by this browser's token, judges
   them on every trade and says what fired; here they are edited, drawn and sounded. Of several tabs only one sounds. */
import { of } from "./base.js";
import { dayOf, labelOf } from "./format.js";

const { el } = of;
/**
 * @typedef {import("./page.d.ts").AlertRule} AlertRule
 * @typedef {import("./page.d.ts").AlertWish} AlertWish
 * @typedef {import("./page.d.ts").AlertKind} AlertKind
 * @typedef {import("./page.d.ts").FiredAlert} FiredAlert
 */

/** @type {Record<AlertKind, string>} */
const KINDS = {
  above: "Price at or above",
  below: "Price at or below",
  delta: "Absolute delta of the minute, at least",
  volume: "Volume of the minute, times the average of 20",
  imbalance: "Absolute imbalance of the minute, at least (0–1)",
};
const NEAR_PIXELS = 5;
/** @type {Set<string>} */
const PRICED = new Set(["above", "below"]);
/** @type {AlertRule[]} */
let rules = [];
/** @type {FiredAlert[]} */
let log = [];
let webhook = false;
let unread = 0;
/** @type {AudioContext | null} */
let audio = null;
/** @type {HTMLButtonElement | null} */
let button = null;
/** Draws the open dialog again. @type {(() => void) | null} */
let refresh = null;

const named = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 8);

/* The token by which the server knows this browser's alerts; without a memory it lasts as long as the page. */
const kept = of.kept("viewer");
const viewer = typeof kept === "string" && kept ? kept : [named(), named()].join("-");
of.keep("viewer", viewer);

/** @param {{add?: AlertWish[], remove?: string[]}} edit */
function change(edit) {
  of.send({ type: "alerts", viewer, ...edit });
}

/** A number that this browser remembers, 0 when it does not. @param {string} name */
const keptNumber = (name) => Number(of.kept(name)) || 0;

/* Ask for what is kept; rules that an earlier version kept in this browser move to the server, which judges them. */
function ask() {
  const old = of.kept("alerts");
  /** @type {AlertWish[]} */
  const add = (Array.isArray(old) ? old : []).map((rule) => ({ ...rule, id: rule.id || named() }));
  change(add.length ? { add } : {});
  of.keep("alerts", []);
}

/** @param {import("./page.d.ts").Alerts} message */
function take(message) {
  ({ rules, log, webhook } = message);
  const last = keptNumber("alerts.seen");
  unread = refresh ? 0 : log.filter((one) => one.number > last).length;
  if (message.problem) toast(message.problem);
  show();
}

function seen() {
  of.keep("alerts.seen", log.length ? log[0].number : 0);
  unread = 0;
}

function show() {
  if (!button) return;
  of.text(button, "Alerts" + (rules.length ? " " + rules.length : "") + (unread ? ` · ${unread} new` : ""));
  button.classList.toggle("on", rules.length > 0);
  of.unread = unread;
  refresh?.();
  of.drawLive();
}

of.alertRules = () => rules;

/* The price rules of the viewed instrument, for the chart's lines. */
of.priceRules = () => rules.filter((rule) => rule.key === of.view.instrument && PRICED.has(rule.kind));

/** A right click (or a long touch) on the prices offers an alert there, and to remove the one under the pointer. @param {MouseEvent} event */
function menu(event) {
  const plot = of.plot();
  if (!plot || of.waiting || of.view.replay) return;
  const box = of.chart.div.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const value = of.priceAt(x, y);
  const key = of.view.instrument;
  const last = of.lastPrice(key);
  if (key === null || value === null || last === null) return;
  event.preventDefault();
  const { price: axis } = plot;
  const near = of.priceRules().filter((rule) => Math.abs(axis.at(rule.value) - y) <= NEAR_PIXELS);
  const kind = value >= last ? "above" : "below";
  /** @type {[string, () => void][]} */
  const items = near.map((rule) => [`Remove the alert at ${of.price(rule.value)}`, () => change({ remove: [rule.id] })]);
  const notify = mayNotify();
  items.push([`Alert at ${of.price(value)}`, () => change({ add: [{ id: named(), key, kind, value, sound: true, notify }] })]);
  items.push(["All alerts", dialog]);
  of.openMenu(x, of.chart.div.offsetTop + y, items);
}

/** @param {string} text */
function toast(text) {
  const node = el("div", { class: "toast" }, el("b", {}, of.clock(of.serverNow())), " ", text);
  of.byId("of-toasts").prepend(node);
  setTimeout(() => node.remove(), 12000);
}

const mayNotify = () => "Notification" in window && Notification.permission === "granted";

/** @param {FiredAlert} alert */
const textOf = ({ rule, words }) => `${of.symbolOf(rule.key)}: ${words}`;

/** @param {import("./page.d.ts").Fired} message */
function fired({ alert }) {
  log = [alert, ...log];
  toast(textOf(alert));
  if (refresh) seen();
  else unread += 1;
  once(alert, () => {
    if (alert.rule.sound) tone();
    if (alert.rule.notify && mayNotify()) new Notification("Order flow alert", { body: textOf(alert), tag: alert.rule.id });
  });
  show();
}

/** Run `act` in the first tab that asks for this alert. @param {FiredAlert} alert @param {() => void} act */
function once(alert, act) {
  const claim = () => {
    if (keptNumber("alerts.sounded") >= alert.number) return;
    of.keep("alerts.sounded", alert.number);
    act();
  };
  if (navigator.locks) navigator.locks.request("orderflow.alerts", claim);
  else claim();
}

/* Browsers keep sound off until the page has been clicked or typed on. */
const touched = () => !navigator.userActivation || navigator.userActivation.hasBeenActive;

function wakeAudio() {
  if (!touched()) return;
  try {
    audio = audio || new AudioContext();
    if (audio.state === "suspended") audio.resume().then(show);
  } catch (error) {
    /* no audio device: toast and list remain */
  }
}

function tone() {
  if (!touched()) return;
  try {
    audio = audio || new AudioContext();
    const [oscillator, gain] = [audio.createOscillator(), audio.createGain()];
    oscillator.frequency.value = 880;
    gain.gain.setValueAtTime(0.12, audio.currentTime);
    gain.gain.exponentialRampToValueAtTime(0.001, audio.currentTime + 0.45);
    oscillator.connect(gain).connect(audio.destination);
    oscillator.start();
    oscillator.stop(audio.currentTime + 0.5);
  } catch (error) {
    /* no audio device: toast and list remain */
  }
}

function mute() {
  if (!rules.some((rule) => rule.sound)) return "";
  return !audio || audio.state === "suspended" ? "Sound is off until you click or type on this page. " : "";
}

function permission() {
  if (!("Notification" in window) || !window.isSecureContext) return "Notifications need https or this machine's own address. ";
  return Notification.permission === "denied" ? "This browser refuses notifications from this page. " : "";
}

/** @param {AlertRule} rule */
function described({ key, kind, value, least, webhook: posted }) {
  const words = {
    above: () => `price at or above ${of.price(value, key)}`,
    below: () => `price at or below ${of.price(value, key)}`,
    delta: () => `absolute delta of the minute, at least ${of.whole(value)}`,
    volume: () => `volume of the minute at least ${value} times the average of 20`,
    imbalance: () => `absolute imbalance of the minute, at least ${value}`,
  }[kind]();
  const from = least !== null ? ` from a volume of ${of.whole(least)}` : "";
  return ` ${words}${from}${posted ? ", webhook" : ""}`;
}

/** When an alert fired; of another day with its date. @param {number} ms */
function moment(ms) {
  const label = labelOf(ms);
  return (label.slice(0, 10) === labelOf(of.serverNow()).slice(0, 10) ? "" : dayOf(label) + " ") + of.clock(ms);
}

function dialog() {
  const key = of.view.instrument;
  if (key === null) return;
  seen();
  const price = of.lastPrice(key);
  const last = price === null ? "" : String(price);
  const kinds = /** @type {[AlertKind, string][]} */ (Object.entries(KINDS));
  const kind = el("select", { id: "of-alert-kind", "aria-label": "Kind of alert", onchange: () => suit() }, kinds.map(([name, title]) => el("option", { value: name }, title)));
  const value = el("input", { type: "number", step: "any", id: "of-alert-value", placeholder: "value", "aria-label": "Value", autofocus: true, value: last });
  const least = el("input", { type: "number", min: "0", step: "1", id: "of-alert-least", placeholder: "½ average" });
  const from = el("label", {}, "from a volume of ", least);
  const sound = el("input", { type: "checkbox", checked: true });
  const notify = el("input", { type: "checkbox" });
  const hook = el("input", { type: "checkbox", id: "of-alert-webhook" });
  const answer = el("p", { class: "note warn", id: "of-alert-answer", role: "status" });
  const state = el("p", { class: "note", id: "of-alert-state" });
  notify.addEventListener("change", () => notify.checked && "Notification" in window && Notification.requestPermission().then(show));
  const list = el("ul", { id: "of-alert-list" });
  const past = el("ol", { id: "of-alert-log" });
  const suit = () => {
    from.hidden = kind.value !== "imbalance";
    value.value = PRICED.has(kind.value) ? last : "";
  };
  suit();
  refresh = () => {
    list.replaceChildren(
      ...rules.map((rule) => el("li", {}, el("b", {}, of.symbolOf(rule.key)), described(rule), el("button", { type: "button", title: "Remove", "aria-label": "Remove this alert", onclick: () => change({ remove: [rule.id] }) }, "✕"))),
    );
    past.replaceChildren(...log.map((one) => el("li", {}, el("time", {}, moment(one.at_ms)), " ", textOf(one))));
    of.text(state, mute() + permission());
  };
  const add = () => {
    if (value.value === "" || !Number.isFinite(Number(value.value))) return value.focus();
    /** @type {AlertWish} */
    const rule = { id: named(), key, kind: kinds[kind.selectedIndex][0], value: Number(value.value), sound: sound.checked, notify: notify.checked, webhook: hook.checked };
    if (rule.kind === "imbalance" && least.value !== "") rule.least = Number(least.value);
    const now = of.lastPrice(key);
    const already = PRICED.has(rule.kind) && now !== null && (rule.kind === "above" ? now >= rule.value : now <= rule.value);
    of.text(answer, already ? `Already true (last ${of.price(now, key)}): fires when the price comes back to it.` : "");
    change({ add: [rule] });
    value.value = "";
    return value.focus();
  };
  const box = of.openDialog(
    "Alerts for " + of.symbolOf(key),
    el("form", { class: "alert-form", onsubmit: (event) => {
      event.preventDefault();
      add();
    } }, kind, value, from, el("label", {}, sound, " sound"), el("label", {}, notify, " notification"), webhook ? el("label", {}, hook, " webhook") : null, el("button", { type: "submit", id: "of-alert-add" }, "Add")),
    answer,
    list,
    state,
    el("h3", {}, "Fired"),
    past,
    el("p", { class: "note" }, "The dashboard keeps rules and the last 50 alerts for this browser, and checks them on every trade, also while the page is hidden or closed."),
  );
  box.addEventListener("close", () => {
    refresh = null;
    show();
  });
  value.select();
  show();
}

of.keys.a = dialog;
of.on("hello", ask);
of.on("alerts", take);
of.on("fired", fired);
of.startAlerts = () => {
  button = el("button", { type: "button", id: "of-alerts", title: "Alerts (A)", onclick: dialog });
  of.byId("of-tools").append(button);
  show();
  for (const name of ["pointerdown", "keydown"]) window.addEventListener(name, wakeAudio);
  of.chart.div.addEventListener("contextmenu", menu);
};
