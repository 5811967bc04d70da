"""Measurements of single parts for `make bench`: resampling, the detector, opening, memory, the event loop."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from array import array
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from memory import resident
from perf_audio import Sound, frames, speech
from perf_streams import cpu_s, live, percentile
from perf_subjects import Client, Websockets, report

Json = dict[str, Any]
T = TypeVar("T")
KB = 1000


def resample(seconds: float) -> Json:
    """The wire encoder alone, 16 to 24 kHz in frames of 20 ms, fifty streams in turn."""
    from ten_packages.extension.openai_asr_python.audio.encoder import WireEncoder

    sound = Sound()
    audio = frames(sound)
    encoders = [WireEncoder(sound.rate, "pcm16") for _ in range(50)]
    used, until, count = cpu_s(), time.monotonic() + seconds, 0
    while time.monotonic() < until:
        frame = audio[count % len(audio)]
        for encoder in encoders:
            encoder.encode(frame)
        count += 1
    return {"cpu_s": cpu_s() - used, "audio_s": count * len(encoders) * sound.frame_ms / 1000}


def detector(seconds: float, gated: bool, streams: int = 50) -> Json:
    """Local turns without the client: the detector of each of *streams* calls, half of them silence.

    Without *gated* it is the model alone, one window after the other, as it is without this extension.
    """
    if gated:
        loop = _Paced()
        try:
            return loop.run_until_complete(_shared_detector(loop, seconds, streams))
        finally:
            loop.close()
    return _bare_model(seconds, streams)


class _Paced(asyncio.SelectorEventLoop):
    """A loop whose time goes by only when it is told to: callers at their pace, as fast as they can be served."""

    now = 0.0

    def time(self) -> float:
        return self.now


async def _shared_detector(loop: _Paced, seconds: float, streams: int) -> Json:
    """As the client does it: frames of 20 ms, those of all callers spread over these 20 ms, judged together."""
    from ten_packages.extension.openai_asr_python.audio import vad
    from ten_packages.extension.openai_asr_python.audio.turns import TurnDetector
    from ten_packages.extension.openai_asr_python.local_turns import LocalTurns

    vad.load()
    pieces, told = frames(Sound(call="speech")), 0

    def tell(events: list[Any]) -> None:
        nonlocal told
        told += len(events)

    def failed(error: Exception) -> None:
        raise error

    calls = [LocalTurns(TurnDetector(16_000, vad.SileroDetector()), tell, failed) for _ in range(streams)]
    apart = len(pieces) // streams  # no two callers say the same at the same time
    count, used, until, began = 0, 0.0, 0.0, 0
    while time.monotonic() < until or count < 200:
        if count == 100:
            used, until, began = cpu_s(), time.monotonic() + seconds, count
        for number, call in enumerate(calls):
            call.push(pieces[(count + number * apart) % len(pieces)])
            if number % 5 == 4:
                loop.now += 5 * 0.020 / streams
                await asyncio.sleep(0)
        count += 1
    return {"cpu_s": cpu_s() - used, "audio_s": (count - began) * streams * 0.020, "turn_events": told}


def _bare_model(seconds: float, streams: int) -> Json:
    """onnxruntime and nothing else."""
    from ten_packages.extension.openai_asr_python.audio import vad

    run, rate = vad.load().run, np.array(16_000, dtype=np.int64)
    call = speech(16_000).astype(np.float32) / 32768
    windows = [call[np.newaxis, at : at + 576] for at in range(0, len(call) - 576, 512)]
    states = [np.zeros((2, 1, 128), dtype=np.float32) for _ in range(streams)]
    apart = len(windows) // streams
    count, used, until, began = 0, 0.0, 0.0, 0
    while time.monotonic() < until or count < 200:
        if count == 100:
            used, until, began = cpu_s(), time.monotonic() + seconds, count
        for number in range(streams):
            window = windows[(count + number * apart) % len(windows)]
            _, states[number] = run(None, {"input": window, "state": states[number], "sr": rate})
        count += 1
    return {"cpu_s": cpu_s() - used, "audio_s": (count - began) * streams * 512 / 16_000}


async def opening(url: str, streams: int) -> Json:
    """Open streams one after the other, a frame pushed at once: CPU, and time until the frame is at the server."""
    sound = Sound()
    client = Client(url, 0, sound, "server_vad")
    began: dict[int, int] = {}
    client.add(streams)  # what is loaded by the first stream of a process
    await client.open()
    used = cpu_s()
    for number in range(streams):
        began[number] = time.monotonic_ns()
        one = client.add(number)
        one.push_audio(frames(sound)[0])
        await asyncio.wait_for(client.listeners[-1].connected.wait(), 20)
        await asyncio.sleep(0.005)
    used = cpu_s() - used
    told = await report(url)
    await client.close()
    first = [(told[str(number)]["first_audio_ns"] - at) / 1e6 for number, at in began.items()]
    result = {"cpu_s": used, "streams": streams, "first_byte_p50_ms": percentile(first, 0.5)}
    return {**result, "first_byte_worst_ms": max(first)}


async def opening_floor(url: str, streams: int) -> Json:
    """What the same number of bare connections costs."""
    one = Websockets(url, 1, Sound())
    await one.open()
    many = Websockets(url, streams, Sound())
    used = cpu_s()
    await many.open()
    used = cpu_s() - used
    await one.close()
    await many.close()
    return {"cpu_s": used, "streams": streams}


async def memory(url: str, case: str, streams: int) -> Json:
    """What a stream adds to the resident set beyond the audio it keeps."""
    sound = Sound(frame_ms=100)
    if case == "outage":
        with socket.socket() as holder:  # bound and not listening: nobody else gets the port
            holder.bind(("127.0.0.1", 0))
            return await _grown(f"ws://127.0.0.1:{holder.getsockname()[1]}", case, streams, sound)
    return await _grown(url, case, streams, sound)


async def _grown(url: str, case: str, streams: int, sound: Sound) -> Json:
    client = Client(url, 0, sound, "server_vad")
    audio = frames(sound)
    for number in range(5):  # what is loaded and grown by the first streams of a process
        client.add(1_000 + number)
    await asyncio.sleep(0.3)
    for number in range(600 if case == "outage" else 100):
        for stream in range(5):
            client.push(stream, number)
        await asyncio.sleep(0)
    gc.collect()
    before, ready = resident(), len(client.clients)
    for number in range(streams):
        client.add(number)
    while case != "outage" and not all(one.connected for one in client.clients):
        await asyncio.sleep(0.005)
    for number in range({"idle": 0, "talking": 200, "outage": 650}[case]):
        for stream in range(ready, ready + streams):
            client.clients[stream].push_audio(audio[number % len(audio)])
        await asyncio.sleep(0.002)
        while case == "talking" and client.behind():
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.3)
    gc.collect()
    grown = resident() - before
    kept = sum(one.session.stream.ledger.kept_bytes for one in client.clients[ready:])
    return {"kb_per_stream": (grown - kept) / streams / KB, "audio_kb_per_stream": kept / streams / KB}


class LoopWatch:
    """Times every call the event loop makes, in CPU time of the thread: others on the machine do not count.

    Calls to the bench's own task do not count either; what that calls in turn is timed with `call`. A collection of
    garbage falls on whoever allocates next, so what it took is known of each call, and of each generation.
    """

    def __init__(self) -> None:
        self.spent = array("d")  # numbers only: it must not give the garbage collector more to do
        self.wall = array("d")
        self.collected = array("d")
        "Of `spent`, what a garbage collection took."
        self.long: list[tuple[float, float, str]] = []
        "Calls of more than a millisecond: what they took, the collection in it, and who it was."
        self.worst_collection = [0.0, 0.0, 0.0]
        self._collecting = 0

    def install(self) -> None:
        """Begin. Only for a process that measures nothing else."""
        original, own = asyncio.Handle._run, asyncio.current_task()

        def run(handle: Any) -> None:
            callback = handle._callback
            if getattr(callback, "__self__", None) is own:
                original(handle)
            else:
                self.call(callback, original, handle)

        gc.callbacks.append(self._garbage)
        asyncio.Handle._run = run  # type: ignore[method-assign]

    def call(self, who: Any, work: Callable[..., T], *args: Any) -> T:
        """Do *work* and keep what it took."""
        gc_before, cpu, wall = self._collecting, time.thread_time_ns(), time.perf_counter_ns()
        result = work(*args)
        spent = (time.thread_time_ns() - cpu) / 1e6
        collected = (self._collecting - gc_before) / 1e6
        self.spent.append(spent)
        self.wall.append((time.perf_counter_ns() - wall) / 1e6)
        self.collected.append(collected)
        if spent > 1:
            self.long.append((round(spent, 2), round(collected, 2), _name(who)))
        return result

    def _garbage(self, phase: str, info: Json) -> None:
        now = time.thread_time_ns()
        if phase == "start":
            self._began = now
            return
        took, generation = now - self._began, info["generation"]
        self._collecting += took
        self.worst_collection[generation] = max(self.worst_collection[generation], took / 1e6)


def _name(callback: Any) -> str:
    task = getattr(callback, "__self__", None)
    coroutine = task.get_coro() if isinstance(task, asyncio.Task) else callback
    return str(getattr(coroutine, "__qualname__", coroutine))


class Watched(Client):
    """`Client` whose calls from the bench's own task are timed as the loop's are."""

    def __init__(self, watch: LoopWatch, *args: Any) -> None:
        super().__init__(*args)
        self._watch = watch

    def add(self, number: int) -> Any:
        """See `Client`."""
        return self._watch.call(super().add, super().add, number)

    def push(self, stream: int, number: int) -> None:
        """See `Client`."""
        self._watch.call(super().push, super().push, stream, number)


async def blocked(url: str, sound: Sound, streams: int, seconds: float, turns: str, frozen: bool = False) -> Json:
    """How long the calls to the loop take while clients open and talk; what the first one loads is told apart.

    With *frozen* the host keeps what was imported away from the garbage collector, as docs/operations.md advises.
    """
    watch = LoopWatch()
    client, first = Watched(watch, url, streams, sound, turns), Watched(watch, url, 0, sound, turns)
    from ten_packages.extension.openai_asr_python import openai_asr_client  # noqa: F401  (not a call to a loop)

    if frozen:
        gc.collect()
        gc.freeze()
    watch.install()
    await asyncio.sleep(0)  # what follows is timed
    first.add(streams)
    await first.open()
    for number in range(10):  # whole windows of the detector
        first.push(0, number)
    await asyncio.sleep(0.2)
    begin = len(watch.spent)
    await live(client, url, sound, streams, seconds, [], apart=True)
    spent, collected = list(watch.spent), list(watch.collected)
    ours = [whole - part for whole, part in zip(spent, collected, strict=True)]
    return {
        "p99_ms": percentile(spent[begin:], 0.99),
        "worst_ms": max(spent[begin:]),
        "worst_without_gc_ms": max(ours[begin:]),
        "first_worst_ms": max(spent[:begin]),
        "first_worst_without_gc_ms": max(ours[:begin]),
        "worst_wall_ms": max(watch.wall[begin:]),
        "worst_gc_ms": max(watch.worst_collection),
        "worst_gc_by_generation_ms": watch.worst_collection,
        "longest": sorted(watch.long, reverse=True)[:8],
        "calls": len(spent) - begin,
    }
