// The page: wires the parts and knows where a recording stands.

import { Answers, Refused } from "./answers.js";
import { needSecureContext, whatToDo } from "./capture.js";
import { Captions } from "./captions.js";
import { Connection, liveUrl } from "./connection.js";
import { byId } from "./dom.js";
import { download } from "./download.js";
import { Downloads } from "./downloads.js";
import { Log } from "./log.js";
import { told } from "./log-store.js";
import { Microphone } from "./microphone.js";
import { Network } from "./network.js";
import { Outage, plainly } from "./outage.js";
import { Pictures } from "./pictures.js";
import { Problems } from "./problems.js";
import { Recording } from "./recording.js";
import { Settings } from "./settings.js";
import { fileDrop, shortcuts } from "./shortcuts.js";
import { StartButton } from "./start-button.js";
import { State } from "./state.js";
import { theme } from "./theme.js";
import { turnOf } from "./transcript.js";

/** @typedef {"idle" | "starting" | "recording" | "stopping"} Phase */

const file = byId("file", HTMLInputElement);
const audible = byId("audible", HTMLInputElement);

const problems = new Problems();
const state = new State();
const pictures = new Pictures();
const captions = new Captions({
  list: byId("captions"),
  empty: byId("empty"),
  newest: byId("captions-newest"),
  announcer: byId("announcer"),
});
const log = new Log({
  list: byId("log"),
  filter: byId("log-filter", HTMLInputElement),
  kinds: byId("log-kinds"),
  newest: byId("log-newest"),
  count: byId("log-count"),
});
const downloads = new Downloads(captions, (name) => log.add("page", "download", `${name}, made by the page`));
const settings = new Settings((id, params) => {
  connection?.send({ type: "settings", id, params });
  log.add("settings", "settings", JSON.stringify(params), params);
});
const microphone = new Microphone(() => void microphoneChanged());
const start = new StartButton(toggle);
const network = new Network((message) => connection?.send(message));
const outage = new Outage(
  (sentence) => problems.set("service", sentence),
  () => network.leftMs,
);

/** @type {Connection | null} */
let connection = null;
/** @type {Recording | null} */
let recording = null;
/** The connection that is being made. @type {Promise<any> | null} */
let connecting = null;
/** @type {Phase} */
let phase = "idle";
/** Its source ended while it was starting: it stops as soon as it can. */
let endsAtOnce = false;
/** Whether the recording began with a file, and ends with it. */
let byFile = false;
const answers = new Answers();

/** @param {Phase} next */
function enter(next) {
  phase = next;
  document.body.dataset.phase = next;
  start.show(next);
  file.ariaDisabled = String(busy()); // it keeps the focus that it may have
  network.enable(next === "recording");
  state.show(phase, connection);
}

function busy() {
  return phase === "starting" || phase === "stopping";
}

/** Whoever has waited for the last words for a while may end that. */
function hurry() {
  log.add("page", "stop", "without the last words");
  connection?.send({ type: "stop" });
}

/** There is a connection that can be used: this one, the one that is being made, or a new one. */
async function connected() {
  if (connecting === null && connection?.usable) return;
  connecting ??= connect().finally(() => (connecting = null));
  await connecting;
}

function connect() {
  const hello = answers.next("hello");
  const made = new Connection(liveUrl(location), {
    onMessage: take,
    onClose: (why) => made === connection && lostServer(why),
  });
  connection = made;
  state.show(phase, connection);
  return hello;
}

/** @param {string} why */
function lostServer(why) {
  const running = phase === "recording" || phase === "stopping";
  pictures.figures.silent();
  log.add("error", "page", why);
  problems.set(
    "server",
    running
      ? `${why} The recording ended; what was captioned stays. Press Start to begin again.`
      : `${why} Press Start to try again.`,
  );
  if (!answers.fail(why, ["hello", "started", "stopped"]) && running) void abandon();
  else state.show(phase, connection);
}

/** The recording is over without the server's goodbye. */
async function abandon() {
  enter("stopping");
  await recording?.end();
  over();
}

function over() {
  recording = null;
  outage.end();
  settings.end();
  captions.end();
  network.over();
  enter("idle");
}

/** @param {(recording: Recording) => Promise<void>} source gives it its audio */
async function begin(source) {
  enter("starting");
  endsAtOnce = false;
  problems.clear();
  try {
    await connected();
    const listener = { onLevel: pictures.level.bind(pictures), onFileEnd, onLost, onWaiting };
    const mine = new Recording(/** @type {Connection} */ (connection), listener);
    recording = mine;
    pictures.begin();
    state.begin();
    outage.begin();
    await source(mine);
    if (!mine.connection.usable) throw new Refused("The connection ended before the recording began.");
    const started = answers.next("started");
    mine.begin(settings.begin());
    log.add("page", "start", `${mine.capture.sampleRate} Hz, ${byFile ? "a file" : "the microphone"}`);
    const { session_id: session } = await started;
    mine.started();
    log.add("page", "started", session ? `session ${session}` : "");
    enter("recording");
    if (endsAtOnce) void stop();
  } catch (error) {
    await recording?.end();
    const why = error instanceof Refused ? error.message : whatToDo(error);
    if (!connection?.closed) problems.set("start", why); // else that has been told
    log.add("error", "page", why);
    over();
  }
  void microphone.list();
}

async function stop() {
  endsAtOnce = phase === "starting";
  if (phase !== "recording" || recording === null) return;
  enter("stopping");
  const stopped = answers.next("stopped"); // it may end by itself meanwhile
  await recording.end();
  log.add("page", "stop", "waiting for the last words");
  connection?.send({ type: "stop" });
  try {
    ended(await stopped);
  } catch {
    over(); // the connection's end has been told
  }
}

/** @param {{problem: string | null}} message */
function ended({ problem }) {
  if (problem) problems.set("graph", problem);
  log.add(problem ? "error" : "page", "stopped", problem ?? "");
  over();
}

function useMicrophone() {
  byFile = false;
  return begin((mine) => mine.capture.useMicrophone(microphone.device, microphone.processing));
}

/** @param {File | undefined} chosen */
async function play(chosen) {
  if (chosen === undefined) return;
  if (busy()) {
    const why = phase === "starting" ? "the recording is only beginning" : "the recording is not over yet";
    return problems.set("file", `“${chosen.name}” is not played: ${why}. Wait a moment and take it again.`);
  }
  log.add("page", "file", chosen.name);
  if (phase === "idle") {
    byFile = true;
    return begin((mine) => mine.capture.playFile(chosen, audible.checked));
  }
  try {
    await recording?.capture.playFile(chosen, audible.checked);
    problems.set("file", null);
  } catch (error) {
    problems.set("file", whatToDo(error));
  }
}

/** @param {string} name */
function onFileEnd(name) {
  log.add("page", "file ended", name);
  if (byFile) void stop();
}

/** @param {string} reason */
function onLost(reason) {
  problems.set("microphone", `${reason} What it heard is captioned; press Start to go on.`);
  log.add("error", "page", reason);
  void stop();
}

/** @param {number} seconds */
function onWaiting(seconds) {
  const slow = `The network is slower than the audio: ${Math.round(seconds)} s wait to be sent.`;
  problems.set("network", seconds > 0 ? `${slow} Nothing is lost, but captions come late.` : null);
}

/** @param {any} message from the server of this page */
function take(message) {
  switch (message.type) {
    case "hello":
      return hello(message);
    case "started":
      return answers.came("started", message);
    case "message":
      return heard(message.name, message.payload);
    case "settings":
      log.add(message.code === 0 ? "settings" : "error", "settings", message.message, message);
      return settings.answered(message);
    case "cut":
      log.add(
        "page",
        "cut",
        `${message.connections} connection${message.connections === 1 ? "" : "s"}, no network for ${message.seconds} s`,
        message,
      );
      return network.cut(message.seconds);
    case "export":
      log.add("page", "download", message.name);
      return download(message);
    case "stopped":
      return answers.came("stopped", message) || stoppedByItself(message);
    case "problem":
      log.add("error", "problem", message.message, message);
      // A stop has no such answer: the recording goes on until it is stopped.
      return answers.fail(message.message, ["hello", "started"]) || problems.set("page", message.message);
  }
}

/** @param {{problem: string | null}} message */
async function stoppedByItself(message) {
  if (answers.fail(message.problem ?? "The recording ended before it began.", ["started"])) return;
  if (phase !== "recording") return;
  enter("stopping"); // nobody else need stop it
  await recording?.end();
  ended({ problem: message.problem ?? "The recording ended by itself." });
}

/** @param {any} message */
function hello(message) {
  problems.set("server", null);
  state.hello(message);
  settings.hello(message);
  network.hello(message);
  log.add("page", "hello", message.destination?.url ?? "", message);
  if (phase === "idle") enter("idle");
  answers.came("hello", message);
}

/** @param {string} name @param {any} payload of a message of the extension */
function heard(name, payload) {
  const { kind, summary } = told(name, payload);
  const words = network.canCut ? plainly : String;
  log.add(kind, name, words(summary), payload);
  if (name === "asr_result") result(payload);
  if (name === "metrics") pictures.measured(payload.metrics ?? {});
  // While it stops, the end of its connection is its own.
  if (name === "connection_status_changed" && (phase !== "stopping" || payload.current === "connected")) {
    const connected = payload.current === "connected";
    if (connected) firstHeard();
    pictures.service(connected, state.status(payload));
    outage.status({ ...payload, message: words(payload.message ?? "") });
  }
  if (name === "error" && payload.code !== -1000) outage.error(words(payload.vendor_info?.message ?? ""));
  if (name === "error" && payload.code === -1000) {
    outage.failed();
    problems.set("service", words(payload.message));
    settings.blamed(payload.message);
    state.failed();
  }
  state.show(phase, connection);
}

/** Until a recording has come to something, what was said before it is not put away; the server holds it likewise. */
function firstHeard() {
  if (recording === null || recording === downloads.of) return;
  captions.begin();
  downloads.begin(recording);
}

/** @param {any} payload */
function result(payload) {
  firstHeard();
  const turn = turnOf(payload);
  captions.take(turn);
  pictures.turn(turn, recording?.clock.capturedAt(turn.endMs) ?? null);
}

/** Another microphone or another processing; at once while one is listened to. */
async function microphoneChanged() {
  if (phase !== "recording" || byFile) return;
  try {
    await recording?.capture.useMicrophone(microphone.device, microphone.processing);
    problems.set("microphone", null);
    log.add("page", "microphone", microphone.name);
  } catch (error) {
    problems.set("microphone", whatToDo(error));
  }
}

function toggle() {
  if (phase === "recording") void stop();
  else if (phase === "stopping" && start.take()) hurry();
  else if (phase === "idle") void useMicrophone();
}

function wire() {
  file.addEventListener("change", () => {
    void play(file.files?.[0]);
    file.value = "";
  });
  audible.addEventListener("change", () => recording?.capture.setAudible(audible.checked));
  byId("clear").addEventListener("click", () => captions.clear());
  shortcuts({
    toggle,
    finalize: () => network.finalize(),
    cut: () => network.askCut(),
    filter: () => byId("log-filter").focus(),
  });
  addEventListener("beforeunload", (event) => {
    if (phase !== "idle") event.preventDefault(); // the browser asks whether the captions may go
  });
  fileDrop(byId("drop"), (dropped) => void play(dropped));
  if (matchMedia("(max-width: 700px)").matches) byId("settings-fold").removeAttribute("open");
  theme(() => pictures.recolour());
}

wire();
try {
  needSecureContext();
} catch (error) {
  problems.set("start", whatToDo(error));
}
void microphone.list();
connected().catch(() => {
  if (phase === "idle") enter("idle"); // who pressed Start meanwhile is told there
});
