"""A playground as a user starts it, in a process of its own, and a page of it without a browser."""

from __future__ import annotations

import contextlib
import difflib
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import soundfile
import websockets
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "devkit" / "samples"
Json = dict[str, Any]

CAN_CUT = int(websockets.__version__.partition(".")[0]) >= 15
needs_cuts = pytest.mark.skipif(not CAN_CUT, reason="a cut needs websockets 15 or later, which goes through a proxy")


@dataclass
class Running:
    """A playground that runs. `url` is what it printed."""

    process: subprocess.Popen[str]
    url: str
    errors: list[str] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return self.url.partition("?")[0].rstrip("/")

    @property
    def live(self) -> str:
        return self.origin.replace("http", "ws", 1) + "/live"

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def sockets(self) -> int:
        count = 0
        for name in os.listdir(f"/proc/{self.process.pid}/fd"):
            with contextlib.suppress(OSError):
                count += os.readlink(f"/proc/{self.process.pid}/fd/{name}").startswith("socket:")
        return count

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextlib.contextmanager
def playground(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Running]:
    """`openai-asr playground` with *arguments* on a free port, until the end of the context."""
    outside = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "devkit"), "playground", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**outside, **(env or {})},
    )
    assert process.stdout is not None and process.stderr is not None
    errors: list[str] = []
    stderr = process.stderr
    reader = threading.Thread(target=lambda: errors.extend(stderr), daemon=True)
    reader.start()
    try:
        url = process.stdout.readline().strip()
        assert url, "".join(errors)
        yield Running(process, url, errors)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(30)
        reader.join(10)
        sys.stderr.writelines(errors)  # shown beside a failure
        process.stdout.close()
        stderr.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with playground("--local") as one:
        yield one


class FakePage:
    """What the page's script does, without a browser. Messages of the playground are kept in `heard`."""

    def __init__(self, live: str, **options: Any) -> None:
        origin = live.replace("ws", "http", 1).removesuffix("/live")
        self._stack = contextlib.ExitStack()
        self.socket: ClientConnection = self._stack.enter_context(
            connect(live, **{"origin": origin, "open_timeout": 20, **options})
        )
        self.heard: list[Json] = []
        self._new: queue.SimpleQueue[Json | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            for text in self.socket:
                self._new.put(json.loads(text))
        self._new.put(None)

    def __enter__(self) -> FakePage:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._reader.join(10)

    def say(self, kind: str, **more: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **more}))

    def audio(self, pcm: bytes) -> None:
        self.socket.send(pcm)

    def until(self, wanted: Callable[[Json], bool], timeout_s: float = 30.0) -> Json:
        """The first message heard from now on that is *wanted*."""
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._new.get(timeout=max(0.01, deadline - time.monotonic()))
            assert message is not None, f"the playground closed: {self.close_code} {self.heard[-3:]}"
            self.heard.append(message)
            if wanted(message):
                return message

    def until_type(self, kind: str, timeout_s: float = 30.0) -> Json:
        return self.until(lambda message: message["type"] == kind, timeout_s)

    def until_closed(self, timeout_s: float = 30.0) -> int | None:
        deadline = time.monotonic() + timeout_s
        while (message := self._new.get(timeout=max(0.01, deadline - time.monotonic()))) is not None:
            self.heard.append(message)
        return self.close_code

    @property
    def close_code(self) -> int | None:
        return self.socket.protocol.close_code  # the connection has it itself from websockets 15 on

    @property
    def finals(self) -> list[Json]:
        results = [m["payload"] for m in self.heard if m["type"] == "message" and m["name"] == "asr_result"]
        finals = [result for result in results if result["final"] and result["text"]]
        return sorted(finals, key=lambda final: final["start_ms"])  # one that was waited for in vain comes late

    @property
    def words(self) -> list[str]:
        return " ".join(final["text"] for final in self.finals).split()


@dataclass(frozen=True)
class Sample:
    """A recording of the project and what is said in it."""

    pcm: bytes
    rate: int
    words: list[str]
    path: Path

    def blocks(self, milliseconds: int = 20) -> Iterator[bytes]:
        size = self.rate * milliseconds // 1000 * 2
        for begin in range(0, len(self.pcm), size):
            yield self.pcm[begin : begin + size]


def share(heard: list[str], said: list[str]) -> float:
    """How much of what was said was heard, in order, each word once."""
    matcher = difflib.SequenceMatcher(None, said, heard, autojunk=False)
    return sum(block.size for block in matcher.get_matching_blocks()) / len(said)


@pytest.fixture(scope="session")
def weather() -> Sample:
    path = SAMPLES / "weather.flac"
    samples, rate = soundfile.read(path, dtype="int16")
    text = (SAMPLES / "weather.txt").read_text(encoding="utf-8")
    words = [word.strip(".,").lower() for word in text.split()]
    return Sample(samples.astype("<i2").tobytes(), rate, words, path)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    if shutil.which("openssl") is None:
        message = "openssl is not installed (apt-get install openssl): NOT TESTED over TLS"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run([*command.split(), "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=60)
    return cert, key
