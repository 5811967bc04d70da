"""Our client and our server in every dialect, over real sockets: told which, and finding out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from client_peers import KEY, Recorder, socket_client, tidy
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.dialects import DIALECTS
from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRClient
from ten_packages.extension.openai_asr_python.realtime import events as ev
from tone_script import ToneScript

pytestmark = pytest.mark.socket

FOUND = sorted(DIALECTS.keys() - {"azure", "azure_ephemeral", "beta"})
"Azure and the beta shape are not found by asking: the one wants another header first, the other one more."


@pytest.fixture(autouse=True)
async def nothing_left_behind() -> AsyncIterator[None]:
    async with tidy():
        yield


async def say(client: OpenAIASRClient, heard: Recorder, *labels: int) -> None:
    """One turn; returns once its text is there."""
    before = len(heard.texts)
    client.push_audio(ToneScript().say(*labels).pause(200).pcm)
    await asyncio.wait_for(client.finalize(), 20)
    await heard.until(lambda: len(heard.texts) > before, 20)


async def talk(dialect: str, word: str) -> None:
    async with LocalServer(port=0, recognizer="scripted", api_key=KEY, dialect=dialect) as server:
        client, heard = socket_client(server.url, endpoint={"dialect": word})
        client.start()
        await say(client, heard, 101, 102, 103)
        await say(client, heard, 204)
        await asyncio.to_thread(server.faults.kill_all)
        await say(client, heard, 305, 306)
        await client.stop()
    assert heard.texts == ["b101 b102 b103", "b204", "b305 b306"]
    assert not heard.of(ev.AudioLost)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
async def test_three_turns_and_a_cut_in_a_dialect_that_is_named(dialect: str) -> None:
    await talk(dialect, dialect)


@pytest.mark.parametrize("dialect", FOUND)
async def test_three_turns_and_a_cut_in_a_dialect_that_is_found(dialect: str) -> None:
    await talk(dialect, "auto")
