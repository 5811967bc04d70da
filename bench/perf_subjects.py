"""Who `make bench` measures: the client, and the floors below it. Each takes the same frames to the same server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from typing import Any, Protocol

import chaos_load  # noqa: F401  (makes the extension importable)
from perf_audio import WIRE_RATE, Sound, frames

OPEN_TIMEOUT_S = 60.0
BEHIND_MS = 500
"Audio not yet sent at which a run without pacing waits."


class Subject(Protocol):
    """Streams that take frames."""

    async def open(self) -> None:
        """Open all streams; returns when audio can flow."""
        ...

    def push(self, stream: int, number: int) -> Awaitable[Any] | None:
        """Hand the frame of that *number* to a stream; what is returned is awaited."""
        ...

    def behind(self) -> bool:
        """Whether more is under way than should be."""
        ...

    async def close(self) -> None:
        """Close all streams."""
        ...


class Nobody:
    """Takes frames and does nothing: the cost of the harness itself, which is subtracted."""

    async def open(self) -> None:
        """See `Subject`."""

    def push(self, stream: int, number: int) -> None:
        """See `Subject`."""

    def behind(self) -> bool:
        """See `Subject`."""
        return False

    async def close(self) -> None:
        """See `Subject`."""


def messages(sound: Sound) -> list[bytes]:
    """What a client sends for each frame of a call, made in advance."""
    from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder
    from ten_packages.extension.openai_asr_python.audio.pcm import FrameDecoder
    from ten_packages.extension.openai_asr_python.realtime.messages import encode_append

    decoder = FrameDecoder(sound.encoding, 1, sound.rate)
    encoder = WireEncoder(sound.rate, "pcm16", pcm_rate=WIRE_RATE)
    return [encode_append(encoder.encode(decoder.decode(memoryview(frame)))) for frame in frames(sound)]


class Picows:
    """The floor: picows alone, sending messages made in advance and counting what comes."""

    def __init__(self, url: str, streams: int, sound: Sound) -> None:
        self._url, self._streams = url, streams
        self._messages = messages(sound)
        self._transports: list[Any] = []
        self._paused = 0
        self.received = 0

    async def open(self) -> None:
        """See `Subject`."""
        from picows import WSListener, WSMsgType, ws_connect

        subject = self

        class Listener(WSListener):  # type: ignore[misc]
            def on_ws_frame(self, transport: Any, frame: Any) -> None:
                subject.received += 1

            def pause_writing(self) -> None:
                subject._paused += 1

            def resume_writing(self) -> None:
                subject._paused -= 1

        self._text = WSMsgType.TEXT
        for number in range(self._streams):
            transport, _ = await ws_connect(Listener, f"{self._url}/{number}/realtime")
            self._transports.append(transport)

    def push(self, stream: int, number: int) -> None:
        """See `Subject`."""
        self._transports[stream].send(self._text, self._messages[number % len(self._messages)])

    def behind(self) -> bool:
        """See `Subject`."""
        return self._paused > 0

    async def close(self) -> None:
        """See `Subject`."""
        for transport in self._transports:
            transport.disconnect()


class Websockets:
    """The floor of the transport the client is on: the websockets library alone, as the client sets it up."""

    def __init__(self, url: str, streams: int, sound: Sound) -> None:
        self._url, self._streams = url, streams
        self._messages = messages(sound)
        self._sockets: list[Any] = []
        self._readers: list[asyncio.Task[None]] = []
        self.received = 0

    async def open(self) -> None:
        """See `Subject`."""
        from websockets.asyncio.client import connect

        for number in range(self._streams):
            url = f"{self._url}/{number}/realtime"
            socket = await connect(url, compression=None, ping_interval=None, max_queue=16)
            self._sockets.append(socket)
            self._readers.append(asyncio.create_task(self._read(socket)))

    async def _read(self, socket: Any) -> None:
        while True:
            await socket.recv(decode=False)
            self.received += 1

    def push(self, stream: int, number: int) -> Awaitable[None]:
        """See `Subject`."""
        sending: Awaitable[None] = self._sockets[stream].send(self._messages[number % len(self._messages)], text=True)
        return sending

    def behind(self) -> bool:
        """See `Subject`: a send waits by itself."""
        return False

    async def close(self) -> None:
        """See `Subject`."""
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*(socket.close() for socket in self._sockets), return_exceptions=True)


class Client:
    """`OpenAIASRClient`, from `push_audio` to the wire and from the wire to the listener."""

    def __init__(self, url: str, streams: int, sound: Sound, turns: str) -> None:
        self._url, self._streams, self._sound, self._turns = url, streams, sound, turns
        self._frames = frames(sound)
        self._clients: list[Any] = []
        self.listeners: list[Any] = []

    @property
    def clients(self) -> list[Any]:
        """The clients, to read."""
        return self._clients

    async def open(self) -> None:
        """See `Subject`."""
        for number in range(self._streams):
            self.add(number)
            await asyncio.sleep(0)
        await connected(self._clients)

    def add(self, number: int) -> Any:
        """One more stream, which begins to connect."""
        from ten_packages.extension.openai_asr_python import openai_asr_client as module
        from ten_packages.extension.openai_asr_python.realtime.events import Connected
        from ten_packages.extension.openai_asr_python.realtime.limiter import Unlimited
        from ten_packages.extension.openai_asr_python.realtime.options import (
            SessionOptions,
            TranscriptionOptions,
            TurnDetectionOptions,
        )

        options = SessionOptions(
            sample_rate=self._sound.rate,
            turn_detection=TurnDetectionOptions(type=self._turns),  # type: ignore[arg-type]
            transcription=TranscriptionOptions(model=model_for(self._turns)),
        )
        endpoint = module.Endpoint(f"{self._url}/{number}", api_key="sk-bench", dialect="openai")

        class Listener(module.OpenAIASRListener):
            def __init__(self) -> None:
                self.connected = asyncio.Event()

            def on_other_event(self, event: Any) -> None:
                if isinstance(event, Connected):
                    self.connected.set()

        form = (self._sound.encoding, 1, self._sound.rate)
        self.listeners.append(listener := Listener())
        client = module.OpenAIASRClient(options, endpoint, listener, input_format=form, limiter=Unlimited())
        self._clients.append(client)
        client.start()
        return client

    def push(self, stream: int, number: int) -> None:
        """See `Subject`."""
        self._clients[stream].push_audio(self._frames[number % len(self._frames)])

    def behind(self) -> bool:
        """See `Subject`."""
        return behind(self._clients)

    async def close(self) -> None:
        """See `Subject`."""
        await asyncio.gather(*(client.stop() for client in self._clients))


def model_for(turns: str) -> str:
    """The default model for local turns; the one that answers server turns for those."""
    return "gpt-live-transcribe" if turns == "local_vad" else "gpt-4o-transcribe"


def behind(clients: list[Any]) -> bool:
    """Whether one of *clients* has audio that waits to be sent."""
    return any(client.session.stream.lag_ms > BEHIND_MS for client in clients)


async def connected(clients: list[Any]) -> None:
    """Wait until all *clients* have a session. Raises TimeoutError."""

    async def all_ready() -> None:
        while not all(client.connected for client in clients):
            await asyncio.sleep(0.005)

    await asyncio.wait_for(all_ready(), OPEN_TIMEOUT_S)


async def report(url: str) -> dict[str, Any]:
    """What the server knows of each stream, by its number as text."""
    from websockets.asyncio.client import connect

    async with connect(f"{url}/report", max_size=None) as socket:
        told: dict[str, Any] = json.loads(await socket.recv())
        return told
