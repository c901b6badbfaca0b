/* Past days and their replay: the date picker offers the days HDFS holds; a replay has play, speed and a position. */
import { HOME, of } from "./base.js";

const { el } = of;
/** @typedef {import("./page.d.ts").ReplayState} ReplayState */

/** @type {{picker: HTMLSelectElement, again: HTMLButtonElement} | null} */
let nodes = null;
/** @type {string[]} */
let dates = [];
/** @type {ReturnType<typeof makeBar> | null} */
let bar = null;
let moving = false;
const RENEW_MS = 5000;

/** Where the replay stands, and whose it is; after a reconnect it goes on there. @type {{shown: string, state: ReplayState} | null} */
let last = null;
/** @type {{shown: string, state: Pick<ReplayState, "position_ms" | "speed" | "playing">} | null} */
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
  if (!nodes) return;
  const { picker, again } = nodes;
  const viewed = of.view.date;
  const all = viewed && !dates.includes(viewed) ? [viewed, ...dates] : dates;
  picker.replaceChildren(el("option", { value: "" }, "Live"), ...all.map((date) => el("option", { value: date }, date)));
  picker.value = viewed || "";
  picker.classList.toggle("on", Boolean(viewed));
  again.disabled = !viewed;
  of.press(again, of.view.replay);
}

/** @param {Omit<import("./page.d.ts").ReplayControl, "type">} change */
function control(change) {
  of.send({ type: "replay", ...change });
}

/** @param {number[]} speeds */
function makeBar(speeds) {
  const play = el("button", { type: "button", id: "of-play", title: "Play or pause (space)", onclick: () => { control({ playing: play.dataset.playing !== "yes" }); } });
  const speed = el("select", { id: "of-speed", title: "Speed", "aria-label": "Speed of the replay", onchange: () => { control({ speed: Number(speed.value) }); } }, speeds.map((times) => el("option", { value: times }, times + "×")));
  const time = el("time");
  const position = el("input", { type: "range", id: "of-position", "aria-label": "Time of day", oninput: () => {
    moving = true;
    of.text(time, of.clock(Number(position.value)));
  }, onchange: () => {
    moving = false;
    control({ position_ms: Number(position.value) });
  } });
  const stop = el("button", { type: "button", title: "Leave the replay", "aria-label": "Leave the replay", onclick: () => of.choose({ replay: false }) }, "✕");
  of.byId("of-replay").replaceChildren(play, speed, position, time, stop);
  return { play, speed, position, time };
}

/** @param {ReplayState | null} state */
function drawBar(state) {
  if (!state) {
    of.byId("of-replay").replaceChildren();
    bar = null;
    return;
  }
  bar = bar || makeBar(state.speeds);
  const { play, speed, position, time } = bar;
  of.text(play, state.playing ? "❚❚" : "▶");
  play.setAttribute("aria-label", state.playing ? "Pause" : "Play");
  play.dataset.playing = state.playing ? "yes" : "no";
  speed.value = String(state.speed);
  position.min = String(state.start_ms);
  position.max = String(state.end_ms);
  if (!moving) {
    position.value = String(state.position_ms);
    of.text(time, of.clock(state.position_ms));
  }
}

of.keys[" "] = () => bar?.play.click();
of.keys.l = () => of.choose({ date: null, replay: false });
of.on("message", ({ replay }) => {
  if (replay === undefined) return;
  if (replay && resume && resume.shown === shown()) control(resume.state);
  if (replay) resume = null;
  last = replay && { shown: shown(), state: replay };
  drawBar(replay);
});
of.on("view", fill);
of.on("hello", () => {
  if (last && of.view.replay) {
    const { position_ms, speed, playing } = last.state;
    resume = { shown: last.shown, state: { position_ms, speed, playing } };
  }
  load();
});
of.startPast = () => {
  const picker = el("select", { id: "of-date", title: "Live, or a past day from HDFS", "aria-label": "Day", onchange: () => { of.choose({ date: picker.value || null, replay: false }); }, onpointerenter: renew, onfocus: renew });
  const again = el("button", { type: "button", id: "of-again", title: "Replay the chosen day", onclick: () => of.choose({ replay: !of.view.replay }) }, "Replay");
  nodes = { picker, again };
  of.byId("of-tools").prepend(picker, again);
  fill();
};
