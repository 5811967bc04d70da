"""How much memory one stream costs, whatever happens: prints the table of docs/memory.md.

    .venv/bin/python bench/memory.py                 all cases, ten replay windows of audio each
    .venv/bin/python bench/memory.py --case deaf --replay-window-ms 600000 --json

Each case runs a client in a process of its own, against a server in this one. What counts is by how much the process
grew (resident set, sampled all the time) after it was up and had taken its first second of audio.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import importlib.util
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RATE = 16_000
SECOND = 2 * RATE
FRAME = SECOND // 10
WINDOW_MS = 60_000
WINDOWS = 10
MB = 1_000_000
TRANSCRIPTION = "conversation.item.input_audio_transcription."
CASES = {
    "idle": "a live connection and silence",
    "talking": "a live connection and speech, a final every five seconds",
    "mute": "the server takes everything and never says a word",
    "deaf": "the server stops reading",
    "outage": "nobody is there",
    "torrent": "nobody is there, and all audio is pushed in one call",
    "hung": "a live connection and speech, and a listener that never returns",
}


# The server's process -------------------------------------------------------------------------------------------


async def serve_case(case: str, ready: threading.Event, place: list[str], stop: asyncio.Event) -> None:
    """A server that behaves as *case* says."""
    from websockets.asyncio.server import ServerConnection, serve

    async def talk(peer: ServerConnection) -> None:
        await peer.send(json.dumps({"type": "session.created", "session": {}}))
        update = json.loads(await peer.recv())
        await peer.send(json.dumps({"type": "session.updated", "session": update["session"]}))
        if case == "deaf":
            await stop.wait()
        number = 0
        async for frame in peer:
            if case != "mute" and b"input_audio_buffer.commit" in (
                frame if isinstance(frame, bytes) else frame.encode()
            ):
                number += 1
                item = {"item_id": f"item_{number}"}
                await peer.send(json.dumps({"type": "input_audio_buffer.committed", **item}))
                for word in ("so ", "it ", "goes "):
                    await peer.send(json.dumps({"type": TRANSCRIPTION + "delta", "delta": word, **item}))
                await peer.send(json.dumps({"type": TRANSCRIPTION + "completed", "transcript": "So it goes.", **item}))

    silent = logging.Logger("bench", level=logging.CRITICAL + 1)
    async with serve(talk, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=0.1, logger=silent) as s:
        place.append(f"ws://127.0.0.1:{s.sockets[0].getsockname()[1]}/v1")
        ready.set()
        await stop.wait()


@contextlib.contextmanager
def server(case: str) -> Iterator[str]:
    """The address of a server for *case*: of nobody at all, where that is the case."""
    if case in ("outage", "torrent"):
        with socket.socket() as holder:  # bound and not listening: nobody else gets the port
            holder.bind(("127.0.0.1", 0))
            yield f"ws://127.0.0.1:{holder.getsockname()[1]}/v1"
        return
    ready, place, loop, stop = threading.Event(), [], asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve_case(case, ready, place, stop)))
    thread.start()
    try:
        assert ready.wait(20), "the server did not come up"
        yield place[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)
        loop.close()


def measure(case: str, window_ms: int, seconds: int, *, trace: bool = False) -> dict[str, Any]:
    """Run *case* in a process of its own; returns what it measured."""
    with server(case) as url:
        command = [sys.executable, __file__, "--child", url, "--case", case, "--replay-window-ms", str(window_ms)]
        command += ["--seconds", str(seconds), *(["--trace"] if trace else [])]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if done.returncode:
        raise RuntimeError(f"case {case} failed:\n{done.stderr}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# The client's process -------------------------------------------------------------------------------------------


def resident() -> int:
    """Bytes of this process in memory."""
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    import resource  # elsewhere only the peak is to be had, which is what is wanted

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def highest() -> int:
    """The most bytes this process ever had in memory; 0 where that is not to be had."""
    with contextlib.suppress(OSError):
        found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
        return int(found[1]) * 1024 if found else 0
    return 0


def load() -> None:
    """Make the extension importable."""
    spec = importlib.util.spec_from_file_location("loader", ROOT / "devkit" / "host" / "loader.py")
    assert spec is not None and spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
    loader.load_extension()


async def run_client(case: str, url: str, window_ms: int, seconds: int, trace: bool) -> dict[str, Any]:
    """Push *seconds* of audio into a client as fast as it takes them; returns the growth in bytes."""
    import numpy as np
    from ten_packages.extension.openai_asr_python import openai_asr_client as client_module
    from ten_packages.extension.openai_asr_python.realtime.options import SessionOptions, TranscriptionOptions

    class Hung(client_module.OpenAIASRListener):
        def on_other_event(self, event: Any) -> Any:
            return asyncio.Event().wait() if type(event).__name__ == "Connected" else None

    options = SessionOptions(replay_window_ms=window_ms, transcription=TranscriptionOptions(model="gpt-4o-transcribe"))
    detection = "none" if case in ("talking", "hung", "mute") else "server_vad"
    options = options.replace(turn_detection=type(options.turn_detection)(type=detection))
    listener = Hung() if case == "hung" else client_module.OpenAIASRListener()
    client = client_module.OpenAIASRClient(options, client_module.Endpoint(url, api_key="sk-none"), listener)
    noise = np.random.default_rng(1).normal(0, 3000, RATE).astype("<i2").tobytes()
    second = bytes(SECOND) if case == "idle" else noise
    whole = second * seconds if case == "torrent" else b""

    client.start()
    for _ in range(200):
        await asyncio.sleep(0.01)
        if client.connected or case in ("outage", "torrent"):
            break
    client.push_audio(second)
    await asyncio.sleep(0.05)
    gc.collect()
    if trace:
        tracemalloc.start()
    base = peak = resident()
    highest_before = highest()
    kept = 0
    async for _ in pushed(client, second, whole, seconds, asks=detection == "none"):
        peak = max(peak, resident())
        kept = max(kept, client.session.stream.ledger.kept_bytes)
    if highest() > highest_before:  # what came and went inside one call
        peak = max(peak, highest())
    objects = tracemalloc.get_traced_memory()[1] if trace else 0
    lost = client.session.stream.lag_ms
    os.write(1, (json.dumps({"growth": peak - base, "objects": objects, "kept": kept, "lag_ms": lost}) + "\n").encode())
    os._exit(0)  # a listener that never returns keeps a stop from ending


async def pushed(client: Any, second: bytes, whole: bytes, seconds: int, *, asks: bool) -> AsyncIterator[None]:
    """Push all the audio in frames of 100 ms, or *whole* at once; yields now and then."""
    if whole:
        client.push_audio(whole)
        yield
        return
    for number in range(seconds):
        for begin in range(0, SECOND, FRAME):
            client.push_audio(second[begin : begin + FRAME])
            await asyncio.sleep(0)
        yield
        if asks and number % 5 == 4:
            client.finalize()
            await asyncio.sleep(0.005)


def main() -> None:
    """Print the table, or one case as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES)
    parser.add_argument("--replay-window-ms", type=int, default=WINDOW_MS)
    parser.add_argument("--seconds", type=int, default=WINDOWS * WINDOW_MS // 1000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--trace", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        load()
        asyncio.run(run_client(asked.case, asked.child, asked.replay_window_ms, asked.seconds, asked.trace))
    if asked.json:
        print(json.dumps(measure(asked.case, asked.replay_window_ms, asked.seconds)))
        return
    print("| case | what happens | audio kept, MB | Python objects, MB | process grew by, MB |")
    print("| --- | --- | --- | --- | --- |")
    for case in [asked.case] if asked.case else CASES:
        one = measure(case, asked.replay_window_ms, asked.seconds)
        traced = measure(case, asked.replay_window_ms, asked.seconds, trace=True)
        numbers = " | ".join(f"{n / MB:.1f}" for n in (one["kept"], traced["objects"], one["growth"]))
        print(f"| {case} | {CASES[case]} | {numbers} |", flush=True)


if __name__ == "__main__":
    main()
