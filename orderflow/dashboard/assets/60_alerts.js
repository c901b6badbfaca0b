/* Alerts: rules on price, delta, volume and imbalance of any instrument in the watch list, kept in this browser.
   A rule fires once a minute at most, with a tone, a toast and, where allowed, a notification. */
"use strict";
(() => {
  const of = window.orderflow;
  const { el } = of;
  const KINDS = {
    above: ["Price at or above", (row, value) => row.last !== null && row.last >= value, (row) => "last " + of.price(row.last)],
    below: ["Price at or below", (row, value) => row.last !== null && row.last <= value, (row) => "last " + of.price(row.last)],
    delta: ["Delta of the minute, either way, at least", (row, value) => row.minute && Math.abs(row.minute.delta) >= value, (row) => "delta " + of.signed(row.minute.delta)],
    volume: ["Volume of the minute, times the average of 20", (row, value) => row.minute && row.minute.average_volume > 0 && row.minute.volume >= value * row.minute.average_volume, (row) => "volume " + of.whole(row.minute.volume)],
    imbalance: ["Imbalance of the minute, either way, at least (0–1)", (row, value) => row.minute && row.minute.imbalance !== null && Math.abs(row.minute.imbalance) >= value, (row) => "imbalance " + row.minute.imbalance.toFixed(2)],
  };
  let rules = [];
  let audio = null;
  let button = null;

  function valid(rule) {
    return rule && typeof rule.key === "string" && KINDS[rule.kind] && Number.isFinite(rule.value);
  }

  function save() {
    of.keep("alerts", rules.map(({ key, kind, value, sound, notify }) => ({ key, kind, value, sound, notify })));
    show();
  }

  function show() {
    of.text(button, rules.length ? "Alerts " + rules.length : "Alerts");
    button.classList.toggle("on", rules.length > 0);
  }

  /* Price rules fire on crossing, the others once for each minute. */
  function check(row) {
    for (const rule of rules) {
      if (rule.key !== row.key) continue;
      const [, test, words] = KINDS[rule.kind];
      const holds = Boolean(test(row, rule.value));
      const priced = rule.kind === "above" || rule.kind === "below";
      const stamp = priced ? "held" : row.minute && row.minute.start_ms;
      if (holds && rule.fired !== stamp && !(priced && rule.fired === undefined)) fire(rule, row, words(row));
      rule.fired = holds ? stamp : priced ? "not" : rule.fired;
    }
  }

  function fire(rule, row, words) {
    const text = `${of.symbolOf(rule.key)}: ${words} (${KINDS[rule.kind][0].toLowerCase()} ${rule.value})`;
    const toast = el("div", { class: "toast" }, el("b", {}, of.clock(of.serverNow())), " ", text);
    of.byId("of-toasts").prepend(toast);
    setTimeout(() => toast.remove(), 12000);
    if (rule.sound) tone();
    if (rule.notify && "Notification" in window && Notification.permission === "granted") new Notification("Order flow alert", { body: text, tag: rule.key + rule.kind });
  }

  function tone() {
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
      /* no audio device: the toast remains */
    }
  }

  function dialog() {
    const kind = el("select", { id: "of-alert-kind" }, Object.entries(KINDS).map(([name, [title]]) => el("option", { value: name }, title)));
    const value = el("input", { type: "number", step: "any", id: "of-alert-value", placeholder: "value" });
    const sound = el("input", { type: "checkbox", checked: true });
    const notify = el("input", { type: "checkbox" });
    notify.addEventListener("change", () => notify.checked && "Notification" in window && Notification.requestPermission());
    const list = el("ul", { id: "of-alert-list" });
    const fill = () =>
      list.replaceChildren(
        ...rules.map((rule) =>
          el("li", {}, el("b", {}, of.symbolOf(rule.key)), ` ${KINDS[rule.kind][0].toLowerCase()} ${rule.value}`, el("button", { type: "button", title: "Remove", onclick: () => {
            rules = rules.filter((one) => one !== rule);
            save();
            fill();
          } }, "✕")),
        ),
      );
    fill();
    const add = () => {
      if (value.value === "" || !Number.isFinite(Number(value.value))) return value.focus();
      rules.push({ key: of.view.instrument, kind: kind.value, value: Number(value.value), sound: sound.checked, notify: notify.checked });
      value.value = "";
      save();
      return fill();
    };
    of.openDialog(
      "Alerts for " + of.symbolOf(of.view.instrument),
      el("form", { class: "alert-form", onsubmit: (event) => {
        event.preventDefault();
        add();
      } }, kind, value, el("label", {}, sound, " sound"), el("label", {}, notify, " notification"), el("button", { type: "submit", id: "of-alert-add" }, "Add")),
      list,
      el("p", { class: "note" }, "Rules are kept in this browser and checked while the page is open, for every instrument of the watch list."),
    );
  }

  of.keys.a = dialog;
  of.on("message", (message) => {
    for (const row of message.watch || []) check(row);
  });
  of.startAlerts = () => {
    rules = of.kept("alerts", []);
    rules = Array.isArray(rules) ? rules.filter(valid) : [];
    button = el("button", { type: "button", id: "of-alerts", title: "Alerts (A)", onclick: dialog });
    of.byId("of-tools").append(button);
    show();
  };
})();
