"""The whole extension in the embedded host, for `make bench`: one source a stream, the extension, one sink for all.

Frames are real `AudioFrame`s that go through the host's routing, schema and queue to `on_audio_frame`. Making a frame
is the source's work: it is done by `FrameMaker` too, which stands in for nobody and is subtracted.
"""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any

import chaos_load  # noqa: F401  (makes the extension and the host importable)
from perf_audio import Sound, frames
from perf_subjects import behind, connected, model_for
from ten_runtime import AsyncExtension, AsyncTenEnv, AudioFrame, Data

Json = dict[str, Any]
METADATA = json.dumps({"session_id": "bench"})
RESULTS = ["asr_result", "asr_finalize_end", "error", "metrics", "connection_status_changed"]


def make_frame(sound: Sound, data: bytes) -> AudioFrame:
    """A frame as an app's source makes it."""
    frame = AudioFrame.create("pcm_frame")
    frame.set_sample_rate(sound.rate)
    frame.set_number_of_channels(1)
    frame.set_bytes_per_sample(2 if sound.encoding == "pcm16" else 1)
    frame.set_samples_per_channel(sound.frame_samples)
    frame.set_property_from_json("metadata", METADATA)
    frame.alloc_buf(len(data))
    view = frame.lock_buf()
    view[:] = data
    frame.unlock_buf(view)
    return frame


class FrameMaker:
    """Makes frames and throws them away: the harness's own share of a graph's cost."""

    def __init__(self, sound: Sound) -> None:
        self._sound, self._frames = sound, frames(sound)

    async def open(self) -> None:
        """See `perf_subjects.Subject`."""

    def push(self, stream: int, number: int) -> None:
        """See `perf_subjects.Subject`."""
        make_frame(self._sound, self._frames[number % len(self._frames)])

    def behind(self) -> bool:
        """See `perf_subjects.Subject`."""
        return False

    async def close(self) -> None:
        """See `perf_subjects.Subject`."""


class Graph:
    """Streams through the host. `run` gives a measurement the host's loop to run on."""

    def __init__(self, url: str, streams: int, sound: Sound, turns: str) -> None:
        self._url, self._streams, self._sound, self._turns = url, streams, sound, turns
        self._frames = frames(sound)
        self._envs: dict[int, AsyncTenEnv] = {}
        self.clients: list[Any] = []
        self.received = 0

    def run(self, measure: Callable[[], Awaitable[Json]]) -> Json:
        """Start the graph, run *measure* on its loop once all streams are connected, and stop."""
        from ten_packages.extension.openai_asr_python import connect_limit
        from ten_packages.extension.openai_asr_python.devkit.host.app import Host

        # The streams of a bench connect at once; the limit is for a process's real servers.
        connect_limit.SharedLimiter.__init__(connect_limit.PROCESS_LIMITER, 10_000.0, 10_000)
        outcome: list[Any] = []
        graph = self

        class Source(AsyncExtension):
            async def on_start(self, ten_env: AsyncTenEnv) -> None:
                graph._envs[int(self.name.removeprefix("source_"))] = ten_env
                if self.name == "source_0":
                    self._task = asyncio.get_running_loop().create_task(self._measure())

            async def _measure(self) -> None:
                try:
                    outcome.append(await measure())
                except Exception as exc:
                    outcome.append(exc)
                host.stop()

        class Sink(AsyncExtension):
            async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
                graph.received += 1

        host = Host(self._property(), addons={"bench_source": Source, "bench_sink": Sink}, stop_timeout_s=20)
        host.run(timeout_s=300).raise_for_error()
        if not outcome or isinstance(outcome[0], Exception):
            raise RuntimeError("the graph ended before it was measured") from (outcome[0] if outcome else None)
        result: Json = outcome[0]
        return result

    def _property(self) -> Json:
        nodes: list[Json] = [{"type": "extension", "name": "sink", "addon": "bench_sink"}]
        connections: list[Json] = []
        for number in range(self._streams):
            params = {
                "api_key": "sk-bench",
                "base_url": f"{self._url}/{number}",
                "dialect": "openai",
                "sample_rate": self._sound.rate,
                "input_encoding": self._sound.encoding,
                "turn_detection": {"type": self._turns},
                "input_audio_transcription": {"model": model_for(self._turns), "language": "en"},
                "log_level": "error",
            }
            asr, source = f"asr_{number}", f"source_{number}"
            nodes.append({"type": "extension", "name": source, "addon": "bench_source"})
            node = {"type": "extension", "name": asr, "addon": "openai_asr_python", "property": {"params": params}}
            nodes.append(node)
            to_asr = [{"name": "pcm_frame", "dest": [{"extension": asr}]}]
            connections.append({"extension": source, "audio_frame": to_asr})
            told = [{"names": RESULTS, "dest": [{"extension": "sink"}]}]
            connections.append({"extension": asr, "data": told})
        graph = {"nodes": nodes, "connections": connections}
        return {"ten": {"predefined_graphs": [{"name": "bench", "auto_start": True, "graph": graph}]}}

    async def open(self) -> None:
        """See `perf_subjects.Subject`."""
        from ten_packages.extension.openai_asr_python.openai_asr_client import OpenAIASRClient

        while len(self._envs) < self._streams or len(self.clients) < self._streams:
            await asyncio.sleep(0.01)
            # The host has no way to its extensions' insides, and should have none.
            self.clients = [thing for thing in gc.get_objects() if isinstance(thing, OpenAIASRClient)]
        await connected(self.clients)

    def push(self, stream: int, number: int) -> Awaitable[Any]:
        """See `perf_subjects.Subject`."""
        frame = make_frame(self._sound, self._frames[number % len(self._frames)])
        return self._envs[stream].send_audio_frame(frame)

    def behind(self) -> bool:
        """See `perf_subjects.Subject`."""
        return behind(self.clients)

    async def close(self) -> None:
        """See `perf_subjects.Subject`: the host does it."""
