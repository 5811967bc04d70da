"""Records the raw input audio to a file, for finding out what a caller's audio really was.

`AudioDump.write` never waits for a disk: it appends to a bounded queue that one thread empties. Whatever goes wrong
(a path that cannot be written, a full disk, one that is too slow, the size limit) ends the recording with one
report and leaves the call alone. What the file holds is always the exact beginning of what was written: there may be
an end missing, never a hole.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from pathlib import Path

MAX_QUEUED = 16 * 1024 * 1024
"Bytes that may wait for the disk."

# The writer wakes up this often, or earlier when this much is waiting: not for every frame of 20 ms.
_INTERVAL = 0.25
_BATCH = 64 * 1024

_SUFFIXES = (".pcm", ".wav")
# (format tag, bits a sample) of WAVE: mmreg.h's PCM, MULAW, ALAW.
_WAVE_FORMATS = {"pcm16": (1, 16), "g711_ulaw": (7, 8), "g711_alaw": (6, 8)}
_UNKNOWN_SIZE = 0xFFFFFFFF
# O_EXCL: two calls that start in the same second, or two processes, never share a file.
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class AudioDump:
    """One recording. Call `open`, then `write` for each frame, then `close`; these never raise.

    *path* is a file if it ends in `.pcm` or `.wav`, else a directory (made if need be) in which a `.pcm` file with
    the time in its name is created. An existing file is never overwritten: `name.wav` becomes `name-1.wav` and so
    on; `file` says which. Only the owner may read it (mode 0600). A `.pcm` file is the input byte for byte; a `.wav`
    file has a header before that.
    """

    def __init__(
        self,
        path: str,
        max_mb: int,
        *,
        rate: int,
        channels: int,
        encoding: str,
        on_problem: Callable[[str], None],
        on_info: Callable[[str], None] | None = None,
    ) -> None:
        """Touches nothing yet. *max_mb* (of 2**20 bytes) bounds the file; rate, channels and encoding (`pcm16`,
        `g711_ulaw`, `g711_alaw`) go into the WAV header.

        *on_problem* gets at most one sentence, *on_info* where the recording goes; both are called on the thread
        that calls `open`, `write` or `close`.
        """
        self.file: Path | None = None
        "The file that was created."
        self._wanted = path
        self._accepted = 0
        self._max_mb = max_mb
        self._limit = max_mb * 1024 * 1024
        self.set_format(rate, channels, encoding)
        self._on_problem = on_problem
        self._on_info = on_info
        self._thread: threading.Thread | None = None
        self._reported = False
        # Shared with the writer, under the lock.
        self._changed = threading.Condition()
        self._queue = bytearray()  # and no list: of tiny frames each would cost many times its length
        self._queued = 0
        self._ended = True
        self._problem: str | None = None

    @property
    def active(self) -> bool:
        """Whether what is written now will be in the file."""
        return not self._ended

    def open(self) -> bool:
        """Create the file and start the writer; False, and a report, if that is impossible."""
        try:
            descriptor, self.file = _create(Path(os.path.expanduser(self._wanted)))
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            self._problem = f"the input is not recorded: no file can be made at {self._wanted!r} ({error})"
            self._report()
            return False
        arguments = (descriptor, self.file.suffix.lower() == ".wav")
        self._thread = threading.Thread(target=self._write_all, args=arguments, name="audio-dump", daemon=True)
        self._ended = False
        self._thread.start()
        if self._on_info is not None:
            self._on_info(f"the input is recorded to {self.file}")
        return True

    def set_format(self, rate: int, channels: int, encoding: str) -> None:
        """Say what the frames really hold, before the first of them is written; later it has no effect.

        A WAV file has one header. Raises ValueError for an unknown encoding.
        """
        if encoding not in _WAVE_FORMATS:
            raise ValueError(f"encoding: {encoding!r} given, must be one of {', '.join(_WAVE_FORMATS)}")
        if self._accepted == 0:
            self._format = (rate, channels, encoding)

    def write(self, data: bytes | memoryview) -> None:
        """Queue *data*. Takes microseconds; does nothing before `open`, after `close` or after a problem."""
        if not self._ended:
            with self._changed:
                self._enqueue(data)
        if self._problem is not None:
            self._report()

    def close(self, timeout: float = 0.5) -> None:
        """Write out what is queued and complete the header; waits at most *timeout* seconds for that."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout)
            if self._thread.is_alive() and self._problem is None:
                self._problem = f"the recording {self.file} may lack its end: the disk is slow"
            self._thread = None
        if self._problem is not None:
            self._report()

    def _enqueue(self, data: bytes | memoryview) -> None:
        """The lock is held."""
        if self._ended:  # by the writer, since `write` looked
            return
        if self._accepted + len(data) > self._limit:
            self._end(self._accepted, f"the next frame would exceed dump_max_mb = {self._max_mb}")
        elif self._queued + len(data) > MAX_QUEUED:
            self._end(self._accepted, "the disk does not keep up")
        else:
            self._queue += data
            self._queued += len(data)
            self._accepted += len(data)
            if self._queued >= _BATCH:
                self._changed.notify()

    def _end(self, size: int, reason: str) -> None:
        """Take no more; the file will hold *size* bytes of audio, for *reason*. The lock is held."""
        self._ended = True
        if self._problem is None:
            self._problem = f"the recording {self.file} ends after {size} bytes: {reason}"
        self._changed.notify()

    def _report(self) -> None:
        with self._changed:
            problem = None if self._reported else self._problem
            self._reported = self._reported or problem is not None
        if problem is not None:
            self._on_problem(problem)

    def _write_all(self, descriptor: int, wav: bool) -> None:
        """The writer thread: empty the queue until the recording has ended."""
        header = 0
        with os.fdopen(descriptor, "wb", buffering=0) as file:
            try:
                batch, last = self._take()
                while wav and not batch and not last:
                    batch, last = self._take()
                if wav:
                    header = _write(file, _wave_header(*self._format, None))
                self._write_batch(file, batch)
                while not last:
                    batch, last = self._take()
                    self._write_batch(file, batch)
            except OSError as error:
                with self._changed:
                    self._queue.clear()
                    self._end(max(0, file.tell() - header), f"writing failed ({error})")
            if header:
                # What is there stays readable without this: the first header says "as long as the file is".
                with suppress(OSError):
                    size = file.tell() - header
                    # Chunks have even lengths; the byte that fills one up is not part of its data.
                    _write(file, bytes(size % 2))
                    file.seek(0)
                    _write(file, _wave_header(*self._format, size))

    def _take(self) -> tuple[bytearray, bool]:
        """Wait for work; returns what was queued, and whether nothing will follow."""
        with self._changed:
            if not self._ended and self._queued < _BATCH:
                self._changed.wait(_INTERVAL)
            queue, self._queue = self._queue, bytearray()
            return queue, self._ended

    def _write_batch(self, file: FileIO, batch: bytearray) -> None:
        _write(file, batch)
        with self._changed:
            self._queued -= len(batch)


def _create(path: Path) -> tuple[int, Path]:
    """A new file at or beside *path*, opened for writing. Raises OSError."""
    if path.suffix.lower() not in _SUFFIXES or path.is_dir():
        path = path / time.strftime("openai_asr_in_%Y%m%d-%H%M%S.pcm")
    path.parent.mkdir(parents=True, exist_ok=True)
    for number in range(10_000):
        name = path.with_name(f"{path.stem}-{number}{path.suffix}") if number else path
        try:
            return os.open(name, _NEW_FILE, 0o600), name
        except FileExistsError:
            continue
    raise FileExistsError(f"{path} and 9999 numbered ones exist")


def _write(file: FileIO, data: bytes | bytearray) -> int:
    """Write all of *data* (the system may take less at a time); returns its length."""
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]
    return len(data)


def _wave_header(rate: int, channels: int, encoding: str, size: int | None) -> bytes:
    """RIFF/WAVE header for *size* bytes of data; None: as long as the file is, which readers of streams accept."""
    tag, bits = _WAVE_FORMATS[encoding]
    frame = channels * bits // 8
    layout = struct.pack("<HHIIHH", tag, channels, rate, rate * frame, frame, bits)
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout
    if tag != 1:
        samples = _UNKNOWN_SIZE if size is None else size // frame
        chunks = b"fmt " + struct.pack("<I", len(layout) + 2) + layout + bytes(2)
        chunks += b"fact" + struct.pack("<II", 4, samples)
    known = size is not None and size + size % 2 + len(chunks) + 12 <= _UNKNOWN_SIZE
    total = size + size % 2 + len(chunks) + 12 if known and size is not None else _UNKNOWN_SIZE
    data = size if known and size is not None else _UNKNOWN_SIZE
    return b"RIFF" + struct.pack("<I", total) + b"WAVE" + chunks + b"data" + struct.pack("<I", data)
