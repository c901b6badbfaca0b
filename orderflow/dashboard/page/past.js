/* Past days and their replay: the date picker offers the days HDFS holds; a replay has play, speed and a position. */
import { HOME, of } from "./base.js";

const { el } = of;
let picker = null;
let again = null;
let dates = [];
let bar = null;
let moving = false;
const RENEW_MS = 5000;

/* Where the replay stands, and whose it is; after a reconnect it goes on there. */
let last = null;
let resume = null;
let loaded = -Infinity;
const shown = () => [of.view.instrument, of.view.date].join();

/* Days come while a page is open: the list is read again when somebody turns to it. Unread, the old one stays. */
async function load() {
  loaded = performance.now();
  try {
    const answer = await of.fetch(new URL("api/dates", HOME));
    const stored = answer.ok ? (await answer.json()).reverse() : dates;
    if (String(stored) === String(dates)) return;
    dates = stored;
  } catch (error) {
    return;
  }
  fill();
}
const renew = () => performance.now() - loaded > RENEW_MS && load();

function fill() {
  const viewed = of.view.date;
  const all = viewed && !dates.includes(viewed) ? [viewed, ...dates] : dates;
  picker.replaceChildren(el("option", { value: "" }, "Live"), ...all.map((date) => el("option", { value: date }, date)));
  picker.value = viewed || "";
  picker.classList.toggle("on", Boolean(viewed));
  again.disabled = !viewed;
  of.press(again, of.view.replay);
}

function control(change) {
  of.send({ type: "replay", ...change });
}

function drawBar(state) {
  const host = of.byId("of-replay");
  if (!state) {
    host.replaceChildren();
    bar = null;
    return;
  }
  if (!bar) {
    bar = {
      play: el("button", { type: "button", id: "of-play", title: "Play or pause (space)", onclick: () => control({ playing: bar.play.dataset.playing !== "yes" }) }),
      speed: el("select", { id: "of-speed", title: "Speed", "aria-label": "Speed of the replay", onchange: () => control({ speed: Number(bar.speed.value) }) }, state.speeds.map((speed) => el("option", { value: String(speed) }, speed + "×"))),
      position: el("input", { type: "range", id: "of-position", "aria-label": "Time of day", oninput: () => {
        moving = true;
        of.text(bar.time, of.clock(Number(bar.position.value)));
      }, onchange: () => {
        moving = false;
        control({ position_ms: Number(bar.position.value) });
      } }),
      time: el("time", {}),
      stop: el("button", { type: "button", title: "Leave the replay", "aria-label": "Leave the replay", onclick: () => of.choose({ replay: false }) }, "✕"),
    };
    host.replaceChildren(...Object.values(bar));
  }
  of.text(bar.play, state.playing ? "❚❚" : "▶");
  bar.play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  bar.play.dataset.playing = state.playing ? "yes" : "no";
  bar.speed.value = String(state.speed);
  bar.position.min = state.start_ms;
  bar.position.max = state.end_ms;
  if (!moving) {
    bar.position.value = state.position_ms;
    of.text(bar.time, of.clock(state.position_ms));
  }
}

of.keys[" "] = () => bar && bar.play.click();
of.keys.l = () => of.choose({ date: null, replay: false });
of.on("message", (message) => {
  if (message.replay === undefined) return;
  if (message.replay && resume && resume.shown === shown()) control(resume.state);
  if (message.replay) resume = null;
  last = message.replay && { shown: shown(), state: message.replay };
  drawBar(message.replay);
});
of.on("view", () => picker && fill());
of.on("hello", () => {
  if (last && of.view.replay) resume = { shown: last.shown, state: (({ position_ms, speed, playing }) => ({ position_ms, speed, playing }))(last.state) };
  load();
});
of.startPast = () => {
  picker = el("select", { id: "of-date", title: "Live, or a past day from HDFS", "aria-label": "Day", onchange: () => of.choose({ date: picker.value || null, replay: false }), onpointerenter: renew, onfocus: renew });
  again = el("button", { type: "button", id: "of-again", title: "Replay the chosen day", onclick: () => of.choose({ replay: !of.view.replay }) }, "Replay");
  of.byId("of-tools").prepend(picker, again);
  fill();
};
