"""Faults are the same in every dialect: they are named by the provider's events, whatever goes over the wire."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from dialect_peers import closed, receive, refusal, say, until
from server_peers import EPOCH, append, speech
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer
from ten_packages.extension.openai_asr_python.devkit.server.dialects.vllm import VllmVoice
from ten_packages.extension.openai_asr_python.devkit.server.faults import Faults
from ten_packages.extension.openai_asr_python.devkit.server.faults_layer import Layer, Link, Tally
from ten_packages.extension.openai_asr_python.devkit.server.identifiers import Identifiers
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import ScriptedRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
from ten_packages.extension.openai_asr_python.devkit.server.work import Abort
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

pytestmark = pytest.mark.socket

TRANSCRIPTION = "conversation.item.input_audio_transcription."
NESTED = {"transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}
FLAT = {"input_audio_transcription": {"model": "gpt-4o-transcribe"}, "turn_detection": None}
OWN = {
    "threshold": 1.0,
    "prefix_padding_ms": 0,
    "silence_duration_ms": 500,
    "create_response": False,
}
GA_UPDATE = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": NESTED}}}


@dataclass(frozen=True)
class Tongue:
    """How a client says the same in one dialect."""

    path: str
    update: dict[str, Any]
    updated: str | None
    "What confirms the update."
    begin: tuple[dict[str, Any], ...] = ()
    end: dict[str, Any] = field(default_factory=lambda: {"type": "input_audio_buffer.commit"})
    final: str = TRANSCRIPTION + "completed"
    failed: str = TRANSCRIPTION + "failed"
    text: str = "transcript"
    headers: Callable[[], dict[str, str]] = dict
    rate: int = 24000


COMMIT = {"type": "input_audio_buffer.commit"}
INTENT = "/realtime?intent=transcription"
TONGUES = {
    "openai": Tongue(INTENT, GA_UPDATE, "session.updated"),
    "azure": Tongue(INTENT, GA_UPDATE, "session.updated"),
    "beta": Tongue(
        INTENT,
        {"type": "transcription_session.update", "session": FLAT},
        "transcription_session.updated",
        headers=lambda: {"OpenAI-Beta": "realtime=v1"},
    ),
    "speaches": Tongue(
        "/realtime?model=m&intent=transcription",
        {"type": "session.update", "session": {"turn_detection": OWN}},
        "session.updated",
        failed="error",
    ),
    "vllm": Tongue(
        "/realtime",
        {"type": "session.update", "model": "m"},
        None,
        begin=({**COMMIT, "final": False},),
        end={**COMMIT, "final": True},
        final="transcription.done",
        failed="error",
        text="text",
        rate=16000,
    ),
}
each_dialect = pytest.mark.parametrize("dialect", sorted(TONGUES))


class Caller:
    """A configured client of one dialect."""

    def __init__(self, socket: ClientConnection, tongue: Tongue) -> None:
        self.socket, self.tongue = socket, tongue

    async def configure(self) -> None:
        await receive(self.socket)
        await say(self.socket, self.tongue.update)
        if self.tongue.updated is not None:
            await until(self.socket, self.tongue.updated)

    async def turn(self) -> None:
        tongue = self.tongue
        await say(self.socket, *tongue.begin, append(speech(300, tongue.rate)), tongue.end)

    async def text(self) -> str:
        return str((await until(self.socket, self.tongue.final))[-1][self.tongue.text])


@contextlib.asynccontextmanager
async def caller(dialect: str, faults: Faults | list[str], *lines: str) -> AsyncIterator[Caller]:
    recognizer = ScriptedRecognizer(lines or ["one", "two", "three"], word_ms=10_000)
    async with LocalServer(port=0, recognizer=recognizer, dialect=dialect, faults=faults) as server:
        tongue = TONGUES[dialect]
        async with connect(server.url + tongue.path, additional_headers=tongue.headers(), compression=None) as socket:
            made = Caller(socket, tongue)
            await made.configure()
            yield made


async def cut(socket: ClientConnection) -> bool:
    """Whether the connection ends without a CLOSE frame."""
    with pytest.raises(ConnectionClosed) as ended:
        while True:
            await asyncio.wait_for(socket.recv(), 10)
    return isinstance(ended.value, ConnectionClosedError) and ended.value.rcvd is None


@each_dialect
async def test_it_can_be_cut_by_hand(dialect: str) -> None:
    faults = Faults()
    async with caller(dialect, faults) as peer:
        assert await asyncio.to_thread(faults.kill_all) == 1
        assert await cut(peer.socket)


@each_dialect
@pytest.mark.parametrize("phase", ["speaking", "before_commit", "after_commit", "inside_message"])
async def test_it_is_cut_at_every_moment(dialect: str, phase: str) -> None:
    faults = Faults()
    async with caller(dialect, faults, "one two three four five six") as peer:
        kill = faults.kill_when(phase)
        with contextlib.suppress(ConnectionClosed):
            await say(peer.socket, *peer.tongue.begin, *[append(speech(300, peer.tongue.rate))] * 6, peer.tongue.end)
        assert await cut(peer.socket)
        assert kill.happened


@each_dialect
async def test_an_item_fails_and_the_next_does_not(dialect: str) -> None:
    async with caller(dialect, ["fail-item:times=1"]) as peer:
        await peer.turn()
        await until(peer.socket, peer.tongue.failed)
        await peer.turn()
        assert await peer.text() == "two"


@each_dialect
async def test_a_commit_that_is_swallowed_ends_nothing(dialect: str) -> None:
    async with caller(dialect, ["swallow-commit:times=1"], "all of it") as peer:
        await peer.turn()
        assert await silent(peer.socket)
        if dialect != "vllm":  # there the utterance has ended for its queue: only a new connection helps
            await peer.turn()
            assert await peer.text() == "all of it"


@each_dialect
async def test_final_text_comes_late(dialect: str) -> None:
    async with caller(dialect, ["late-final:ms=200"]) as peer:
        await peer.turn()
        begun = asyncio.get_running_loop().time()
        assert await peer.text() == "one"
        assert asyncio.get_running_loop().time() - begun >= 0.19


@each_dialect
async def test_it_says_nothing_any_more(dialect: str) -> None:
    faults = Faults()
    async with caller(dialect, faults) as peer:
        await asyncio.to_thread(faults.add, "mute")
        await peer.turn()
        await say(peer.socket, {"type": "bogus"})
        assert await silent(peer.socket)


@each_dialect
async def test_it_closes_with_the_code_it_is_told(dialect: str) -> None:
    async with caller(dialect, ["close:code=1012,reason=restart,after=0.05"]) as peer:
        assert await closed(peer.socket) == (1012, "restart")


@each_dialect
async def test_upgrades_are_answered_with_a_status(dialect: str) -> None:
    async with LocalServer(port=0, recognizer="scripted", dialect=dialect, faults=["http:status=429"]) as server:
        status, _ = await refusal(server.url + TONGUES[dialect].path, TONGUES[dialect].headers())
        assert status == 429


@each_dialect
async def test_no_junk_makes_the_server_stumble(dialect: str) -> None:
    faults = Faults()
    async with caller(dialect, faults, *(f"word{number}" for number in range(24))) as peer:
        for fault in ("junk", "ghost-item", "error-event", "duplicate"):
            await asyncio.to_thread(faults.add, fault)
        for number in range(24):
            await say(peer.socket, peer.tongue.update)
            await peer.turn()
            await frame_with(peer.socket, f'"{peer.tongue.text}":"word{number}"')
        await say(peer.socket, {"type": "bogus"})
        await frame_with(peer.socket, "validation error" if dialect == "speaches" else "bogus")


def test_vllms_utterance_is_not_ended_by_text_of_another() -> None:
    voice = VllmVoice(frozenset(), 0)
    begin = '{"type": "input_audio_buffer.commit", "final": false}'
    end = begin.replace("false", "true")
    assert list(voice.incoming('{"type": "session.update", "model": "m"}'))
    assert list(voice.incoming(begin)) == []
    list(voice.outgoing({"type": TRANSCRIPTION + "completed", "item_id": "a ghost", "transcript": "boo"}))
    assert list(voice.incoming(end)) == [b'{"type":"input_audio_buffer.commit"}']


@pytest.mark.parametrize(
    ("kind", "inside"),
    [(TRANSCRIPTION + "delta", {"type": "transcription.delta", "delta": "x"}), ("input_audio_buffer.committed", None)],
)
def test_a_frame_that_is_cut_in_the_middle_is_one_of_the_dialect(kind: str, inside: object) -> None:
    class Cuts(Layer):
        def outgoing(self, event: dict[str, Any], now: float) -> Any:
            return (Abort(inside={"type": kind, "item_id": "i", "delta": "x"}),)

    arguments = {"at": 0.0, "after": None, "for": None}
    link = Link(1, 0.0, EPOCH, "0", {"type": "audio/pcm", "rate": 16000})
    layer = Cuts(arguments, Tally(1, None, 0.0), link)
    voice = VllmVoice(frozenset(), 0)
    session = ServerSession(Identifiers(0), now=0.0, epoch=EPOCH, middleware=[layer], voice=voice)
    assert session.messages() == [Abort(inside=inside)]


async def frame_with(socket: ClientConnection, text: str) -> None:
    """Until a frame comes that says *text*."""

    async def read() -> None:
        frame: str | bytes = b""
        while not isinstance(frame, str) or text not in frame:
            frame = await socket.recv()

    await asyncio.wait_for(read(), 10)


async def silent(socket: ClientConnection) -> bool:
    """Whether nothing comes for as long as all of this takes otherwise, many times over."""
    with pytest.raises(asyncio.TimeoutError):
        raise AssertionError(await asyncio.wait_for(socket.recv(), 0.15))
    return True
