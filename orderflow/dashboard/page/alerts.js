/* Alerts: rules on price, delta, volume and imbalance of any instrument in the watch list, kept in this browser.
   A rule fires once a minute at most, with a tone, a toast and, where allowed, a notification; of several tabs only one sounds. */
import { of } from "./base.js";

const { el } = of;
const KINDS = {
  above: ["Price at or above", (row, value) => row.last !== null && row.last >= value, (row) => "last " + of.price(row.last)],
  below: ["Price at or below", (row, value) => row.last !== null && row.last <= value, (row) => "last " + of.price(row.last)],
  delta: ["Delta of the minute, either way, at least", (row, value) => row.minute && Math.abs(row.minute.delta) >= value, (row) => "delta " + of.signed(row.minute.delta)],
  volume: ["Volume of the minute, times the average of 20", (row, value) => row.minute && row.minute.average_volume > 0 && row.minute.volume >= value * row.minute.average_volume, (row) => "volume " + of.whole(row.minute.volume)],
  imbalance: ["Imbalance of the minute, either way, at least (0–1)", (row, value, rule) => row.minute && row.minute.imbalance !== null && enough(row.minute, rule) && Math.abs(row.minute.imbalance) >= value, (row) => "imbalance " + row.minute.imbalance.toFixed(2) + " of " + of.whole(row.minute.volume)],
};
const LOG_MOST = 50;
const NEAR_PIXELS = 5;
const MINUTE_OVER_MS = 180000;
const PRICED = new Set(["above", "below"]);
let rules = [];
let log = [];
let unread = 0;
let audio = null;
let button = null;
let refresh = null;
const newest = new Map();
const fired = new Map();

/* A single trade is always one-sided: imbalance counts from the rule's least volume on, or half the average minute's. */
function enough(minute, rule) {
  const least = Number.isFinite(rule.least) ? rule.least : minute.average_volume === null ? Infinity : minute.average_volume / 2;
  return minute.volume >= least;
}

function valid(rule) {
  return rule && typeof rule.key === "string" && KINDS[rule.kind] && Number.isFinite(rule.value);
}

/* Other tabs change the rules too, so what is kept is read again before each change. */
function read() {
  const kept = of.kept("alerts", []);
  rules = (Array.isArray(kept) ? kept : []).filter(valid).map((rule) => ({ ...rule, id: rule.id || [rule.key, rule.kind, rule.value].join(" ") }));
  const list = of.kept("alerts.log", []);
  log = Array.isArray(list) ? list : [];
}

function change(edit) {
  read();
  rules = edit(rules);
  of.keep("alerts", rules);
  show();
}

function show() {
  of.text(button, "Alerts" + (rules.length ? " " + rules.length : "") + (unread ? ` · ${unread} new` : ""));
  button.classList.toggle("on", rules.length > 0);
  of.unread = unread;
  if (refresh) refresh();
  of.drawLive();
}

/* The price rules of the viewed instrument, for the chart's lines. */
of.priceRules = () => rules.filter((rule) => rule.key === of.view.instrument && PRICED.has(rule.kind));

const named = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 8);

/* A right click (or a long touch) on the prices offers an alert there, and to remove the one under the pointer. */
function menu(event) {
  if (of.waiting || of.view.replay) return;
  const box = of.chart.div.getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  const value = of.priceAt(x, y);
  const key = of.view.instrument;
  const row = newest.get(key);
  if (value === null || !row || row.last === null) return;
  event.preventDefault();
  const { yaxis } = of.chart.div._fullLayout;
  const near = of.priceRules().filter((rule) => Math.abs(yaxis._offset + yaxis.l2p(rule.value) - y) <= NEAR_PIXELS);
  const kind = value >= row.last ? "above" : "below";
  const items = near.map((rule) => [`Remove the alert at ${of.price(rule.value)}`, () => change((all) => all.filter((one) => one.id !== rule.id))]);
  const notify = "Notification" in window && Notification.permission === "granted";
  items.push([`Alert at ${of.price(value)}`, () => change((all) => [...all, { id: named(), key, kind, value, sound: true, notify }])]);
  items.push(["All alerts", dialog]);
  of.openMenu(x, of.chart.div.offsetTop + y, items);
}

const holds = (rule, row) => Boolean(KINDS[rule.kind][1](row, rule.value, rule));

/* Price rules fire on crossing, the others once for each minute. What a dashboard that has just started reads again, and a
   minute that is long over, is no news. */
function check(row) {
  newest.set(row.key, { ...newest.get(row.key), ...row });
  if (row.reading) return;
  const over = row.minute && of.feedNow() - row.minute.start_ms > MINUTE_OVER_MS;
  for (const rule of rules) {
    if (rule.key !== row.key) continue;
    const priced = PRICED.has(rule.kind);
    if (over && !priced) continue;
    const stamp = priced ? "held" : row.minute && row.minute.start_ms;
    const before = fired.get(rule.id);
    const now = holds(rule, row);
    if (now && before !== stamp && !(priced && before === undefined)) fire(rule, row, KINDS[rule.kind][2](row), stamp);
    fired.set(rule.id, now ? stamp : priced ? "not" : before);
  }
}

function fire(rule, row, words, stamp) {
  const text = `${of.symbolOf(rule.key)}: ${words} (${KINDS[rule.kind][0].toLowerCase()} ${rule.value})`;
  const toast = el("div", { class: "toast" }, el("b", {}, of.clock(of.serverNow())), " ", text);
  of.byId("of-toasts").prepend(toast);
  setTimeout(() => toast.remove(), 12000);
  if (!refresh) unread += 1;
  once(rule, PRICED.has(rule.kind) ? "crossed" : stamp, () => {
    read();
    log = [{ at: Math.round(of.serverNow()), text }, ...log].slice(0, LOG_MOST);
    of.keep("alerts.log", log);
    if (rule.sound) tone();
    if (rule.notify && "Notification" in window && Notification.permission === "granted") new Notification("Order flow alert", { body: text, tag: rule.id });
    show();
  });
  show();
}

/* Run `act` in the first tab that asks for this rule and minute; a crossing counts as the same for ten seconds. */
function once(rule, stamp, act) {
  const claim = () => {
    const claims = of.kept("alerts.fired", {}) || {};
    const last = claims[rule.id];
    const now = Date.now();
    if (last && last.stamp === stamp && (stamp !== "crossed" || now - last.at < 10000)) return;
    for (const [id, one] of Object.entries(claims)) if (now - one.at > 86400000) delete claims[id];
    of.keep("alerts.fired", { ...claims, [rule.id]: { stamp, at: now } });
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

function dialog() {
  unread = 0;
  const key = of.view.instrument;
  const row = newest.get(key);
  const last = row && row.last !== null ? String(row.last) : "";
  const kind = el("select", { id: "of-alert-kind", onchange: () => suit() }, Object.entries(KINDS).map(([name, [title]]) => el("option", { value: name }, title)));
  const value = el("input", { type: "number", step: "any", id: "of-alert-value", placeholder: "value", autofocus: true, value: last });
  const least = el("input", { type: "number", min: "0", step: "1", id: "of-alert-least", placeholder: "½ average" });
  const from = el("label", {}, "from a volume of ", least);
  const sound = el("input", { type: "checkbox", checked: true });
  const notify = el("input", { type: "checkbox" });
  const answer = el("p", { class: "note warn", id: "of-alert-answer" });
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
      ...rules.map((rule) =>
        el("li", {}, el("b", {}, of.symbolOf(rule.key)), ` ${KINDS[rule.kind][0].toLowerCase()} ${rule.value}${Number.isFinite(rule.least) ? ` from a volume of ${of.whole(rule.least)}` : ""}`, el("button", { type: "button", title: "Remove", onclick: () => change((all) => all.filter((one) => one.id !== rule.id)) }, "✕")),
      ),
    );
    past.replaceChildren(...log.map((one) => el("li", {}, el("time", {}, of.clock(one.at)), " ", String(one.text))));
    of.text(state, mute() + permission());
  };
  const add = () => {
    if (value.value === "" || !Number.isFinite(Number(value.value))) return value.focus();
    const rule = { id: named(), key, kind: kind.value, value: Number(value.value), sound: sound.checked, notify: notify.checked };
    if (rule.kind === "imbalance" && least.value !== "") rule.least = Number(least.value);
    const already = PRICED.has(rule.kind) && row && holds(rule, newest.get(key));
    of.text(answer, already ? `Holds already (last ${of.price(newest.get(key).last)}): fires when the price comes back to it.` : "");
    change((all) => [...all, rule]);
    value.value = "";
    return value.focus();
  };
  of.openDialog(
    "Alerts for " + of.symbolOf(key),
    el("form", { class: "alert-form", onsubmit: (event) => {
      event.preventDefault();
      add();
    } }, kind, value, from, el("label", {}, sound, " sound"), el("label", {}, notify, " notification"), el("button", { type: "submit", id: "of-alert-add" }, "Add")),
    answer,
    list,
    state,
    el("h4", {}, "Fired"),
    past,
    el("p", { class: "note" }, "Rules and the last 50 alerts are kept in this browser. Rules are checked while the page is open, for every instrument of the watch list."),
  ).addEventListener("close", () => {
    refresh = null;
    show();
  });
  value.select();
  read();
  show();
}

of.keys.a = dialog;
of.on("message", (message) => {
  for (const row of message.watch || []) check(row);
});
of.startAlerts = () => {
  button = el("button", { type: "button", id: "of-alerts", title: "Alerts (A)", onclick: dialog });
  of.byId("of-tools").append(button);
  read();
  show();
  window.addEventListener("storage", (event) => {
    if (event.key !== null && !event.key.startsWith("orderflow.alerts")) return;
    read();
    show();
  });
  for (const name of ["pointerdown", "keydown"]) window.addEventListener(name, wakeAudio);
  of.chart.div.addEventListener("contextmenu", menu);
};
