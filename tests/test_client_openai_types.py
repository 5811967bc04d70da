"""Every message the client sends is one the provider's own types know, to the last field.

Our client and our server share a message file, which hides common mistakes; these types are the provider's. Every test
of the suite is watched (`sdk_watch.py`); here is what no other test sends.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from client_peers import at_wire_rate, make_client, scripted
from golden_client import Play, current_traces, trace
from halves import Halves
from msgspec.structs import replace
from scripted import committed, completed, configured, expect, hear, say
from sdk_types import client_fields, client_problems, is_listed, missing_here
from sessions import COMMITTING, STREAMING, options, tone
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.dialects.base import Dialect
from ten_packages.extension.openai_asr_python.realtime.messages import CLIENT_MESSAGES
from ten_packages.extension.openai_asr_python.realtime.models import LOGPROBS, MODEL_FAMILIES
from ten_packages.extension.openai_asr_python.realtime.options import (
    DELAYS,
    NoiseReductionOptions,
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)

Json = dict[str, Any]


def check(message: Json) -> None:
    """Raises AssertionError for a message the provider's types do not know."""
    assert not [str(problem) for problem in client_problems(message) if not is_listed(problem)]
    if "audio" in message:
        assert len(base64.b64decode(message["audio"], validate=True)) > 0


# What is checked ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", current_traces())
def test_the_golden_traces(name: str) -> None:
    for socket in Play(trace(name)).sockets:
        for message in socket.sent:
            # The driver keeps the size of an append in the place of its audio.
            check({**message, "audio": "AAAA"} if message["type"].endswith("append") else message)


@pytest.mark.parametrize(
    ("detection", "model", "wire"),
    [
        ("server_vad", COMMITTING, "pcm16"),
        ("none", COMMITTING, "g711_ulaw"),
        ("local_vad", STREAMING, "g711_alaw"),
    ],
)
def test_a_call_from_start_to_stop(detection: str, model: str, wire: str) -> None:
    call = Halves(options(detection, model, input_audio_format=wire), session_seconds=6.0).start()
    for label in (1, 2, 3):
        call.push(make_block(label, 800, 16_000) + bytes(32_000)).finalize(f"f{label}")
        call.run_until(call.now + 2.0)
    call.stop()
    frames = [json.loads(frame) for frame in call.frames]
    kinds = {"session.update", "input_audio_buffer.append", "input_audio_buffer.commit"}
    assert {frame["type"] for frame in frames} <= kinds
    assert sum(frame["type"] == "session.update" for frame in frames) >= 2, "more than one connection"
    for frame in frames:
        check(frame)


async def test_what_the_client_writes_to_its_socket() -> None:
    script = configured(
        hear(ms=200), expect("input_audio_buffer.commit"), say(committed("i1"), completed("i1", "hello"))
    )
    async with scripted(script) as network:
        client, heard = make_client(network, at_wire_rate())
        client.start()
        await heard.first(ev.Connected)
        for _ in range(10):
            client.push_audio(tone(20, rate=24_000))
        await client.finalize()
        await client.stop()
    sent = network.connections[0].messages
    assert len(sent) >= 3
    for message in sent:
        check(message)


def configurations() -> Iterator[SessionOptions]:
    """Every option there is, with every family of models, and a name nobody knows."""
    told = TranscriptionOptions(
        language="en-US", languages=("en", "fr-CA"), keywords=("Kestrel",), prompt="Notes", delay="low"
    )
    turns = [
        TurnDetectionOptions("server_vad", threshold=0.3, prefix_padding_ms=100, silence_duration_ms=700),
        *(TurnDetectionOptions("semantic_vad", eagerness=e) for e in ("auto", "low", "medium", "high")),
        TurnDetectionOptions("local_vad"),
        TurnDetectionOptions("none"),
    ]
    for family in [*(rules.family for rules in MODEL_FAMILIES), "tomorrows-model"]:
        for detection in turns:
            yield SessionOptions(
                transcription=replace(told, model=family),
                turn_detection=detection,
                noise_reduction=NoiseReductionOptions("far_field", 0.5),
                include=(LOGPROBS,),
            )
    for delay in DELAYS:
        yield SessionOptions(transcription=TranscriptionOptions(delay=delay), turn_detection=turns[-1])
    for wire in ("pcm16", "g711_ulaw", "g711_alaw"):
        yield SessionOptions(
            input_audio_format=wire,  # type: ignore[arg-type]
            turn_detection=turns[-1],
            noise_reduction=NoiseReductionOptions("near_field"),
        )
    yield SessionOptions(transcription=TranscriptionOptions(prompt="", language=""), turn_detection=turns[-1])


def test_every_configuration_there_is() -> None:
    seen: set[str] = set()
    for opts in configurations():
        message = json.loads(Dialect().configure(opts, "update_1").frame)
        check(message)
        given = message["session"]["audio"]["input"]
        seen |= {*given["transcription"], *(given["turn_detection"] or {}), *(given["noise_reduction"] or {})}
    wanted = {"language", "languages", "keywords", "prompt", "delay", "model", "threshold", "eagerness", "strength"}
    assert wanted <= seen, "the configurations did use the fields"


@pytest.mark.parametrize("name", sorted(CLIENT_MESSAGES))
def test_the_fields_of_our_messages_are_the_types_own(name: str) -> None:
    """Also of those that nothing sends yet."""
    ours = {field.encode_name for field in msgspec.structs.fields(CLIENT_MESSAGES[name])} | {"type"}
    assert ours == client_fields(name)


def test_what_the_oldest_version_we_allow_does_not_know_is_listed() -> None:
    """With the newest `openai` the list is empty; .ci/run comes here with the oldest as well."""
    messages = [json.loads(Dialect().configure(opts, "update_1").frame) for opts in configurations()]
    found = {problem.place for message in messages for problem in client_problems(message)}
    print("not in this version's types:", *sorted(found), sep="\n  ")
    assert found == {place for place in missing_here() if place.startswith("session.update:")}
