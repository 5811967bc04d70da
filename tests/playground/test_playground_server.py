"""The playground without a browser: what its WebSocket takes, says and refuses, and what is left when a page goes."""

from __future__ import annotations

import http.client
import json
import re
import signal
import ssl
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pysubs2
import pytest
from playground_pages import CAN_CUT, FakePage, Running, Sample, needs_cuts, playground, share
from ten_packages.extension.openai_asr_python.devkit.playground.access import Access
from ten_packages.extension.openai_asr_python.devkit.playground.app import STATIC, Playground
from ten_packages.extension.openai_asr_python.devkit.playground.recording import SETTINGS
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.transcription.destination import destination_of
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from ten_packages.extension.openai_asr_python.devkit.transcription.last_words import QUIET_S
from websockets.exceptions import InvalidStatus

pytestmark = pytest.mark.socket

SECRET = "canary+token/01&23=45#67"
AFTER_TURNS = {"input_audio_transcription": {"model": "gpt-transcribe"}}
"A model that does not stream may hear faster than real time."


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)


def connected(message: dict[str, Any]) -> bool:
    return message.get("name") == "connection_status_changed" and message["payload"]["current"] == "connected"


def get(running: Running, path: str, **headers: str) -> http.client.HTTPResponse:
    host, _, port = running.origin.partition("://")[2].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def play(page: FakePage, sample: Sample, cut_at_ms: int | None = None) -> None:
    """Send *sample* four times as fast as it was spoken; a cut in the middle of it if wanted."""
    for number, block in enumerate(sample.blocks()):
        page.audio(block)
        if number * 20 == cut_at_ms:
            page.say("cut", seconds=0.3)
        time.sleep(0.005)


# A recording --------------------------------------------------------------------------------------------------


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
        ('{"type": "settings", "params": {}}', "nothing is being recorded"),
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


def test_a_server_that_is_not_there_is_told_as_without_a_relay(weather: Sample) -> None:
    with playground("--url", "ws://127.0.0.1:9/v1") as one, FakePage(one.live) as page:
        page.say("start", sample_rate=weather.rate)
        error = page.until(lambda message: message.get("name") == "error")["payload"]
        where = r"(127\.0\.0\.1 port 9|ws://127\.0\.0\.1:9/v1\S*)"  # by the relay's word, or without one
        assert re.search(rf"cannot connect to {where}: Connect call failed", error["message"])


# Who may come -------------------------------------------------------------------------------------------------


def test_the_page_is_shut_off_from_everything_else(running: Running) -> None:
    headers = get(running, "/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", "file://"])
def test_a_page_of_another_origin_is_refused(running: Running, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        FakePage(running.live, origin=origin)
    assert refused.value.response.status_code == 403


def test_a_name_that_somebody_points_at_this_machine_is_refused(running: Running) -> None:
    assert get(running, "/", Host="evil.example").status == 421
    port = running.origin.rpartition(":")[2]
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    name = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    refused = get(running, "/live", **upgrade, **name, **{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert refused.status == 403
    for own in ("localhost", "127.0.0.1", "[::1]"):
        assert get(running, "/static/none", Host=f"{own}:{port}").status == 404


def test_from_other_machines_it_wants_its_token(weather: Sample) -> None:
    with playground(
        "--local", "--host", "0.0.0.0", "-v", "-v", env={"OPENAI_ASR_PLAYGROUND_TOKEN": SECRET}
    ) as open_one:
        assert open_one.url.endswith(f"/?token={quote(SECRET, safe='')}")
        assert get(open_one, "/").status == 401
        assert get(open_one, "/?token=wrong").status == 401
        assert get(open_one, "/static/app.js").status == 401
        with pytest.raises(InvalidStatus):
            FakePage(open_one.live)
        admitted = get(open_one, open_one.url[len(open_one.origin) :])
        assert (admitted.status, admitted.headers["Location"]) == (303, "/")
        cookie = admitted.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
        bare = cookie.partition(";")[0]
        assert get(open_one, "/", Cookie=bare).status == 200
        with FakePage(open_one.live, additional_headers={"Cookie": bare}) as page:
            page.say("start", sample_rate=weather.rate)
            page.until_type("started")
        with pytest.raises(InvalidStatus):
            FakePage(open_one.live, additional_headers={"Cookie": bare}, origin="https://evil.example")
        assert open_one.end() == 0
    written = "".join(open_one.errors)
    assert "gives a page a microphone only over TLS" in written and SECRET not in written


def test_a_token_is_made_up_where_none_is_given() -> None:
    with playground("--local", "--recognizer", "scripted", "--host", "0.0.0.0") as one:
        token = one.url.partition("?token=")[2]
        assert len(token) > 30 and get(one, f"/?token={token}").status == 303


def test_over_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with playground("--local", "--recognizer", "scripted", "--tls-cert", str(cert), "--tls-key", str(key)) as one:
        assert one.url.startswith("https://127.0.0.1:")
        with FakePage(one.live, ssl=ssl.create_default_context(cafile=str(cert))) as page:
            assert page.until_type("hello")["destination"]["local"]


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
