"""Every message the client sends is one the provider's own types know, to the last field.

Our client and our server share a message file, which hides common mistakes; these types are the provider's.
"""

from __future__ import annotations

import base64
import json
import types
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from client_peers import at_wire_rate, make_client, scripted
from golden_client import Play, current_traces, trace
from halves import Halves
from openai.types.realtime import (
    input_audio_buffer_append_event_param,
    input_audio_buffer_clear_event_param,
    input_audio_buffer_commit_event_param,
    realtime_transcription_session_create_request_param,
)
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from openai.types.realtime.session_update_event_param import SessionUpdateEventParam
from pydantic import TypeAdapter
from scripted import committed, completed, configured, expect, hear, say
from sessions import COMMITTING, STREAMING, options, tone
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.dialects.base import Dialect
from ten_packages.extension.openai_asr_python.realtime.models import LOGPROBS, MODEL_FAMILIES
from ten_packages.extension.openai_asr_python.realtime.options import (
    DELAYS,
    NoiseReductionOptions,
    SessionOptions,
    TranscriptionOptions,
    TurnDetectionOptions,
)
from typing_extensions import NotRequired, Required, get_type_hints, is_typeddict

Json = dict[str, Any]

ANY_EVENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEventParam)
TRANSCRIPTION_SESSION = (
    realtime_transcription_session_create_request_param.RealtimeTranscriptionSessionCreateRequestParam
)
EVENTS: dict[str, Any] = {
    "session.update": SessionUpdateEventParam,
    "input_audio_buffer.append": input_audio_buffer_append_event_param.InputAudioBufferAppendEventParam,
    "input_audio_buffer.commit": input_audio_buffer_commit_event_param.InputAudioBufferCommitEventParam,
    "input_audio_buffer.clear": input_audio_buffer_clear_event_param.InputAudioBufferClearEventParam,
}
# The reference says that null switches noise reduction off; the type of the request has no null there.
NULL_ALLOWED = {"session.audio.input.noise_reduction"}


# The check ----------------------------------------------------------------------------------------------------


def check(message: Json) -> None:
    """Raises AssertionError or a validation error for a message the provider's types do not know."""
    assert message["type"] in EVENTS, f"{message['type']} is none of the transcription session's events"
    for path, problem in strangers(EVENTS[message["type"]], message, ""):
        raise AssertionError(f"{path}: {problem}")
    plain = json.loads(json.dumps(message))
    if message["type"] == "session.update":
        assert message["session"]["type"] == "transcription"
        if plain["session"].get("audio", {}).get("input", {}).get("noise_reduction", ...) is None:
            del plain["session"]["audio"]["input"]["noise_reduction"]
        TypeAdapter(TRANSCRIPTION_SESSION).validate_python(plain["session"], strict=True)
    ANY_EVENT.validate_python(plain)
    if "audio" in message:
        assert len(base64.b64decode(message["audio"], validate=True)) > 0


def strangers(kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where *value* does not fit *kind*, a type as the provider's TypedDicts use them: (path, problem)."""
    while get_origin(kind) in (Annotated, Required, NotRequired):
        kind = get_args(kind)[0]
    origin = get_origin(kind)
    if path in NULL_ALLOWED and value is None:
        return
    if is_typeddict(kind):
        yield from _fields(kind, value, path)
    elif origin in (Union, types.UnionType):
        yield from _one_of(get_args(kind), value, path)
    elif origin is Literal:
        if value not in get_args(kind):
            yield path, f"{value!r} is none of {get_args(kind)}"
    elif isinstance(value, list):
        (inner,) = get_args(kind) or (None,)
        if inner is None:
            yield path, f"a list where {kind} is wanted"
            return
        for index, entry in enumerate(value):
            yield from strangers(inner, entry, f"{path}[{index}]")
    elif kind is not Any and not (isinstance(kind, type) and _is(kind, value)):
        yield path, f"{value!r} where {kind} is wanted"


def _is(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _fields(kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, f"{value!r} where an object is wanted"
        return
    hints = get_type_hints(kind, include_extras=True)
    for name in kind.__required_keys__ - value.keys():
        yield f"{path}.{name}".lstrip("."), "missing"
    for name, entry in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name not in hints:
            yield where, "unknown field"
        else:
            yield from strangers(hints[name], entry, where)


def _one_of(kinds: Iterable[Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The problems with the kind that fits best."""
    found = [list(strangers(kind, value, path)) for kind in kinds]
    yield from min(found, key=len)


GOOD: Json = {
    "type": "session.update",
    "event_id": "e",
    "session": {
        "type": "transcription",
        "audio": {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": None}},
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("type",), "input_audio_buffer.comit"),
        (("event_id",), 7),
        (("surprise",), 1),
        (("session", "type"), "realtime"),
        (("session", "surprise"), 1),
        (("session", "audio", "input", "surprise"), None),
        (("session", "audio", "input", "transcription", "surprise"), "x"),
        (("session", "audio", "input", "transcription", "languages"), "en"),
        (("session", "audio", "input", "transcription", "keywords"), [1]),
        (("session", "audio", "input", "turn_detection"), {"type": "local_vad"}),
        (("session", "audio", "input", "turn_detection"), {"type": "server_vad", "eagerness": "low"}),
        (("session", "audio", "input", "format"), {"type": "pcm16"}),
        (("session", "audio", "input", "format"), {"type": "audio/pcm", "rate": 16000}),
        (("session", "include"), ["logprobs"]),
    ],
)
def test_the_check_can_fail(path: tuple[str, ...], value: Any) -> None:
    message = json.loads(json.dumps(GOOD))
    check(message)
    place = message
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    with pytest.raises((AssertionError, ValueError)):
        check(message)


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
                transcription=TranscriptionOptions(**{**told.__dict__, "model": family}),
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
