"""The playground without a browser: what its WebSocket takes, says and refuses, and what is left when a page goes."""

from __future__ import annotations

import json
import re
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

import pysubs2
import pytest
from playground_pages import CAN_CUT, FakePage, Running, Sample, needs_cuts, playground, share
from ten_packages.extension.openai_asr_python.devkit.playground.access import Access
from ten_packages.extension.openai_asr_python.devkit.playground.app import STATIC, Playground, way_to
from ten_packages.extension.openai_asr_python.devkit.playground.recording import SETTINGS
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription.destination import destination_of
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from ten_packages.extension.openai_asr_python.devkit.transcription.last_words import QUIET_S

ASR = "input_audio_transcription"
AFTER_TURNS = {ASR: {"model": "gpt-transcribe"}}
"A model that does not stream may hear faster than real time."


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def connected(message: dict[str, Any]) -> bool:
    return message.get("name") == "connection_status_changed" and message["payload"]["current"] == "connected"


def play(page: FakePage, sample: Sample, cut_at_ms: int | None = None) -> None:
    """Send *sample* four times as fast as it was spoken; a cut in the middle of it if wanted."""
    for number, block in enumerate(sample.blocks()):
        page.audio(block)
        if number * 20 == cut_at_ms:
            page.say("cut", seconds=0.3)
        time.sleep(0.005)


# A recording --------------------------------------------------------------------------------------------------


@pytest.mark.socket
@needs_cuts
def test_a_recording_that_is_cut_comes_out_whole_and_can_be_saved(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as page:
        hello = page.until_type("hello")
        assert hello["can_cut"] and hello["destination"]["local"] and "local server" in hello["destination"]["note"]
        assert hello["settings"]["turn_detection"]["threshold"] == 0.5
        page.say("start", sample_rate=weather.rate, settings=AFTER_TURNS)
        session_id = page.until_type("started")["session_id"]
        page.until(connected)
        play(page, weather, cut_at_ms=6_000)
        assert page.until_type("cut") == {"type": "cut", "connections": 1, "seconds": 0.3}
        page.say("finalize")
        page.until(lambda message: message.get("name") == "asr_finalize_end")
        page.say("stop")
        assert page.until_type("stopped")["problem"] is None
        assert share(page.words, weather.words) >= 0.9 and len(page.words) <= 1.1 * len(weather.words)
        assert page.finals[0]["metadata"]["session_id"] == session_id
        metrics = [m["payload"]["metrics"].get("vendor_metrics", {}) for m in page.heard if m.get("name") == "metrics"]
        last = [numbers for numbers in metrics if numbers][-1]
        assert last["reconnects"] == 1 and last["lost_ms"] == 0
        _check_exports(page)


def _check_exports(page: FakePage) -> None:
    texts = [final["text"] for final in page.finals]
    saved: dict[str, dict[str, Any]] = {}
    for ending in ("txt", "srt", "vtt", "json"):
        page.say("export", format=ending)
        saved[ending] = page.until_type("export")
        assert saved[ending]["name"] == f"transcript.{ending}"
    assert saved["txt"]["content"].splitlines() == texts
    for ending in ("srt", "vtt"):
        cues = pysubs2.SSAFile.from_string(saved[ending]["content"], format_=ending)
        assert [cue.plaintext for cue in cues] == texts
        assert [cue.start for cue in cues] == [final["start_ms"] for final in page.finals]
    whole = json.loads(saved["json"]["content"])
    assert [segment["text"] for segment in whole["segments"]] == texts and whole["problem"] is None


@pytest.mark.socket
def test_settings_change_the_session_and_a_wrong_one_changes_nothing(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as page:
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        page.say("settings", id=1, params={"input_audio_transcription": {"model": "gpt-transcribe"}})
        assert page.until_type("settings") | {"message": ""} == {"type": "settings", "id": 1, "code": 0, "message": ""}
        page.say("settings", id=2, params={"turn_detection": {"threshold": 7}})
        refused = page.until_type("settings")
        assert refused["code"] and "turn_detection.threshold" in refused["message"]
        play(page, weather)
        page.say("stop")
        page.until_type("stopped")
        assert share(page.words, weather.words) >= 0.9
        assert page.finals[-1]["metadata"]["asr_info"]["model"] == "gpt-transcribe"


def test_a_start_with_settings_that_cannot_work_ends_with_why(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as page:
        page.say("start", sample_rate=weather.rate, settings={"turn_detection": {"threshold": 7}})
        assert "turn_detection.threshold" in page.until_type("stopped")["problem"]
        page.say("start", sample_rate=weather.rate)  # and what is right works
        page.until(connected)


def test_a_start_that_comes_to_nothing_leaves_the_transcript_before_it(weather: Sample) -> None:
    with (
        run_in_thread(recognizer=ScriptedRecognizer(["one two", "three four"])) as server,
        playground("--url", server.url, "--model", "gpt-live-transcribe") as one,
        FakePage(one.live) as page,
    ):

        def saved() -> str:
            page.say("export", format="txt")
            return str(page.until_type("export")["content"])

        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        for block in list(weather.blocks())[15:65]:
            page.audio(block)
        page.say("stop")
        page.until_type("stopped")
        assert saved() == "one two\n"
        page.say("start", sample_rate=weather.rate, settings={"turn_detection": {"threshold": 7}})
        page.until_type("stopped")
        assert saved() == "one two\n"
        page.say("start", sample_rate=weather.rate)
        page.until_type("started")
        page.until(connected)
        assert saved() == ""


def test_a_second_stop_ends_the_wait_for_the_last_words(weather: Sample) -> None:
    with (
        run_in_thread(recognizer=ScriptedRecognizer([Line("one two", delay_s=60)])) as server,
        playground("--url", server.url, "--model", "gpt-live-transcribe") as one,
        FakePage(one.live) as page,
    ):
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        for block in list(weather.blocks())[15:65]:
            page.audio(block)
        page.until(lambda message: message.get("name") == "asr_result" and message["payload"]["text"] == "one two")
        page.say("stop")
        page.say("stop")
        assert page.until_type("stopped", QUIET_S / 2)["problem"] is None
        assert page.words == ["one", "two"]


def test_two_pages_hear_only_themselves(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as speaker, FakePage(running.live) as silent:
        for page in (speaker, silent):
            page.say("start", sample_rate=weather.rate, settings=AFTER_TURNS)
            page.until_type("started")
        for block in weather.blocks():
            speaker.audio(block)
            silent.audio(bytes(len(block)))
            time.sleep(0.005)
        for page in (speaker, silent):
            page.say("stop")
            page.until_type("stopped", 60)
        assert share(speaker.words, weather.words) >= 0.9
        assert silent.words == []


def leave_while_it_plays(page: FakePage, weather: Sample) -> None:
    page.say("start", sample_rate=weather.rate)
    page.until(connected)
    for block in list(weather.blocks())[:50]:
        page.audio(block)
    page.until(lambda message: message.get("name") == "metrics")


def leave_while_it_starts(page: FakePage, weather: Sample) -> None:
    page.say("start", sample_rate=weather.rate)


def leave_while_the_last_words_are_waited_for(page: FakePage, weather: Sample) -> None:
    page.say("start", sample_rate=weather.rate)
    page.until(connected)
    for block in list(weather.blocks())[:150]:
        page.audio(block)
    page.say("stop")
    page.until(lambda message: message.get("name") == "metrics")


def leave_while_it_ends_by_itself(page: FakePage, weather: Sample) -> None:
    page.say("start", sample_rate=weather.rate, settings={"turn_detection": {"threshold": 7}})
    page.until(lambda message: message.get("name") == "error")


LEAVING = [
    leave_while_it_plays,
    leave_while_it_starts,
    leave_while_the_last_words_are_waited_for,
    leave_while_it_ends_by_itself,
]


@pytest.mark.parametrize("leave", LEAVING)
def test_a_page_that_goes_away_frees_everything(
    running: Running, weather: Sample, leave: Callable[[FakePage, Sample], None]
) -> None:
    busy: list[tuple[int, int]] = []

    def visit() -> None:
        with FakePage(running.live) as page:
            page.until_type("hello")
            leave(page, weather)
            busy.append((running.threads(), running.sockets()))

    with FakePage(running.live) as stays:
        stays.until_type("hello")
        visit()  # what is loaded and pooled once is there from now on
        until(lambda: _settled(running))
        threads, sockets = running.threads(), running.sockets()
        for _ in range(5):
            visit()
        assert max(busy) > (threads, sockets)
        # Pools may still grow by some, and websockets before 17 leaves the socket of a dial through a proxy that was
        # cancelled to the garbage collector; five graphs that stayed would be dozens.
        until(lambda: running.threads() <= threads + 8 and running.sockets() <= sockets + 3)
        stays.say("export", format="txt")  # and who stayed is served
        stays.until_type("problem")


def _settled(running: Running) -> bool:
    """Whether nothing has ended for a while."""
    before = (running.threads(), running.sockets())
    time.sleep(0.5)
    return before == (running.threads(), running.sockets())


# What makes no sense ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "wanted"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"type": "start", "sample_rate": 16000, "settings": {"turn_detection": {"threshold": NaN}}}', "not JSON"),
        ('{"type": "settings", "params": {"turn_detection": {"threshold": -Infinity}}}', "not JSON"),
        ('{"type": "settings", "params": {"turn_detection": {"threshold": 1e400}}}', "not JSON"),
        ("[]", "type: None given, must be one of start, settings"),
        ('{"type": "fly"}', "type: 'fly' given"),
        ('{"type": ["start"]}', "type: ['start'] given"),
        ('{"type": "start"}', "sample_rate: None given, must be 8000 to 48000 Hz"),
        ('{"type": "start", "sample_rate": 96000}', "sample_rate: 96000 given, must be 8000 to 48000 Hz"),
        ('{"type": "start", "sample_rate": 16000, "settings": 7}', "settings: an object is needed"),
        ('{"type": "start", "sample_rate": 16000, "settings": {"base_url": {}}}', "settings.base_url: a page may set"),
        ('{"type": "start", "sample_rate": 16000, "settings": {"turn_detection": 1}}', "settings.turn_detection"),
        (
            '{"type": "start", "sample_rate": 16000, "settings": {"turn_detection": {"extra": 1}}}',
            "settings.turn_detection.extra: a page may set eagerness, min_speech_ms",
        ),
        ('{"type": "settings", "params": {"dump_path": {}}}', "params.dump_path: a page may set"),
        (
            '{"type": "start", "sample_rate": 16000, "settings": {"turn_detection": {"threshold": %s}}}'
            % ("[" * 500 + "]" * 500),
            "settings.turn_detection.threshold: a text, a number or a list of texts is needed",
        ),
        ('{"type": "settings", "params": {}}', "nothing is being recorded"),
        (
            json.dumps({"type": "start", "sample_rate": 16000, "settings": {ASR: {"prompt": "äöü " * 75_000}}}),
            "settings.input_audio_transcription.prompt: 300000 characters given, at most 65536 are taken",
        ),
        ('{"type": "finalize"}', "nothing is being recorded"),
        ('{"type": "cut", "seconds": 3600}', "seconds: 3600 given, must be 0 to 60"),
        ('{"type": "cut", "seconds": true}', "seconds: True given"),
        ('{"type": "cut"}', "nothing is being recorded"),
        ('{"type": "export", "format": "exe"}', "nothing to save yet"),
        (b"\0" * 65_538, "audio: 65538 bytes at once, at most 65536"),
    ],
)
def test_what_makes_no_sense_is_said_and_the_page_goes_on(running: Running, message: str | bytes, wanted: str) -> None:
    with FakePage(running.live) as page:
        page.socket.send(message)
        assert wanted in page.until_type("problem")["message"]
        page.say("export", format="txt")
        assert "nothing to save yet" in page.until_type("problem")["message"]


def test_a_change_that_is_too_large_is_refused_and_the_recording_goes_on(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as page:
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        page.say("settings", id=1, params={ASR: {"keywords": ["keyword"] * 30_000}})
        refused = page.until_type("settings")
        assert (refused["id"], refused["code"]) == (1, 1)
        assert "params.input_audio_transcription.keywords: 210000 characters given" in refused["message"]
        page.say("settings", id=2, params=AFTER_TURNS)
        assert page.until_type("settings")["code"] == 0


def test_half_a_sample_is_refused_and_the_recording_goes_on(running: Running, weather: Sample) -> None:
    with FakePage(running.live) as page:
        page.say("start", sample_rate=weather.rate, settings=AFTER_TURNS)
        page.until_type("started")
        page.audio(b"\0" * 3)
        assert "pcm: 3 bytes given, must be a multiple of 2" in page.until_type("problem")["message"]
        for wrong in ("exe", ["txt"], None):
            page.say("export", format=wrong)
            assert (
                f"format: {wrong!r} given, must be one of txt, srt, vtt, json" in page.until_type("problem")["message"]
            )
        play(page, weather)
        page.say("stop")
        page.until_type("stopped")
        assert share(page.words, weather.words) >= 0.9


def test_a_ninth_page_is_told_why_it_may_not(running: Running) -> None:
    pages = [FakePage(running.live) for _ in range(8)]
    try:
        for page in pages:
            page.until_type("hello")
        with FakePage(running.live) as ninth:
            assert "8 pages are open already" in ninth.until_type("problem")["message"]
            assert ninth.until_closed() == 4429
    finally:
        for page in pages:
            page.__exit__()
    with FakePage(running.live) as page:
        page.until_type("hello")


def test_a_page_may_set_what_its_form_has() -> None:
    form = set(re.findall(r'name="(\w+)\.(\w+)"', (STATIC / "index.html").read_text(encoding="utf-8")))
    assert form == {(section, key) for section, keys in SETTINGS.items() for key in keys}


@pytest.mark.socket
def test_a_page_is_told_whether_it_can_cut(running: Running, weather: Sample) -> None:
    """With the websockets that is there."""
    with FakePage(running.live) as page:
        hello = page.until_type("hello")
        assert hello["can_cut"] == CAN_CUT
        assert CAN_CUT or "pip install 'websockets>=15'" in hello["cut_note"]
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        page.say("cut", seconds=0)
        assert page.until_type("cut")["connections"] == int(CAN_CUT)


def test_a_library_that_knows_no_proxies_cannot_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "websockets.proxy", None)
    graph = own_graph()
    graph.ask(url="ws://127.0.0.1:9/v1", model=None, dialect=None, language=None)
    destination = destination_of(graph, url_given=True)
    assert destination is not None
    pages = Playground(graph, destination, version="1", note="", access=Access(None))
    assert not pages.hello["can_cut"] and "websockets 15" in pages.hello["cut_note"]


@pytest.mark.parametrize(
    ("base_url", "target"),
    [
        ("ws://127.0.0.1:9/v1", ("127.0.0.1", 9)),
        ("ws://asr.example/v1", ("asr.example", 80)),
        ("http://ASR.example", ("asr.example", 80)),
        ("wss://asr.example/v1", ("asr.example", 443)),
        ("https://asr.example/v1/", ("asr.example", 443)),
        ("HTTPS://[::1]:8443/v1", ("::1", 8443)),
    ],
)
def test_the_way_to_a_server_can_be_cut_however_its_url_is_written(base_url: str, target: tuple[str, int]) -> None:
    pytest.importorskip("websockets.proxy")
    graph = own_graph()
    graph.ask(url=base_url, model=None, dialect=None, language=None)
    graph.set_param("api_key", "any")
    assert way_to(graph) == (target, "")


@needs_cuts
def test_a_server_whose_url_is_http_is_reached_through_the_relay(weather: Sample) -> None:
    with (
        run_in_thread(recognizer=ScriptedRecognizer(["one"])) as server,
        playground("--url", server.url.replace("ws:", "http:")) as one,
        FakePage(one.live) as page,
    ):
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        page.say("cut", seconds=0)
        assert page.until_type("cut")["connections"] == 1


@pytest.mark.socket
def test_a_server_that_is_not_there_is_told_as_without_a_relay(weather: Sample) -> None:
    with playground("--url", "ws://127.0.0.1:9/v1") as one, FakePage(one.live) as page:
        page.say("start", sample_rate=weather.rate)
        error = page.until(lambda message: message.get("name") == "error")["payload"]
        where = r"(127\.0\.0\.1 port 9|ws://127\.0\.0\.1:9/v1\S*)"  # by the relay's word, or without one
        assert re.search(rf"cannot connect to {where}: Connect call failed", error["message"])


# The command --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_being_told_to_end_ends_open_pages_too(number: signal.Signals, code: int, weather: Sample) -> None:
    with playground("--local", "--recognizer", "scripted") as one, FakePage(one.live) as page:
        page.say("start", sample_rate=weather.rate)
        page.until(connected)
        page.audio(next(weather.blocks()))
        assert one.end(number) == code
        assert page.until_closed() == 1012
    assert [line for line in one.errors if "Traceback" in line or "rror" in line] == []
