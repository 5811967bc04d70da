"""What the embedded host and the extension add to the client: a frame's way in, an event's way out.

    python bench/hand_over.py            a Markdown table, some ten seconds
    python bench/hand_over.py --profile frames    (or: direct, partials, finals, sent, metrics) where the time goes

The client's `push_audio` is replaced by one that does nothing, and nothing is connected: what is left is the way from
`send_audio_frame` to `push_audio`, and from the listener's method to the handler of whoever receives results. CPU time
of the loop's thread, medians over interleaved rounds; what the source does to make a frame is taken off.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import pstats
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import perf_graph
from perf_audio import Sound, frames
from perf_graph import make_frame
from ten_runtime import AsyncExtension, AsyncTenEnv, AudioFrame, Data

STREAMS = 50
FRAMES = 100
"Of each stream, in a round."
ROUNDS = 10
SOUND = Sound()


class Bystander(AsyncExtension):
    """Takes frames and does nothing with them."""

    async def on_audio_frame(self, ten_env: AsyncTenEnv, audio_frame: AudioFrame) -> None:
        """Nothing."""


class HandOver:
    """A graph of sources, extensions whose clients take nothing, and one sink."""

    def __init__(self) -> None:
        self.sources: list[AsyncTenEnv] = []
        self.extensions: list[Any] = []
        self.received = 0
        self.data = frames(SOUND)

    def run(self, measure: Callable[[], Awaitable[Any]]) -> None:
        """Run *measure* on the host's loop."""
        from ten_packages.extension.openai_asr_python.devkit.host.app import Host
        from ten_packages.extension.openai_asr_python.extension import OpenAIASRExtension

        graph = self

        class Source(AsyncExtension):
            async def on_start(self, ten_env: AsyncTenEnv) -> None:
                graph.sources.append(ten_env)
                if self.name == "source":
                    self.task = asyncio.get_running_loop().create_task(self.work())

            async def work(self) -> None:
                try:
                    while len(graph.extensions) < STREAMS or not all(one.client for one in graph.extensions):
                        await asyncio.sleep(0.01)
                        graph.extensions = [it for it in gc.get_objects() if isinstance(it, OpenAIASRExtension)]
                    for extension in graph.extensions:
                        extension.client.push_audio = lambda data: 0
                    await measure()
                finally:
                    host.stop()

        class Sink(AsyncExtension):
            async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
                graph.received += 1

        host = Host(
            self._property(), addons={"source": Source, "bystander": Bystander, "sink": Sink}, stop_timeout_s=20
        )
        host.run(timeout_s=300).raise_for_error()

    def _property(self) -> Any:
        params: Any = {"api_key": "sk-bench", "base_url": "ws://127.0.0.1:9", "log_level": "error"}
        params["sample_rate"] = SOUND.rate
        names = [f"asr_{number}" for number in range(STREAMS)]
        nodes: list[Any] = [
            {"type": "extension", "name": name, "addon": name} for name in ("source", "bystander", "sink")
        ]
        connections: list[Any] = []
        asr = {"addon": "openai_asr_python", "property": {"params": params, "auto_connect": False}}
        for name in names:
            nodes.append({"type": "extension", "name": name, **asr})
            nodes.append({"type": "extension", "name": f"to_{name}", "addon": "source"})
            taken = [{"name": "pcm_frame", "dest": [{"extension": name}]}]
            connections.append({"extension": f"to_{name}", "audio_frame": taken})
            told = [{"names": perf_graph.RESULTS, "dest": [{"extension": "sink"}]}]
            connections.append({"extension": name, "data": told})
        to_nobody = [{"name": "pcm_frame", "dest": [{"extension": "bystander"}]}]
        connections.append({"extension": "source", "audio_frame": to_nobody})
        return {"ten": {"predefined_graphs": [{"name": "bench", "auto_start": True, "graph": {
            "nodes": nodes, "connections": connections}}]}}  # fmt: skip

    # What is measured ---------------------------------------------------------------------------------------

    def _timed(self, unit: int, began: float) -> float:
        return (time.thread_time() - began) / unit * 1e6

    async def paced(self, take: Callable[[int, AudioFrame], Awaitable[Any]] | None) -> float:
        """Half a second at the pace of callers, two or three frames to a millisecond; nobody takes them if None."""
        first, began, start = 0, time.thread_time(), time.monotonic()
        ticks = SOUND.frame_ms
        for tick in range(25 * ticks):
            await asyncio.sleep(max(0.0, start + tick / 1000 - time.monotonic()))
            last = (tick % ticks + 1) * STREAMS // ticks
            for stream in range(first, last):
                frame = make_frame(SOUND, self.data[tick // ticks % len(self.data)])
                if take is not None:
                    await take(stream, frame)
            first = last % STREAMS
        await asyncio.sleep(0)
        return self._timed(25 * STREAMS, began)

    async def make(self) -> float:
        """Frames are made and thrown away."""
        began = time.thread_time()
        for number in range(FRAMES):
            for _ in range(STREAMS):
                make_frame(SOUND, self.data[number % len(self.data)])
            await asyncio.sleep(0)
        return self._timed(FRAMES * STREAMS, began)

    async def through(self, sources: list[AsyncTenEnv]) -> float:
        """Frames go from *sources* to whom the graph says, all at once."""
        began = time.thread_time()
        for number in range(FRAMES):
            for source in sources:
                await source.send_audio_frame(make_frame(SOUND, self.data[number % len(self.data)]))
            await asyncio.sleep(0)
        return self._timed(FRAMES * STREAMS, began)

    async def direct(self) -> float:
        """`on_audio_frame` alone, as TEN's runtime would call it; making the frame included."""
        began = time.thread_time()
        for number in range(FRAMES):
            for extension in self.extensions:
                await extension.on_audio_frame(None, make_frame(SOUND, self.data[number % len(self.data)]))
            await asyncio.sleep(0)
        return self._timed(FRAMES * STREAMS, began)

    async def events(self, *, final: bool) -> float:
        """Transcripts go from the listener's method to the sink."""
        from ten_packages.extension.openai_asr_python.realtime import events as ev

        told = ev.Transcript(
            final=final, result_id="0123456789abcdef", item_id="item_1", text="what was said until here", delta=" here",
            start_position=19_200, start_ms=1200, duration_ms=900, language="en",
        )  # fmt: skip
        count, took = 100, 0.0
        for _ in range(count):
            began = time.thread_time()
            for extension in self.extensions:
                (extension.on_asr_completed if final else extension.on_asr_delta)(told)
            for extension in self.extensions:
                await extension._emitter.drain()
            took += time.thread_time() - began
            await asyncio.sleep(0)
        return took / (count * STREAMS) * 1e6

    async def sent(self) -> float:
        """The client tells of a message it sent."""
        from ten_packages.extension.openai_asr_python.realtime import events as ev

        told, count = ev.AudioSent(20.0, 0.0), 200
        began = time.thread_time()
        for _ in range(count):
            for extension in self.extensions:
                extension.on_other_event(told)
        return self._timed(count * STREAMS, began)

    async def metrics(self) -> float:
        """The numbers of a stream go to the graph, as they do once for a second of audio."""
        count, took = 20, 0.0
        for _ in range(count):
            began = time.thread_time()
            for extension in self.extensions:
                extension._audio_seen, extension._last_metrics = True, {}
                extension._put_vendor_metrics()
            for extension in self.extensions:
                await extension._emitter.drain()
            took += time.thread_time() - began
            await asyncio.sleep(0)
        return took / (count * STREAMS) * 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", choices=("frames", "direct", "partials", "finals", "sent", "metrics"))
    asked = parser.parse_args()
    bench = HandOver()
    found: dict[str, list[float]] = {}

    async def work() -> None:
        by_name = {source._node.name: source for source in bench.sources}
        asr = [by_name[f"to_{one.name}"] for one in bench.extensions]
        nobody = [by_name["source"]] * STREAMS

        def give(sources: list[AsyncTenEnv]) -> Callable[[int, AudioFrame], Awaitable[Any]]:
            return lambda stream, frame: sources[stream].send_audio_frame(frame)

        async def direct(stream: int, frame: AudioFrame) -> None:
            await bench.extensions[stream].on_audio_frame(None, frame)

        cases: dict[str, Callable[[], Awaitable[float]]] = {
            "make": bench.make,
            "bystander": lambda: bench.through(nobody),
            "frames": lambda: bench.through(asr),
            "make paced": lambda: bench.paced(None),
            "bystander paced": lambda: bench.paced(give(nobody)),
            "frames paced": lambda: bench.paced(give(asr)),
            "direct paced": lambda: bench.paced(direct),
            "direct": bench.direct,
            "partials": lambda: bench.events(final=False),
            "finals": lambda: bench.events(final=True),
            "sent": bench.sent,
            "metrics": bench.metrics,
        }
        if asked.profile:
            profiler = cProfile.Profile(time.process_time)
            await cases[asked.profile]()
            profiler.enable()
            await cases[asked.profile]()
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
            return
        for _ in range(ROUNDS):
            for name, case in cases.items():
                found.setdefault(name, []).append(await case())

    bench.run(work)
    if not asked.profile:
        show(found)
    return 0


def show(found: dict[str, list[float]]) -> None:
    """Print the table."""

    def less(name: str, other: str = "make") -> list[float]:
        return [one - two for one, two in zip(found[name], found[other], strict=True)]

    rows = {
        "a frame through the host alone, paced": less("bystander paced", "make paced"),
        "a frame through host and extension, paced": less("frames paced", "make paced"),
        "a frame in the extension alone, paced": less("direct paced", "make paced"),
        "a frame through the host alone, flat out": less("bystander"),
        "a frame through host and extension, flat out": less("frames"),
        "a frame in the extension alone, flat out": less("direct"),
        "a partial, listener to graph": found["partials"],
        "a final, listener to graph": found["finals"],
        "an `AudioSent`": found["sent"],
        "vendor metrics, worked out and sent": found["metrics"],
        "making a frame and the pacing, taken off above": found["make paced"],
        "making a frame, taken off above": found["make"],
    }
    print("| what | CPU-µs |\n| --- | ---: |")
    for name, values in rows.items():
        print(f"| {name} | {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}) |")


if __name__ == "__main__":
    sys.exit(main())
