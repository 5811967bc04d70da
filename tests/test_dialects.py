"""Servers that speak the protocol their own way: found out, spoken to, and kept to the same promises."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sessions import STREAMING, TRANSCRIPTION, Driver, options, silence, tone
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.dialects.choice import (
    DIALECTS,
    DialectChoice,
    by_first_event,
)
from ten_packages.extension.openai_asr_python.realtime.endpoint import headers
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError
from ten_packages.extension.openai_asr_python.realtime.models import resolve_turn_detection
from ten_packages.extension.openai_asr_python.realtime.options import TurnDetectionOptions

LOCAL = "http://127.0.0.1:8000/v1"
GA_HELLO = {"type": "session.created", "session": {"type": "transcription", "audio": {"input": {}}}}
BETA_HELLO = {"type": "transcription_session.created", "session": {"input_audio_format": "pcm16"}}
SPEACHES_HELLO = {
    "type": "session.created",
    "session": {"input_audio_format": "pcm16", "input_audio_transcription": {"model": "x"}, "turn_detection": {}},
}
VLLM_HELLO = {"type": "session.created", "id": "sess-1", "created": 1_790_000_000}
MODEL = "mistralai/Voxtral-Mini"


def dialect_driver(word: str, detection: str = "local_vad", url: str = LOCAL, model: str = MODEL) -> Driver:
    return Driver(options(detection, model), dialects=DialectChoice(word, url)).start()


def hello(d: Driver, event: dict[str, Any]) -> Driver:
    d.session.connection_opened(d.conn, {}, d.now)
    return d.say(event)


def update_of(d: Driver) -> dict[str, Any]:
    return next(m for m in d.wire[d.conn] if "session" in m["type"] and m["type"].endswith("update"))


# Which one it is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "found"),
    [
        (GA_HELLO, "openai"),
        ({"type": "session.created", "session": {}}, "openai"),
        (BETA_HELLO, "beta"),
        (SPEACHES_HELLO, "speaches"),
        (VLLM_HELLO, "vllm"),
        ({"type": "error", "error": {"code": "model_load_error"}}, None),
    ],
)
def test_the_first_event_tells(event: dict[str, Any], found: str | None) -> None:
    assert by_first_event(json.dumps(event)) == found
    assert by_first_event("no JSON") is None


@pytest.mark.parametrize(
    ("word", "base", "url"),
    [
        ("auto", "https://api.openai.com/v1", "wss://api.openai.com/v1/realtime?intent=transcription"),
        ("auto", "https://r.openai.azure.com", "wss://r.openai.azure.com/openai/v1/realtime?intent=transcription"),
        (
            "azure",
            "https://gateway.example/openai/v1/",
            "wss://gateway.example/openai/v1/realtime?intent=transcription",
        ),
        ("auto", LOCAL, "ws://127.0.0.1:8000/v1/realtime?intent=transcription"),
        ("beta", "wss://old.example", "wss://old.example/v1/realtime?intent=transcription"),
        ("vllm", "http://gpu:8000", "ws://gpu:8000/v1/realtime"),
        ("speaches", "http://gpu:8000", "ws://gpu:8000/v1/realtime?intent=transcription&model=a%2Fb"),
        ("speaches", "http://gpu:8000?model=c", "ws://gpu:8000/v1/realtime?model=c&intent=transcription"),
    ],
)
def test_where_a_session_is_found(word: str, base: str, url: str) -> None:
    assert DialectChoice(word, base).url("a/b") == url


@pytest.mark.parametrize(
    "base",
    ["https://r.openai.azure.com/openai/realtime?api-version=2025-04-01-preview", "https://r.openai.azure.com/openai"],
)
def test_azures_preview_path_is_refused_before_a_socket_opens(base: str) -> None:
    with pytest.raises(ConfigurationError, match=r"openai/v1.*deployment as the model"):
        DialectChoice("auto", base).url("dep")


@pytest.mark.parametrize(
    ("word", "key", "expected"),
    [
        ("openai", "sk-1", {"Authorization": "Bearer sk-1"}),
        ("azure", "0123456789abcdef", {"api-key": "0123456789abcdef"}),
        ("azure", "eyJhbGciOi.eyJhdWQ.c2ln", {"Authorization": "Bearer eyJhbGciOi.eyJhdWQ.c2ln"}),
        ("beta", "k", {"Authorization": "Bearer k", "OpenAI-Beta": "realtime=v1"}),
        ("vllm", "k", {"Authorization": "Bearer k"}),
    ],
)
def test_what_it_wants_to_see_of_the_key(word: str, key: str, expected: dict[str, str]) -> None:
    kind = DIALECTS[word]
    assert headers(key, credentials=kind.credentials, fixed=kind.fixed_headers()) == expected


def test_a_word_that_is_no_dialect_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of auto, openai"):
        DialectChoice("whisperlive")


def test_a_server_that_wants_a_model_in_the_url_costs_one_more_dial_and_nobody_is_told() -> None:
    choice = DialectChoice("auto", LOCAL)
    d = Driver(options("local_vad", MODEL), dialects=choice).start()
    d.session.connection_refused(d.conn, 403, {}, 0.0)
    d.pump()
    assert [at for at, _ in d.dialled] == [0.0, 0.0], "at once"
    assert choice.url(MODEL) == "ws://127.0.0.1:8000/v1/realtime?intent=transcription&model=mistralai%2FVoxtral-Mini"
    hello(d, SPEACHES_HELLO)
    assert update_of(d)["session"]["input_audio_transcription"]["model"] == MODEL
    assert d.of(ev.ClientError) == [] and d.of(ev.Disconnected) == []


def test_a_ga_server_that_wants_a_model_in_the_url_is_dialled_so_from_then_on() -> None:
    choice = DialectChoice("auto", LOCAL)
    d = Driver(options("local_vad", MODEL), dialects=choice).start()
    d.session.connection_refused(d.conn, 404, {}, 0.0)
    d.pump()
    hello(d, GA_HELLO).configure()
    assert d.session.connected and "model=" in choice.url(MODEL)


def test_a_second_refusal_is_an_error_like_any_other() -> None:
    d = dialect_driver("auto")
    for _ in range(2):
        d.session.connection_refused(d.conn, 403, {}, d.now)
        d.pump()
    assert len(d.dialled) == 2 and [e.vendor_code for e in d.of(ev.ClientError)] == ["403"]


def test_a_server_that_was_away_for_a_moment_is_not_taken_for_one_that_wants_a_model() -> None:
    """A proxy before a GA service: it answered 404 while it started, and the service refuses a model in the URL."""
    choice = DialectChoice("auto", LOCAL)
    d = Driver(options("local_vad", MODEL), dialects=choice).start()
    d.session.connection_refused(d.conn, 404, {}, 0.0)
    d.pump()
    assert "model=" in choice.url(MODEL)
    d.session.connection_opened(d.conn, {}, 0.0)
    d.error("invalid_model").drop(4000, "invalid_request_error.invalid_model").at(5.0)
    assert "model=" not in choice.url(MODEL)
    hello(d, GA_HELLO).configure()
    assert d.session.connected


@pytest.mark.parametrize("url", ["https://api.openai.com/v1", "https://r.openai.azure.com"])
def test_a_provider_is_never_asked_twice(url: str) -> None:
    d = dialect_driver("auto", url=url)
    d.session.connection_refused(d.conn, 403, {}, d.now)
    d.pump()
    assert len(d.dialled) == 1


def test_what_was_found_holds_for_every_connection_that_follows() -> None:
    d = dialect_driver("auto")
    hello(d, VLLM_HELLO)
    assert d.session.connected
    d.drop().at(1.0)
    hello(d, VLLM_HELLO)
    assert d.session.connected and len(d.dialled) == 2


@pytest.mark.parametrize(("event", "named"), [(VLLM_HELLO, "vllm"), (SPEACHES_HELLO, "speaches")])
def test_turns_by_the_server_where_it_has_none_to_give_is_one_fatal_error(event: dict[str, Any], named: str) -> None:
    d = dialect_driver("auto", "server_vad").push(tone(500)).finalize()
    hello(d, event)
    (error,) = d.of(ev.ClientError)
    assert error.fatal and error.code == "dialect_unfit" and named in error.message and "local_vad" in error.message
    assert [f.outcome for f in d.of(ev.FinalizeDone)] == ["inactive"]
    d.at(30.0)
    assert len(d.dialled) == 1, "and no further dial"


# What can be asked of it -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["vllm", "speaches"])
@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_servers_without_a_usable_detector_refuse_it_before_a_socket_opens(word: str, kind: Any) -> None:
    rules = DIALECTS[word].rules(MODEL)
    with pytest.raises(ConfigurationError, match=f"a {word} server"):
        resolve_turn_detection(TurnDetectionOptions(kind), MODEL, local_vad_available=True, rules=rules)
    auto = resolve_turn_detection(TurnDetectionOptions("auto"), MODEL, local_vad_available=True, rules=rules)
    assert auto.type == "local_vad"


def test_a_language_that_a_server_has_no_field_for_is_left_out_with_a_warning() -> None:
    opts = options("local_vad", MODEL)
    opts = opts.replace(transcription=type(opts.transcription)(MODEL, language="de"))
    d = Driver(opts, dialects=DialectChoice("vllm", LOCAL)).start()
    hello(d, VLLM_HELLO)
    assert d.wire[1] == [{"type": "session.update", "model": MODEL}]
    assert [w.message for w in d.of(ev.Warned)] == ["a vllm server does not take language; it was left out"]


# vLLM --------------------------------------------------------------------------------------------------------------


def vllm_turn(d: Driver, begin: float, end: float) -> Driver:
    d.push(silence(200) + tone(end - begin) + silence(800), realtime=True)
    return d


def vllm() -> Driver:
    d = dialect_driver("vllm")
    return hello(d, VLLM_HELLO)


def speak(d: Driver, ms: float = 1_000) -> Driver:
    """A turn of *ms* from now on, with the detector's word for it."""
    rate = d.session.options.sample_rate
    begin = d.session.stream.ledger.accepted * 1000 / rate
    d.push(tone(ms), realtime=True).turn(begin)
    d.push(silence(600), realtime=True).end_turn(begin + ms)
    return d.at(d.now + 1.5)


def test_vllm_is_told_its_model_and_where_an_utterance_begins_and_ends() -> None:
    d = speak(vllm())
    assert d.wire[1][0] == {"type": "session.update", "model": MODEL}
    commits = d.commits()
    assert [c["final"] for c in commits] == [False, True]
    assert d.types() == ["session.update", "commit", "append", "commit"], "begun, said, ended"
    assert len(d.audio[1]) == pytest.approx(1_000 * 32, abs=600 * 32), "16 kHz"
    d.say({"type": "transcription.delta", "delta": "One"}, {"type": "transcription.delta", "delta": ""})
    d.say({"type": "transcription.delta", "delta": " two."})
    assert [p.text for p in d.partials] == ["One", "One two."]
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    d.say({"type": "transcription.done", "text": "One two.", "usage": usage})
    (final,) = d.finals
    assert (final.text, final.start_ms) == ("One two.", 0) and 900 <= final.duration_ms <= 1_100
    assert final.usage == {"type": "tokens", "input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    assert d.session.stats.billed_tokens == 10 and d.session.stats.unknown_events == 0


def test_vllm_gets_nothing_between_the_end_of_an_utterance_and_its_text() -> None:
    d = speak(vllm())
    sent = len(d.audio[1])
    speak(d)
    assert len(d.audio[1]) == sent and len(d.commits()) == 2, "it would be forgotten"
    d.say({"type": "transcription.done", "text": "one"}).at(d.now + 3.0)
    assert [c["final"] for c in d.commits()] == [False, True, False, True] and len(d.audio[1]) > sent
    d.say({"type": "transcription.done", "text": "two"})
    assert d.texts == ["one", "two"] and d.of(ev.AudioLost) == []


def test_vllm_text_while_it_is_spoken_is_a_partial() -> None:
    d = vllm().push(tone(1_000), realtime=True).turn(0)
    d.at(d.now + 0.5).say({"type": "transcription.delta", "delta": "One"})
    assert [p.text for p in d.partials] == ["One"] and d.finals == []


@pytest.mark.parametrize("ended", [True, False])
def test_a_drop_in_an_utterance_of_vllm_sends_it_again(ended: bool) -> None:
    d = vllm()
    if ended:
        speak(d)
    else:
        d.push(tone(1_000), realtime=True).turn(0).at(d.now + 0.5)
    d.say({"type": "transcription.delta", "delta": "One"}).drop().at(d.now + 1.0)
    hello(d, VLLM_HELLO)
    if not ended:
        d.push(silence(600)).end_turn(1_000)
    d.at(d.now + 3.0).say({"type": "transcription.done", "text": "One two"})
    assert d.texts == ["One two"] and [c["final"] for c in d.commits()] == [False, True]
    assert d.of(ev.AudioLost) == [] and d.totals["lost"] == 0


def test_a_model_vllm_does_not_have_is_a_refusal_with_manners() -> None:
    d = dialect_driver("vllm")
    while d.session.state.value != "failed":
        hello(d, VLLM_HELLO).say({"type": "error", "error": "The model does not exist.", "code": "model_not_found"})
        dials = len(d.dialled)
        while len(d.dialled) == dials and (due := d.session.get_timer()) is not None:
            d.at(due)
    (told,) = d.of(ev.ServerError)
    assert told.code == "model_not_found" and "does not exist" in told.message
    assert [e.fatal for e in d.of(ev.ClientError)] == [True] and d.now > 20, "asked often enough, and for long enough"


def test_an_utterance_vllm_cannot_process_is_tried_on_a_new_connection() -> None:
    d = speak(vllm()).say({"type": "error", "error": "CUDA out of memory", "code": "processing_error"})
    assert len(d.of(ev.ServerError)) == 1
    d.at(d.now + 1.0)
    hello(d, VLLM_HELLO).at(d.now + 3.0).say({"type": "transcription.done", "text": "again"})
    assert d.texts == ["again"] and d.of(ev.AudioLost) == []


# speaches ----------------------------------------------------------------------------------------------------------


def speaches() -> Driver:
    d = hello(dialect_driver("speaches"), SPEACHES_HELLO)
    session = update_of(d)["session"]
    ignored = {
        "type": "error",
        "error": {"message": "Specifying `session.turn_detection.prefix_padding_ms` is not supported", "code": None},
    }
    return d.say(ignored, {"type": "session.updated", "session": {"input_audio_format": "pcm16", **session}})


def test_speaches_gets_a_detector_that_never_hears_anything_and_our_turns() -> None:
    d = speaches()
    detector = update_of(d)["session"]["turn_detection"]
    assert detector["threshold"] == 1.0 and detector["create_response"] is False
    assert {"type", "prefix_padding_ms", "silence_duration_ms"} <= detector.keys(), "or it is ignored whole"
    assert d.session.connected and d.of(ev.ServerError) == [] and d.of(ev.ClientError) == []
    speak(d)
    d.say(
        {"type": "input_audio_buffer.committed", "item_id": "i", "previous_item_id": None},
        {"type": "conversation.item.created", "item": {"id": "i"}},
        {"type": TRANSCRIPTION + "completed", "item_id": "i", "transcript": "good day"},
    )
    (final,) = d.finals
    assert (final.text, final.start_ms) == ("good day", 0) and d.session.stats.unknown_events == 0
    assert len(d.audio[1]) > 1_000 * 48, "24 kHz"


def test_speaches_that_did_not_take_the_detector_is_told_again_and_then_given_up() -> None:
    d = hello(dialect_driver("speaches"), SPEACHES_HELLO)
    kept = {**SPEACHES_HELLO["session"], "turn_detection": {"type": "server_vad", "threshold": 0.9}}  # type: ignore[dict-item]
    for _ in range(2):
        d.say({"type": "session.updated", "session": {**kept, "input_audio_transcription": {"model": MODEL}}})
    assert [e.code for e in d.of(ev.ClientError)] == ["echo_mismatch"] and not d.session.connected


def test_a_speaches_session_is_changed_before_its_half_hour_is_over() -> None:
    d = speaches().at(1_700.0)
    assert len(d.dialled) == 1
    assert len(d.at(1_745.0).dialled) == 2


# The beta shape ----------------------------------------------------------------------------------------------------


def test_the_beta_shape_is_flat_both_ways() -> None:
    opts = options("server_vad", "whisper-1", input_audio_format="g711_ulaw")
    d = Driver(opts, dialects=DialectChoice("beta", LOCAL)).start()
    hello(d, BETA_HELLO)
    update = update_of(d)
    assert update["type"] == "transcription_session.update"
    assert update["session"]["input_audio_format"] == "g711_ulaw"
    assert update["session"]["input_audio_transcription"] == {"model": "whisper-1"}
    assert update["session"]["turn_detection"]["type"] == "server_vad" and "type" not in update["session"]
    d.say({"type": "transcription_session.updated", "session": update["session"]})
    assert d.session.connected and d.of(ev.Warned) == []
    d.push(tone(1_000)).say(
        {"type": "input_audio_buffer.speech_started", "item_id": "a", "audio_start_ms": 0},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "a", "audio_end_ms": 900},
        {"type": "conversation.item.created", "item": {"id": "a"}},
    )
    d.committed("a").delta("a", "good").completed("a", "good day")
    assert d.texts == ["good day"] and (d.finals[0].start_ms, d.finals[0].duration_ms) == (0, 900)
    assert d.session.stats.unknown_events == 0


def test_fields_the_beta_shape_never_had_are_left_out_with_a_warning() -> None:
    opts = options("none", "my-model")
    opts = opts.replace(transcription=type(opts.transcription)("my-model", keywords=("Ada",), language="en"))
    d = Driver(opts, dialects=DialectChoice("beta", LOCAL)).start()
    hello(d, BETA_HELLO)
    assert update_of(d)["session"]["input_audio_transcription"] == {"model": "my-model", "language": "en"}
    assert any("keywords" in w.message for w in d.of(ev.Warned))


# Names that tell nothing -------------------------------------------------------------------------------------------


def test_a_deployment_that_streams_is_treated_so_from_its_first_partial_on() -> None:
    choice = DialectChoice("azure", "https://r.openai.azure.com")
    d = Driver(options("none", "speech-prod"), dialects=choice).connect()
    d.push(tone(1_000), realtime=True).delta("i1", "Hello")
    assert [p.text for p in d.partials] == ["Hello"]
    d.push(tone(2_000)).finalize()
    assert d.commits() == [], "it has not heard all of it yet"
    d.at(d.now + 3.0)
    assert len(d.commits()) == 1


def test_a_known_model_is_not_taught_otherwise() -> None:
    d = Driver(options("none", "gpt-4o-transcribe")).connect().push(tone(1_000)).delta("i1", "Hello")
    assert d.partials == [] and d.session.stats.unknown_items == 1
    assert STREAMING != "gpt-4o-transcribe"
