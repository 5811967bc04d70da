"""Where the bytes are in the end: queues between the client, its listener, the graph and the disk, and the process."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from client_peers import Recorder, make_client, scripted, tidy
from scripted import NeverConnects
from sessions import options, tone
from ten_packages.extension.openai_asr_python import audio_dump, emitter, event_queue, metadata_history, telemetry
from ten_packages.extension.openai_asr_python.realtime import events as ev

ROOT = Path(__file__).resolve().parent.parent
WINDOW_MS = 60_000


def stream_bound() -> int:
    """The one number of docs/memory.md, in bytes."""
    document = (ROOT / "docs" / "memory.md").read_text(encoding="utf-8")
    (number,) = re.findall(r"\*\*At most (\d+) MB for each stream\*\*", document)
    return int(number) * 1_000_000


def growth(case: str, window_ms: int) -> int:
    """Bytes by which a client's process grows while ten windows of 60 s are pushed into it."""
    command = [sys.executable, str(ROOT / "bench" / "memory.py"), "--json", "--case", case]
    command += ["--replay-window-ms", str(window_ms)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    measured: int = json.loads(done.stdout)["growth"]
    return measured


@pytest.mark.socket
@pytest.mark.skipif(sys.platform == "win32", reason="resident memory is read the Unix way")
def test_ten_windows_into_a_server_that_does_not_read_cost_no_more_than_documented() -> None:
    assert growth("deaf", WINDOW_MS) < stream_bound()
    assert growth("deaf", 10 * WINDOW_MS) > stream_bound(), "keeping all of it would be noticed"


async def test_ten_windows_in_one_call_are_taken_piece_by_piece() -> None:
    """What the caller holds already must not be held twice, nor ten times while it is looked at."""
    call = tone(100_000)
    async with tidy():
        client, _ = make_client(scripted(NeverConnects()), options("none", replay_window_ms=10_000))
        client.start()
        tracemalloc.start()
        try:
            client.push_audio(call)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        await client.stop()
    assert len(call) == 3_200_000 and peak < 1_500_000


# The listener ---------------------------------------------------------------------------------------------------


def transcript(text: str, *, final: bool, result_id: str = "r") -> ev.Transcript:
    return ev.Transcript(result_id, "i", text, final, 0, 1, 0)


def drained(queue: event_queue.EventQueue) -> list[ev.Event]:
    return [queue.get() for _ in range(len(queue))]


def test_what_is_sent_is_one_sum_and_never_lost() -> None:
    queue = event_queue.EventQueue()
    for number in range(10_000):
        queue.put(ev.AudioSent(20.0, 1.0))
        if number % 2:
            queue.put(ev.SpeechStarted("r", "i", number))
    events = drained(queue)
    sent = [event for event in events if isinstance(event, ev.AudioSent)]
    assert sum(e.user_ms for e in sent) == 200_000.0 and sum(e.silence_ms for e in sent) == 10_000.0
    assert len(events) <= event_queue.MAX_EVENTS


def test_a_listener_that_does_not_keep_up_misses_partials_and_no_final() -> None:
    queue = event_queue.EventQueue()
    finals = [f"final {number}" for number in range(1_000)]
    for number, text in enumerate(finals):
        for words in range(1, 20):
            queue.put(transcript("word " * words, final=False))
        queue.put(transcript(text, final=True))
        queue.put(ev.AudioLost(number, 1, "window_exceeded"))
        queue.put(ev.FinalizeDone(f"f{number}", number, "final", 1))
        assert len(queue) <= event_queue.MAX_EVENTS + 1
    first, *events = drained(queue)
    assert isinstance(first, ev.ClientError) and first.code == "listener_slow"
    missed = int(re.findall(r"^(\d+) event", first.message)[0])
    assert len(events) + missed == 22 * 1_000
    assert [e.text for e in events if isinstance(e, ev.Transcript) and e.final] == finals
    assert len([e for e in events if isinstance(e, (ev.AudioLost, ev.FinalizeDone))]) == 2_000


def test_a_listener_that_takes_nothing_costs_a_bounded_number_of_characters() -> None:
    queue = event_queue.EventQueue()
    for number in range(200):
        queue.put(transcript("x" * 60_000, final=True, result_id=f"r{number}"))
        assert queue.characters <= event_queue.MAX_CHARACTERS
    first, *events = drained(queue)
    assert isinstance(first, ev.ClientError), "it is told, and not silently lost"
    assert events[-1] == transcript("x" * 60_000, final=True, result_id="r199"), "the newest stays"
    assert queue.characters == 0


async def test_the_client_of_a_listener_that_hangs_keeps_its_queue_bounded() -> None:
    class Hung(Recorder):
        gate = asyncio.Event()

        async def _wait(self, event: ev.Event) -> None:
            await self.gate.wait()
            self._note(event)

        on_asr_start = on_asr_delta = on_asr_completed = on_asr_committed = _wait
        on_asr_server_error = on_asr_client_error = on_other_event = _wait

    async with tidy():
        hung = Hung()
        client, _ = make_client(scripted(NeverConnects()), options("none", replay_window_ms=2_000), hung)
        client.start()
        for number in range(9_000):
            client._session.stream.emit(ev.SpeechStarted("r", "i", number))
            client.push_audio(tone(1))
            client.tell()
        assert len(client._teller) <= event_queue.MAX_EVENTS + 1
        hung.gate.set()
        await client.stop()
    assert [e.code for e in hung.of(ev.ClientError)] == ["listener_slow"]


async def test_who_brings_more_than_the_graph_takes_has_to_wait() -> None:
    class Graph:
        uuid, metadata, session_id, finalize_id, last_finalize_time = "", None, None, None, None

    gate, took = asyncio.Event(), []

    def output(number: int) -> emitter.Output:
        async def send() -> None:
            await gate.wait()
            took.append(number)

        return emitter.Output(send, None)

    out = emitter.Emitter(Graph(), lambda exc: None)
    out.start()
    number = 0
    while (wait := out.room()) is None and number < 10_000:
        out.put(output(number))
        number += 1
        await asyncio.sleep(0)
    assert wait is not None and number <= emitter.MAX_OUTPUTS + 1
    waiting = asyncio.ensure_future(wait)
    await asyncio.sleep(0)
    assert not waiting.done() and not out.has_room
    gate.set()
    await asyncio.wait_for(waiting, 5)
    await out.stop()
    assert took == list(range(number))


# The rest -------------------------------------------------------------------------------------------------------


def test_metadata_of_the_past_is_bounded_in_changes_and_in_characters() -> None:
    history = metadata_history.MetadataHistory()
    assert history.at(0, 16_000) is None
    for number in range(20_000):
        history.add(number * 16, f"{number}")
    assert len(history) == metadata_history.METADATA_KEPT
    assert (history.at(19_999, 16_000), history.at(0, 16_000)) == ("19999", str(20_000 - len(history)))
    for number in range(100):
        history.add(number, "x" * 1_000_000)
        assert history.characters <= metadata_history.METADATA_CHARACTERS
    history.add(0, "y" * 9_000_000)
    assert history.at(0, 16_000) == "y" * 9_000_000, "the newest is always known"


def test_keys_made_for_one_connection_each_are_kept_out_of_logs_up_to_a_number() -> None:
    redact = telemetry.Redactor()
    redact.add("configured-for-ever")
    for number in range(1_000):
        redact.add_passing(f"made-for-dial-{number:04}")
    assert redact("configured-for-ever made-for-dial-0999 made-for-dial-0950") == "*** *** ***"
    assert len(redact._passing) == telemetry.PASSING_SECRETS


def test_tiny_frames_waiting_for_a_disk_cost_their_bytes_and_no_more(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(audio_dump, "MAX_QUEUED", 200_000)
    monkeypatch.setattr(audio_dump, "_write", lambda file, data: time.sleep(0.5) or len(data))
    problems: list[str] = []
    dump = audio_dump.AudioDump(
        str(tmp_path), 100, rate=16_000, channels=1, encoding="pcm16", on_problem=problems.append
    )
    assert dump.open()
    for _ in range(300_000):
        dump.write(b"ab")
        if not dump.active:
            break
    assert sys.getsizeof(dump._queue) <= 2 * 200_000
    assert len(problems) == 1 and "does not keep up" in problems[0]
    dump.close(2.0)
