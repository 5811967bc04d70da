"""The playground in a real browser: a microphone that plays a recording, a cut, settings, files, downloads.

Chromium's fake microphone plays a WAV once, at the speed of speech; the page sends whatever rate Web Audio has.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import io
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pysubs2
import pytest
import soundfile
from playground_pages import Json, Running, Sample, playground, share
from playwright.sync_api import Browser, Page, Playwright, sync_playwright
from recorded_server import Wire
from ten_packages.extension.openai_asr_python.devkit.playground.recording import EXPORTS
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription.formats import FORMATS
from ten_packages.extension.openai_asr_python.devkit.transcription.job import Received
from ten_packages.extension.openai_asr_python.devkit.transcription.transcript import Transcript

pytestmark = pytest.mark.browser

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync")
# Without these it asks its maker's servers, at every start, for things no test needs.
OFFLINE = ("--disable-background-networking", "--disable-component-update", "--disable-quic")
MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
LOST = ("WebSocket connection to", "Failed to load resource")
UNTOUCHED = ("The AudioContext was not allowed to start",)
"How a browser's console complains of a server that has gone, and of a page that nobody has touched."


@pytest.fixture(scope="module")
def chromium() -> Iterator[Callable[..., Browser]]:
    """Start Debian's Chromium, headless, with more arguments."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        message = "Chromium is not installed (Debian: apt-get install chromium): the page is NOT TESTED in a browser"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    browsers: list[Browser] = []
    driver: Playwright
    with sync_playwright() as driver:

        def start(*more: str) -> Browser:
            arguments = [*QUIET, *OFFLINE, *more]
            browsers.append(driver.chromium.launch(executable_path=path, args=arguments))
            return browsers[-1]

        yield start
        for browser in browsers:
            browser.close()


@contextlib.contextmanager
def page_of(browser: Browser, url: str | None, *, expected: tuple[str, ...] = (), **options: Any) -> Iterator[Page]:
    """The playground's page at *url*, or an empty one.

    At its end no error was written to the browser's console but those that begin as *expected*.
    """
    complaints: list[str] = []
    context = browser.new_context(**{"viewport": {"width": 1280, "height": 860}, **options})
    page = context.new_page()
    page.set_default_timeout(30_000)
    page.on("console", lambda line: complaints.append(line.text) if line.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    if url is not None:
        page.goto(url)
        page.wait_for_selector("#start:enabled")
    try:
        yield page
    finally:
        context.close()
    assert [complaint for complaint in complaints if not complaint.startswith(expected or "\n")] == []


def finals(page: Page) -> list[str]:
    return page.locator("#captions .final .text").all_inner_texts()


def words(page: Page) -> list[str]:
    return " ".join(finals(page)).split()


def number(page: Page, figure: str) -> float:
    return float(page.locator(f"#{figure}").get_attribute("data-value") or "nan")


def wait_until(page: Page, condition: str, timeout_s: float = 30.0) -> None:
    """Until the JavaScript expression is true."""
    page.wait_for_function(f"() => {condition}", timeout=timeout_s * 1000)


def wait_until_idle(page: Page, timeout_s: float = 30.0) -> None:
    wait_until(page, "document.querySelector('#start').textContent.trim() === 'Start'", timeout_s)


def saved(page: Page, ending: str) -> str:
    with page.expect_download() as download:
        page.click(f"[data-export={ending}]")
    assert download.value.suggested_filename.endswith(f".{ending}")
    return Path(download.value.path()).read_text(encoding="utf-8")


def test_a_microphone_through_a_cut_loses_nothing(
    running: Running, chromium: Callable[..., Browser], weather: Sample, tmp_path: Path
) -> None:
    wav = tmp_path / "microphone.wav"
    soundfile.write(wav, *soundfile.read(weather.path, dtype="int16"))
    browser = chromium(*MICROPHONE, f"--use-file-for-fake-audio-capture={wav}%noloop")
    with page_of(browser, running.url) as page:
        page.keyboard.press("Space")
        page.wait_for_selector("#captions .partial")
        page.wait_for_selector("#captions .final")
        before = finals(page)
        # Into the second sentence, and 2 s without a network.
        wait_until(page, "document.querySelectorAll('#captions [data-turn]').length > 1")
        page.select_option("#cut-seconds", "2")
        page.keyboard.press("c")
        page.wait_for_selector("#state[data-state=reconnecting]")
        shown = len(" ".join(page.locator("#captions .text").all_inner_texts()).split())
        page.wait_for_selector("#state[data-state=connected]")
        wait_until(page, "document.querySelectorAll('#captions .final').length > 2", 60)
        page.keyboard.press("Space")
        wait_until_idle(page)
        print(f"before the cut: {before}\nafter it:       {finals(page)[len(before) :]}")
        assert finals(page)[: len(before)] == before
        heard = words(page)
        assert share(heard, weather.words) >= 0.9
        check_the_seam(weather.words, heard, shown)
        assert number(page, "reconnects") >= 1 and number(page, "lost") == 0 and number(page, "replayed") > 0
        assert page.locator("#captions .tag", has_text="replayed").count() >= 1
        starts = [int(turn.get_attribute("data-start-ms") or -1) for turn in page.locator("#captions .final").all()]
        assert starts == sorted(starts) and abs(starts[0] - 400) < 1500
        assert number(page, "p50") > 0
        check_downloads(page)


def check_the_seam(said: list[str], heard: list[str], cut: int) -> None:
    """The words around the cut are there, and nothing is there twice."""
    matcher = difflib.SequenceMatcher(None, said, heard, autojunk=False)
    matched = {block.a + offset for block in matcher.get_matching_blocks() for offset in range(block.size)}
    around = range(max(0, cut - 2), min(len(said), cut + 3))
    assert set(around) <= matched, [said[index] for index in around if index not in matched]
    for _, begin, end, first, last in matcher.get_opcodes():
        if last - first > end - begin:
            near = said[max(0, begin - 5) : begin] + said[end : end + 5]
            assert not set(heard[first:last]) & set(near), f"doubled: {heard[first:last]} beside {near}"


def check_downloads(page: Page) -> None:
    texts = finals(page)
    assert saved(page, "txt").splitlines() == texts
    for ending in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(saved(page, ending), format_=ending)
        assert [cue.plaintext for cue in cues] == texts
    assert [segment["text"] for segment in json.loads(saved(page, "json"))["segments"]] == texts


def test_settings_change_the_session_while_a_file_is_played(chromium: Callable[..., Browser], weather: Sample) -> None:
    wires: list[Wire] = []

    def record() -> tuple[Wire, ...]:
        wires.append(Wire())
        return (wires[-1],)

    with (
        run_in_thread(middleware=record) as server,
        playground("--url", server.url, "--model", "gpt-transcribe", "--language", "de") as one,
        page_of(chromium("--autoplay-policy=no-user-gesture-required"), one.url) as page,
    ):
        page.fill("[name='input_audio_transcription.prompt']", "the weather")
        page.set_input_files("#file", str(weather.path))
        page.wait_for_selector("#state[data-state=connected]")
        page.fill("[name='input_audio_transcription.language']", "en")
        page.wait_for_selector("#settings-status[data-code='0']")
        page.fill("[name='turn_detection.threshold']", "7")
        page.wait_for_selector("#settings-status:not([data-code='0']):not([data-code=''])")
        assert "turn_detection.threshold" in page.locator("#settings-status").inner_text()
        page.fill("[name='turn_detection.threshold']", "0.6")
        page.wait_for_selector("#settings-status[data-code='0']")
        page.fill("[name='input_audio_transcription.keywords']", "snow, <rain>")
        page.wait_for_selector("[name='input_audio_transcription.keywords'][aria-invalid]")
        # What was refused is not asked again, else this would be refused with it; and why it was stays in sight.
        page.fill("[name='turn_detection.threshold']", "0.5")
        page.wait_for_selector("#settings-status[data-code='0']")
        assert "keywords" in page.locator("#settings-status").inner_text()
        described = page.get_attribute("[name='input_audio_transcription.keywords']", "aria-describedby")
        assert described == "settings-status"
        page.fill("[name='input_audio_transcription.keywords']", "")
        wait_until(page, "!document.querySelector('#settings-status .refused')")
        page.fill("[name='input_audio_transcription.language']", "")
        page.wait_for_selector('#log .entry:has-text(\'"language":"de"\')')
        page.locator("#captions").focus()
        page.keyboard.press("f")
        page.wait_for_selector("body[data-phase=recording] #log .name:text-is('asr_finalize_end')")
        wait_until_idle(page, 60)
        assert share(words(page), weather.words) >= 0.9
    asked = [message["session"] for wire in wires for message in wire.heard if message["type"] == "session.update"]
    first, last = (update["audio"]["input"]["transcription"] for update in (asked[0], asked[-1]))
    assert first["prompt"] == "the weather" and first["languages"] == ["de"]
    languages = [update["audio"]["input"]["transcription"]["languages"] for update in asked]
    assert ["en"] in languages and last["languages"] == ["de"]  # emptied, it is what the playground was started with


def test_without_a_microphone_it_says_what_to_do(running: Running, chromium: Callable[..., Browser]) -> None:
    with page_of(chromium(), running.url) as page:
        page.click("#start")
        page.wait_for_selector("#problem:visible")
        assert "microphone" in page.locator("#problem").inner_text().lower()
        assert page.locator("#start").inner_text().strip() == "Start"


def test_it_can_be_used_with_the_keyboard_on_a_small_screen_in_the_dark(
    running: Running, chromium: Callable[..., Browser]
) -> None:
    small: dict[str, Any] = {"viewport": {"width": 360, "height": 640}, "color_scheme": "dark"}
    with page_of(chromium(), running.url, **small) as page:
        check_what_is_small(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(json.loads(background.replace("rgb(", "[").replace(")", "]"))) < 200
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "log-filter"
        page.keyboard.press("Escape")
        page.click("#settings-fold summary")
        page.uncheck("#keys")
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.id") == "keys"
        page.check("#keys")
        page.evaluate("document.activeElement.blur()")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.id || document.activeElement.dataset.export || ''"))
        assert {"start", "device", "file", "log-filter", "theme"} <= set(reached)
        page.click("#theme")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert sum(json.loads(background.replace("rgb(", "[").replace(")", "]"))) > 600


def check_what_is_small(page: Page) -> None:
    """The head has the same height whatever the connection does, the log has one, and no field takes too much."""
    heights = """async () => {
      const { State } = await import("/static/state.js");
      const [head, log] = [document.querySelector(".top"), document.querySelector("#log")];
      const state = new State();
      return ["connected", "reconnecting"].map((word) => {
        state.service = word;
        state.show("recording", { usable: true, closed: false });
        log.append(...Array.from({ length: 100 }, () => document.createElement("hr")));
        return [head.clientHeight, log.clientHeight];
      });
    }"""
    for width in (320, 900):
        page.set_viewport_size({"width": width, "height": 640})
        before, after = page.evaluate(heights)
        assert before == after and after[0] < 90 and after[1] < 300, (width, before, after)
    page.set_viewport_size({"width": 360, "height": 640})
    kept = {"input_audio_transcription.prompt": "x" * 300_000}
    page.evaluate("kept => localStorage.setItem('openai-asr.settings', JSON.stringify(kept))", kept)
    page.reload()
    page.wait_for_selector("#start:enabled")
    assert 0 < len(page.input_value("#s-prompt")) < 20_000


def test_a_file_that_is_over_before_the_graph_is_there_ends_the_recording(
    running: Running, chromium: Callable[..., Browser], weather: Sample, tmp_path: Path
) -> None:
    click = tmp_path / "click.wav"
    click.write_bytes(wav_of(weather, 0.0, 0.1))
    with page_of(chromium(), running.url) as page:
        page.set_input_files("#file", click)
        page.wait_for_selector("#log .entry .name:text-is('stopped')")
        wait_until_idle(page)


def test_whoever_waits_long_for_the_last_words_can_stop_waiting(
    chromium: Callable[..., Browser], weather: Sample, tmp_path: Path
) -> None:
    said = tmp_path / "said.wav"
    said.write_bytes(wav_of(weather, 0.3, 1.3))
    with (
        run_in_thread(recognizer=ScriptedRecognizer([Line("one two", delay_s=60)])) as server,
        playground("--url", server.url, "--model", "gpt-live-transcribe") as one,
        page_of(chromium("--autoplay-policy=no-user-gesture-required"), one.url) as page,
    ):
        page.set_input_files("#file", said)
        page.wait_for_selector("#start[aria-disabled=true]:text-is('Finishing…')")
        page.set_input_files("#file", said)
        assert "said.wav" in page.locator("#problem").inner_text()
        page.wait_for_selector("#start[aria-disabled=false]:text-is('Stop waiting')")
        page.click("#start")
        wait_until_idle(page, 5)  # it would go on waiting for longer
        assert finals(page) == ["one two"]


def wav_of(sample: Sample, start_s: float, end_s: float) -> bytes:
    file = io.BytesIO()
    samples, rate = soundfile.read(sample.path, dtype="int16")
    soundfile.write(file, samples[int(start_s * rate) : int(end_s * rate)], rate, format="WAV")
    return file.getvalue()


# Dropped when nobody has touched the page and its socket is not open yet. Playwright's own evaluations are a touch.
DROP = """
const bytes = Uint8Array.from(atob("%s"), (letter) => letter.charCodeAt(0));
window.dropFile = () => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([bytes], "sentence.wav", { type: "audio/wav" }));
  document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
};
addEventListener("load", () => {
  const problem = document.querySelector("#problem");
  new MutationObserver(() => problem.hidden || console.info("a problem")).observe(problem, { attributes: true });
  window.dropFile();
});
"""
# A permission prompt that stays until `permit()`, and the page's sockets in reach.
PROMPT = """
  window.WebSocket = class extends WebSocket {
    constructor(url) {
      super(url);
      window.socket = this;
    }
  };
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    await new Promise((resolve) => (window.permit = resolve));
    return (window.stream = await open(wanted));
  };
"""


# While they are held, each request for a microphone is answered when its number is permitted.
IN_TURN = """
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  window.streams = [];
  window.permits = [];
  window.held = false;
  navigator.mediaDevices.getUserMedia = async (wanted) => {
    const number = window.permits.length;
    const permitted = new Promise((resolve) => window.permits.push(resolve));
    if (window.held) await permitted;
    return (window.streams[number] = await open(wanted));
  };
"""


def test_what_is_wrong_is_told_and_what_was_said_stays(
    chromium: Callable[..., Browser], weather: Sample, tmp_path: Path
) -> None:
    free_port = a_free_port()
    said, garbage = tmp_path / "said.wav", tmp_path / "garbage.wav"
    said.write_bytes(wav_of(weather, 0.3, 1.3))
    garbage.write_bytes(b"no sound")
    with (
        playground("--url", f"ws://127.0.0.1:{free_port}/v1", "--model", "gpt-live-transcribe") as one,
        page_of(chromium(*MICROPHONE), None, expected=LOST) as page,
    ):
        page.add_init_script(IN_TURN)
        page.goto(one.url)
        page.wait_for_selector("#start:enabled")
        page.focus("#start")
        page.keyboard.press("Enter")
        page.wait_for_selector("#problem:has-text('No connection to the speech service')")
        assert "proxy" not in page.locator("#problem").inner_text()
        assert page.is_visible(".waiting") and not page.is_visible(".during")
        page.wait_for_selector("#log .entry:has-text('unsettled')")
        assert not page.is_visible("#lost-word")
        # The focus is where it was, or where it is of use.
        assert page.evaluate("document.activeElement.id") == "start"
        page.focus("#problem-close")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "start"
        check_the_newest_microphone_is_taken(page)
        with page.expect_event("dialog") as asked:
            page.close(run_before_unload=True)
        assert asked.value.type == "beforeunload"
        asked.value.dismiss()
        with run_in_thread(recognizer=ScriptedRecognizer(["one two"] * 99), port=free_port):  # the microphone beeps
            page.wait_for_selector("#state[data-state=connected]")
            wait_until(page, "document.querySelector('#problem').hidden")
            page.set_input_files("#file", garbage)
            page.wait_for_selector("#problem:has-text('cannot decode')")
            page.set_input_files("#file", said)
            wait_until(page, "document.querySelector('#problem').hidden")
            page.wait_for_selector("#captions .final")
            page.keyboard.press("Enter")
            wait_until_idle(page)
            text = saved(page, "txt")
            page.fill("[name='turn_detection.threshold']", "7")
            page.click("#start")
            page.wait_for_selector("#problem:has-text('threshold')")
            wait_until_idle(page)
        assert page.locator("#captions .divider").count() == 0
        one.end()
        assert saved(page, "txt") == text and "one two" in text


def check_the_newest_microphone_is_taken(page: Page) -> None:
    """Of two that are asked for, the first one that comes after the second is not listened to."""
    page.evaluate("window.held = true")
    for option in ("echoCancellation", "noiseSuppression"):
        page.check(f"#processing [value={option}]")
    wait_until(page, "window.permits.length === 3")
    page.evaluate("window.permits[2]()")
    wait_until(page, "window.streams[2] && window.streams[0].getTracks()[0].readyState === 'ended'")
    page.evaluate("window.permits[1]()")
    wait_until(page, "window.streams[1]?.getTracks()[0].readyState === 'ended'")
    assert page.evaluate("window.streams[2].getTracks()[0].readyState") == "live"
    page.evaluate("window.held = false")
    page.focus("#start")


def a_free_port() -> int:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return int(holder.getsockname()[1])


def test_a_page_that_lost_its_server_keeps_its_captions_and_says_why(
    chromium: Callable[..., Browser], weather: Sample
) -> None:
    with (
        playground("--local") as one,
        page_of(chromium(*MICROPHONE), None, expected=LOST + UNTOUCHED) as page,
    ):
        page.add_init_script(DROP % base64.b64encode(wav_of(weather, 0.3, 4.0)).decode())
        page.add_init_script(PROMPT)
        with page.expect_console_message(lambda line: line.text == "a problem"):
            page.goto(one.url)
        assert "click the page" in page.locator("#problem").inner_text()
        page.mouse.click(3, 400)
        page.evaluate("window.dropFile()")
        page.wait_for_selector("#captions .final")
        wait_until_idle(page)
        page.click("#clear")
        made_there = {ending: saved(page, ending) for ending in EXPORTS}
        page.click("#start")
        wait_until(page, "window.permit")
        page.evaluate("window.socket.close()")
        page.wait_for_selector("#problem:visible")
        page.evaluate("window.permit()")
        wait_until_idle(page)
        assert page.evaluate("window.stream.getTracks().map((track) => track.readyState)") == ["ended"]
        one.end()
        made_here = {ending: saved(page, ending) for ending in EXPORTS}
        check_the_same(made_here, made_there)
        address = one.origin.rpartition(":")[2]
        with playground("--url", "ws://127.0.0.1:9/v1", "--port", address, "--token", "another-token-of-16"):
            page.click("#start")
            page.wait_for_selector("#problem:has-text('wants its token')")


def check_the_same(made_here: dict[str, str], made_there: dict[str, str]) -> None:
    here, there = (json.loads(made["json"]) for made in (made_here, made_there))
    for key in ("metrics", "errors", "problem"):  # the page does not collect these
        del there[key]
    assert here == there
    assert {**made_here, "json": ""} == {**made_there, "json": ""}


def test_the_page_writes_files_as_the_server_does(running: Running, chromium: Callable[..., Browser]) -> None:
    results = [
        result("one", 400, 3_599_600, " Is 1 < 2 & 3 > 2?\n\nYes. ", "en-US"),
        result("two", 3_600_007, 993, "是", "zh"),
    ]
    transcript = Transcript("live", 3_700_000)
    for each in results:
        transcript.take(Received("asr_result", each))
    written = """async (results) => {
      const { exported } = await import("/static/formats.js");
      const { turnOf } = await import("/static/transcript.js");
      const turns = results.map(turnOf);
      const formats = ["txt", "srt", "vtt", "json"];
      return Object.fromEntries(formats.map((each) => [each, exported(each, turns, 3_700_000.5).content]));
    }"""
    with page_of(chromium(), running.url) as page:
        made_here = page.evaluate(written, results)
    check_the_same(made_here, {ending: FORMATS[name](transcript) for ending, (name, _) in EXPORTS.items()})


def test_what_waited_for_the_first_connection_is_no_latency(running: Running, chromium: Callable[..., Browser]) -> None:
    late = """async () => {
      const { Latencies } = await import("/static/latency.js");
      const latencies = new Latencies();
      const final = (spokenAt, ms) => latencies.add({ spokenAt, ms, replayed: false, text: "one" });
      latencies.lag(49_000, 49_500);
      latencies.connect(50_000);
      final(2_000, 48_100);
      latencies.lag(20_000, 55_000);
      final(52_000, 15_000);
      latencies.lag(300, 60_000);
      final(61_000, 700);
      latencies.lag(2_000, 62_000);
      final(63_000, 900);
      return [latencies.counted, latencies.percentile(0.5), latencies.percentile(0.95)];
    }"""
    patient = """async () => {
      const { Outage } = await import("/static/outage.js");
      const told = [];
      let wanted = 900;
      const timers = new Map();
      window.setTimeout = (call) => timers.set(timers.size + 1, call).size;
      window.clearTimeout = (timer) => timers.set(timer, null);
      const pass = () => [...timers].forEach(([timer, call]) => timers.set(timer, null) && call?.());
      const outage = new Outage((sentence) => told.push(sentence), () => wanted);
      const down = { current: "disconnected", message: "closed" };
      outage.begin();
      outage.status({ current: "connected" });
      outage.status(down);
      outage.status({ current: "connected" }); // so short a drop is not told
      pass();
      outage.status(down);
      pass();
      const during = [...told]; // while somebody wants it
      wanted = 0;
      pass();
      outage.status(down); // it may have been dismissed: not again
      outage.status({ current: "connected" });
      outage.begin();
      for (const words of ["the key is wrong", ""]) {
        outage.status({ current: "connecting" });
        if (words) outage.error(words);
        outage.status({ ...down, message: "invalid_key" });
      }
      outage.end();
      return { during, told };
    }"""
    with page_of(chromium(), running.url) as page:
        assert page.evaluate(late) == [2, 700, 900]
        heard = page.evaluate(patient)
    assert heard["during"] == [] and len(heard["told"]) == 4
    assert "closed" in heard["told"][0] and heard["told"][1] is None
    assert all("the key is wrong." in told for told in heard["told"][2:])


def result(name: str, start_ms: int, duration_ms: int, text: str, language: str) -> Json:
    times = {"start_ms": start_ms, "duration_ms": duration_ms}
    metadata = {"session_id": "s", "asr_info": {"vendor": "openai", "item_id": name}}
    return {"id": name, "text": text, "final": True, **times, "language": language, "words": [], "metadata": metadata}
