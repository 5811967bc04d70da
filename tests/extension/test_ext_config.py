"""Configuration: every spelling reaches the wire, what cannot work is one clear fatal error and no crash, and neither
secrets nor speech get out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from asr_tester import STREAMING, Call, Json, describe_record, node, run_call
from tone_script import ToneScript
from wire_servers import FakeServer, Peer

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm
CANARY = "canarysecretcanary"


async def transcribe_one(peer: Peer) -> None:
    await peer.configure()
    await peer.transcribe("hello")


async def one_turn(call: Call) -> None:
    await call.send(SPEECH)
    await call.finalize("f1")
    await call.answer("f1")


def on_the_wire(properties: Json) -> tuple[Json, dict[str, str], Call]:
    """The session object and the headers that a server sees for a node's *properties* (`URL` stands for its base)."""
    with FakeServer(transcribe_one) as server:
        told = json.loads(json.dumps(properties).replace("URL", server.url))
        call = run_call(told, one_turn)
        assert call.texts == ["hello"]
        (update,) = server.peers[0].all("session.update")
        return update["session"], server.peers[0].headers, call


# Spellings --------------------------------------------------------------------------------------------------


FLAT: Json = {
    "api_key": "sk-flat",
    "base_url": "URL",
    "organization": "org-1",
    "project": "proj-1",
    "input_audio_format": "g711_ulaw",
    "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "names: Ada"},
    "turn_detection": {"type": "none"},
    "input_audio_noise_reduction": {"type": "far_field"},
    "include": ["item.input_audio_transcription.logprobs"],
}

VENDOR: Json = {
    "api_key": "sk-flat",
    "base_url": "URL",
    "organization": "org-1",
    "project": "proj-1",
    "type": "transcription",
    "include": ["item.input_audio_transcription.logprobs"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "names: Ada"},
            "turn_detection": {"type": "none"},
            "noise_reduction": {"type": "far_field"},
        }
    },
}


def test_the_flat_and_the_vendors_spelling_are_the_same_session_on_the_wire() -> None:
    flat, flat_headers, _ = on_the_wire({"params": FLAT})
    vendor, vendor_headers, _ = on_the_wire({"params": VENDOR})
    assert flat == vendor
    assert flat == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcmu"},
                "transcription": {"model": "gpt-4o-transcribe", "language": "en", "prompt": "names: Ada"},
                "turn_detection": None,
                "noise_reduction": {"type": "far_field", "strength": 1.0},
            }
        },
        "include": ["item.input_audio_transcription.logprobs"],
    }
    for headers in (flat_headers, vendor_headers):
        assert headers["Authorization"] == "Bearer sk-flat"
        assert headers["OpenAI-Organization"] == "org-1" and headers["OpenAI-Project"] == "proj-1"
        assert "OpenAI-Beta" not in headers


def test_the_older_documented_example_works_as_it_stands(tmp_path: Path) -> None:
    session, headers, call = on_the_wire(
        {
            "api_key": "sk-older",
            "organization": "org-2",
            "project": "proj-2",
            "websocket_base_url": "URL",
            "log_level": "INFO",
            "dump": True,
            "dump_path": str(tmp_path),
            "params": {
                "input_audio_format": "pcm16",
                "turn_detection": {"enabled": False},
                "input_audio_noise_reduction": {"enabled": True},
            },
        }
    )
    audio = session["audio"]["input"]
    assert audio["format"] == {"type": "audio/pcm", "rate": 24000}
    assert audio["turn_detection"] is None
    assert audio["noise_reduction"]["type"] == "near_field"
    assert headers["Authorization"] == "Bearer sk-older"
    assert headers["OpenAI-Organization"] == "org-2" and headers["OpenAI-Project"] == "proj-2"
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [SPEECH]
    assert not call.errors


def test_turn_detection_enabled_in_the_older_form_gives_turns_without_a_finalize(serve) -> None:
    async def scenario(call: Call) -> None:
        await call.send(ToneScript().say(5, ms=300).pause(900).pcm)
        await call.until("the server's own final", lambda: call.finals)

    server = serve()
    properties = {
        "api_key": "sk-older",
        "websocket_base_url": server.url,
        "model": "gpt-4o-transcribe",
        "params": {"turn_detection": {"enabled": True}},
    }
    assert run_call(properties, scenario).texts == ["b5"]
    assert server.session["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_the_environments_key_is_used_where_none_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    params = {key: value for key, value in FLAT.items() if key not in ("api_key", "organization", "project")}
    _, headers, _ = on_the_wire({"params": params})
    assert headers["Authorization"] == "Bearer sk-environment"
    _, headers, _ = on_the_wire({"params": {**params, "api_key": "sk-written"}})
    assert headers["Authorization"] == "Bearer sk-written"


def test_a_command_gives_the_key_and_headers_are_added() -> None:
    params = {key: value for key, value in FLAT.items() if key != "api_key"}
    command = f'"{sys.executable}" -c "print(\'sk-by-command\')"'
    _, headers, _ = on_the_wire({"params": {**params, "api_key_command": command, "headers": {"X-Tenant": "seven"}}})
    assert headers["Authorization"] == "Bearer sk-by-command"
    assert headers["X-Tenant"] == "seven"


def test_a_model_and_fields_nobody_has_heard_of_reach_the_wire() -> None:
    """Tomorrow's model with tomorrow's field must work today."""
    model = {"model": "tomorrows-model-2031-01-01", "language": "en", "tomorrows_field": {"a": [1]}}
    session, _, call = on_the_wire({"params": {**FLAT, "input_audio_transcription": model}})
    assert session["audio"]["input"]["transcription"] == model
    assert call.finals[0]["metadata"]["asr_info"]["model"] == "tomorrows-model-2031-01-01"


def test_the_handshake_asks_for_a_transcription_session() -> None:
    with FakeServer(transcribe_one) as server:
        run_call(node(server.url), one_turn)
        path, _, query = server.peers[0].path.partition("?")
    assert path == "/v1/realtime" and query == "intent=transcription"


def test_unknown_properties_are_a_warning_that_names_the_nearest() -> None:
    _, _, call = on_the_wire({"params": {**FLAT, "turn_detektion": {}, "sample_rat": 16000}})
    warnings = [r.getMessage() for r in call.logs if r.levelname == "WARNING" and "sample_rat" in r.getMessage()]
    assert len(warnings) == 1 and "params.sample_rate" in warnings[0]


# What cannot work -------------------------------------------------------------------------------------------


BAD: list[tuple[Json, list[str]]] = [
    ({"sample_rate": -1}, ["params.sample_rate", "-1", "8000"]),
    ({"sample_rate": "fast"}, ["params.sample_rate", "fast"]),
    ({"input_audio_format": "mp3"}, ["params.input_audio_format", "mp3", "pcm16"]),
    ({"turn_detection": {"type": "psychic"}}, ["params.turn_detection.type", "psychic", "local_vad"]),
    ({"turn_detection": {"type": "none", "threshold": 7}}, ["params.turn_detection.threshold", "7", "1"]),
    ({"base_url": "ftp://example.org"}, ["params.base_url", "ftp://example.org", "wss"]),
    ({"base_url": "wss://api.openai.com/v1", "api_key": ""}, ["params.api_key", "OPENAI_API_KEY"]),
    ({"finalize_timeout_ms": 0}, ["params.finalize_timeout_ms", "0", "1"]),
    ({"language": "in English, please"}, ["params.language", "English", "en-US"]),
    ({"ca_file": "/no/such/file.pem"}, ["params.ca_file", "/no/such/file.pem"]),
    ({"max_turn_ms": 59_000}, ["params.max_turn_ms", "59000", "30000"]),
    ({"audio": {"input": {"format": {"type": "audio/mp3"}}}}, ["params.audio.input.format.type", "audio/mp3"]),
    ({"sample_rate": -1, "channels": 99}, ["params.sample_rate", "params.channels", "99"]),
    ({"organization": "one"}, ["organization", "says otherwise"]),
]


@pytest.mark.parametrize(
    ("params", "words"), BAD, ids=lambda value: None if isinstance(value, list) else str(value)[:30]
)
def test_a_bad_value_is_one_fatal_error_and_an_extension_that_stays_alive(params: Json, words: list[str]) -> None:
    with FakeServer(transcribe_one) as server:
        properties = node(server.url)
        if "language" in params:
            del properties["params"]["input_audio_transcription"]["language"]
        properties["params"].update(params)
        if "organization" in params:
            properties["organization"] = "two"
        call = run_call(properties, one_turn)
        assert server.dials == 0
    (error,) = call.errors
    assert error["code"] == -1000
    for word in words:
        assert word in error["message"], error["message"]
    assert not call.results
    assert call.answers


@pytest.mark.parametrize("turns", ["server_vad", "semantic_vad"])
@pytest.mark.parametrize("model", [STREAMING, "gpt-realtime-whisper"])
def test_server_turns_with_a_model_that_refuses_them_is_one_error_before_any_connection(model: str, turns: str) -> None:
    with FakeServer(transcribe_one) as server:
        call = run_call(node(server.url, model=model, turns=turns), one_turn)
        assert server.dials == 0
    (error,) = call.errors
    assert error["code"] == -1000
    for word in ("params.turn_detection.type", turns, model, "local_vad", "none"):
        assert word in error["message"]


def test_strict_configuration_refuses_what_it_does_not_know() -> None:
    call = run_call({"strict_config": True, "params": {"api_key": "sk-x", "sample_rat": 8000}}, one_turn)
    (error,) = call.errors
    assert error["code"] == -1000 and "params.sample_rat" in error["message"] and "sample_rate" in error["message"]


@pytest.mark.parametrize("properties", [{"params": "no object"}, {"params": []}, {"params": {"turn_detection": 7}}])
def test_properties_of_the_wrong_shape_are_an_error_too(properties: Json) -> None:
    call = run_call(properties, one_turn)
    assert [error["code"] for error in call.errors] == [-1000]


# What must not get out --------------------------------------------------------------------------------------


def test_the_configuration_is_logged_once_masked_and_as_a_key_point() -> None:
    _, _, call = on_the_wire({"params": {**FLAT, "api_key": f"sk-{CANARY}", "headers": {"X-Token": CANARY}}})
    (line,) = [record for record in call.logs if record.getMessage().startswith("config: ")]
    assert getattr(line, "category", None) == "key_point"
    shown = json.loads(line.getMessage().removeprefix("config: "))
    assert shown["api_key"] == "***" and shown["headers"] == {"X-Token": "***"}
    assert shown["input_audio_transcription"]["model"] == "gpt-4o-transcribe"
    assert "Ada" not in line.getMessage(), "a prompt may be somebody's words"


async def quote_headers(peer: Peer) -> None:
    """A server that is fond of quoting what it was sent: in errors, and in its last words."""
    quoted = " ".join(f"{name}: {value}" for name, value in peer.headers.items())
    quoted += f" invalid token {peer.headers.get('Authorization', '').removeprefix('Bearer ')}"
    await peer.say({"type": "error", "error": {"type": "invalid_request_error", "code": "bad", "message": quoted}})
    await peer.configure()
    await peer.say(
        {"type": "error", "error": {"type": "server_error", "code": quoted[:200], "message": quoted, "param": quoted}}
    )
    await peer.transcribe("hello")
    await peer.close(1011, f"bad key {peer.headers.get('Authorization', '')}"[:120])


SECRETS: dict[str, Json] = {
    "api_key": {"api_key": f"sk-{CANARY}"},
    "an unusual api_key": {"api_key": CANARY},
    "headers": {"api_key": "", "headers": {"api-key": CANARY, "X-Extra": f"Token {CANARY}"}},
    "api_key_command": {"api_key": "", "api_key_command": f'"{sys.executable}" -c "print(\'{CANARY}\')"'},
    "organization": {"organization": CANARY, "project": f"proj-{CANARY}"},
    "user name and password": {"base_url": "userinfo"},
    "query": {"base_url": "query"},
    "a key in the wrong place": {"base_url": f"sk-{CANARY}"},
    "a key with a line break": {"api_key": f"sk-{CANARY}\nX-More: {CANARY}"},
    "a key in a bad URL": {"base_url": f"ftp://user:{CANARY}@example.org"},
    "a password that ends the host": {"proxy": f"http://user:{CANARY}/word@proxy.test:8080"},
    "a user that is a port": {"base_url": f"ws://12345/{CANARY}@127.0.0.1:1/v1"},
    "a word of a header": {"api_key": "", "headers": {"Authorization": f"Bearer {CANARY}"}},
    "a secret of the wrong type": {"headers": {"X": {"deep": CANARY}}},
    "a command that fails": {"api_key": "", "api_key_command": f"echo {CANARY} >&2; exit 3"},
    "an unknown property": {"api_token": CANARY},
}


@pytest.mark.parametrize("where", SECRETS)
def test_a_secret_is_in_no_log_no_message_and_no_dump(where: str, tmp_path: Path) -> None:
    async def scenario(call: Call) -> None:
        await call.send(SPEECH)
        await call.finalize("f1")
        await call.answer("f1")
        await call.until("the drop or the configuration error", lambda: call.errors)

    with FakeServer(quote_headers) as server:
        params = dict(SECRETS[where])
        if params.get("base_url") == "userinfo":
            params["base_url"] = server.url.replace("ws://", f"ws://user:{CANARY}@")
        elif params.get("base_url") == "query":
            params["base_url"] = f"{server.url}?code={CANARY}"
        top = {"dump": True, "dump_path": str(tmp_path / "dump.wav"), "log_level": "debug"}
        call = run_call(node(server.url, **{"finalize_timeout_ms": 1500, **params}, top=top), scenario)
    for record in call.logs:
        assert CANARY not in describe_record(record), describe_record(record)
    assert CANARY not in json.dumps([message.payload for message in call.messages])
    for path in tmp_path.rglob("*"):
        assert CANARY not in path.name and CANARY.encode() not in path.read_bytes()


SENTENCE = "the canary sang of cheese"
PROMPT = "promptcanary"


async def tell(peer: Peer) -> None:
    await peer.configure()
    await peer.heard("input_audio_buffer.commit")
    await peer.committed("item_1")
    await peer.delta("item_1", SENTENCE)
    await peer.say({"type": "tomorrows.transcript", "text": SENTENCE})
    await peer.say({"type": "conversation.item.done", "item": {"content": [{"transcript": SENTENCE}]}})
    await peer.say('{"type": "conversation.item.input_audio_transcription.delta", "delta": ["' + SENTENCE + '"]}')
    await peer.say(SENTENCE)
    await peer.completed("item_1", SENTENCE)


@pytest.mark.parametrize("level", ["info", "warn", "error", "debug"])
def test_what_was_said_is_logged_at_our_own_debug_level_only(level: str) -> None:
    """The host logs everything; whether transcripts are among it is up to our own log_level."""
    model: dict[str, Any] = {"model": "gpt-4o-transcribe", "language": "en", "prompt": PROMPT}
    with FakeServer(tell) as server:
        properties = node(server.url, input_audio_transcription=model, top={"log_level": level})
        call = run_call(properties, one_turn)
    assert call.texts == [SENTENCE]
    assert (SENTENCE in call.log_text()) == (level == "debug")
    assert PROMPT not in call.log_text()
