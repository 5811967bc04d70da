"""The matrix of docs/models.md is true: the server takes what is said to work, and an error comes before any socket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.devkit.cli.models import FIELDS, MODELS, Cell, matrix, params_of
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.openai_asr_client import Endpoint, OpenAIASRClient, OpenAIASRListener
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError
from ten_packages.extension.openai_asr_python.realtime.limiter import Unlimited
from ten_packages.extension.openai_asr_python.realtime.models import LOGPROBS, resolve_turn_detection
from ten_packages.extension.openai_asr_python.realtime.options import TURN_DETECTION_TYPES

Json = dict[str, Any]
AT_ONCE = 16


class Told(OpenAIASRListener):
    """What the server made of one configuration."""

    def __init__(self) -> None:
        self.session: asyncio.Future[Json] = asyncio.get_running_loop().create_future()
        self.warned: list[str] = []

    def on_other_event(self, event: ev.Event) -> None:
        if isinstance(event, ev.WireEvent) and event.type == "session.updated" and not self.session.done():
            self.session.set_result(event.data["session"])
        elif isinstance(event, ev.Warned):
            self.warned.append(event.message)

    def on_asr_server_error(self, event: ev.ServerError) -> None:
        self._refused(event)

    def on_asr_client_error(self, event: ev.ClientError) -> None:
        self._refused(event)

    def _refused(self, event: ev.ServerError | ev.ClientError) -> None:
        if not self.session.done():
            self.session.set_exception(AssertionError(f"{event.code}: {event.message}"))


async def ask(url: str, cell: Cell, places: asyncio.Semaphore) -> tuple[Cell, Json, list[str]]:
    """The session a real server has in force after a real client asked for *cell*."""
    config = OpenAIASRConfig.load({"params": {"base_url": url, **params_of(cell.model, cell.turns, cell.field)}}, {})
    options = config.config.session_options()
    turns = resolve_turn_detection(options.turn_detection, cell.model, local_vad_available=True)
    async with places:
        told = Told()
        options = options.replace(turn_detection=turns, stop_drain_ms=0)
        client = OpenAIASRClient(options, Endpoint(url), told, limiter=Unlimited())
        client.start()
        try:
            return cell, await asyncio.wait_for(told.session, 30), told.warned
        finally:
            await client.stop()


def in_force(session: Json, field: str) -> bool:
    """Whether *field* has its effect in the server's *session*."""
    given = FIELDS[field]
    if "include" in given:
        return bool(session["include"] == [LOGPROBS])
    if "input_audio_noise_reduction" in given:
        return bool((session["audio"]["input"]["noise_reduction"] or {}).get("type") == "near_field")
    (name, value), *_ = given["input_audio_transcription"].items()
    return bool(session["audio"]["input"]["transcription"].get(name) == value)


@pytest.mark.socket
async def test_the_server_takes_whatever_is_no_error() -> None:
    cells = [cell for cell in matrix() if cell.outcome != "error"]
    assert len(cells) > 250
    places = asyncio.Semaphore(AT_ONCE)
    with run_in_thread(recognizer="scripted") as server:
        answers = await asyncio.gather(*(ask(server.url, cell, places) for cell in cells))
    for cell, session, warned in answers:
        assert in_force(session, cell.field) == (cell.outcome == "works"), (cell, session)
        assert (cell.note in warned) == (cell.outcome == "left out"), (cell, warned)
        detection = session["audio"]["input"]["turn_detection"]
        kind = "client" if detection is None else detection["type"]
        assert kind == ("client" if cell.turns_used in ("local_vad", "none") else cell.turns_used), cell
        if cell.outcome == "translated":
            name = cell.note.removeprefix("sent as ")
            assert session["audio"]["input"]["transcription"][name], (cell, session)


def test_an_error_comes_with_the_configuration_and_names_its_remedy() -> None:
    errors = [cell for cell in matrix() if cell.outcome == "error"]
    assert {(cell.model, cell.turns) for cell in errors} == {
        (model, turns)
        for model in ("gpt-live-transcribe", "gpt-realtime-whisper")
        for turns in ("server_vad", "semantic_vad")
    }
    for cell in errors:
        params = {"base_url": "ws://127.0.0.1:9", **params_of(cell.model, cell.turns, cell.field)}
        with pytest.raises(ConfigurationError) as caught:
            OpenAIASRConfig.load({"params": params}, {})
        assert len(caught.value.problems) == 1
        assert caught.value.field == "params.turn_detection.type" and '"local_vad"' in caught.value.remedy


def test_every_model_turn_mode_and_field_is_there_once() -> None:
    names = [(cell.model, cell.turns, cell.field) for cell in matrix()]
    assert len(names) == len(set(names)) == len(MODELS) * len(TURN_DETECTION_TYPES) * len(FIELDS)
    assert all(cell.note for cell in matrix() if cell.outcome in ("error", "left out"))
