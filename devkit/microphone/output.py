"""Captions in a file that is complete and valid at every moment."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO

from ..transcription.failure import wrong_use
from ..transcription.formats import FORMATS
from ..transcription.transcript import Transcript

SUFFIXES = {".txt": "text", ".srt": "srt", ".vtt": "vtt", ".json": "json"}

LARGE = 64 * 1024
"Bytes. Each final rewrites the file: below this at once."
LARGE_EVERY_S = 1.0
"""Above it at most so often, and at the end, so that a day of captions does not cost the square of its length.
(Appending would be cheaper and could not do it: text that comes late belongs in the middle, and JSON has an end.)"""


class OutputFile:
    """One `--output`. Readers find either all of the old content or all of the new."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        """Nothing is written yet. Raises CommandError (wrong use) when that will not be possible."""
        self.name = path
        self.problem: str | None = None
        "Why it is not up to date, since the last attempt to write it."
        suffix = Path(path).suffix.lower()
        if suffix not in SUFFIXES:
            raise wrong_use(f"--output {path}: its name must end in one of {', '.join(SUFFIXES)}.")
        self._format = FORMATS[SUFFIXES[suffix]]
        # What a link points to is replaced, not the link.
        self.path = Path(path).resolve()
        self._size = 0
        self._due = False
        self._written_at = 0.0
        self._check(overwrite)

    def _check(self, overwrite: bool) -> None:
        if self.path.exists() and not self.path.is_file():
            raise wrong_use(f"--output {self.name}: that is no file that can be replaced; give another name.")
        if not overwrite and self.path.exists() and self.path.stat().st_size:
            raise wrong_use(f"--output {self.name}: the file exists; give another name, or --overwrite to replace it.")
        try:
            with self._beside() as file:
                Path(file.name).unlink()
        except OSError as error:
            raise wrong_use(f"--output {self.name} cannot be written: {error.strerror or error}.") from None

    def update(self, transcript: Transcript, now: float, *, last: bool = False) -> str | None:
        """*transcript* has something new. It is written as `tick` does, or at once if it is the *last*.

        Returns the problem when writing fails that did not fail before.
        """
        self._due = True
        return self.tick(transcript, now, last=last)

    def tick(self, transcript: Transcript, now: float, *, last: bool = False) -> str | None:
        """Write what is due, once its time has come. Returns as `update`."""
        patient = self._size > LARGE or self.problem is not None
        if not self._due or (patient and not last and now - self._written_at < LARGE_EVERY_S):
            return None
        self._written_at = now
        before, self.problem = self.problem, self._write(transcript, sync=last)
        self._due = self.problem is not None
        return self.problem if before is None else None

    def _write(self, transcript: Transcript, *, sync: bool) -> str | None:
        content = self._format(transcript).encode(errors="replace")
        self._size = len(content)
        try:
            with self._beside() as file:
                try:
                    file.write(content)
                    file.flush()
                    if sync:
                        os.fsync(file.fileno())
                    os.replace(file.name, self.path)
                except BaseException:
                    os.unlink(file.name)
                    raise
        except OSError as error:
            return f"{self.name} cannot be written: {error.strerror or error}."
        return None

    def _beside(self) -> BinaryIO:
        """A new file in the same folder, for those who may read the old one and nobody else.

        (`tempfile` would give a file that was not there before to its owner alone, where any tool goes by the umask.)
        """
        name = self.path.with_name(f".openai-asr-{secrets.token_hex(8)}")
        try:
            mode = stat.S_IMODE(self.path.stat().st_mode)
        except FileNotFoundError:
            return open(name, "xb")

        def as_before(path: str, flags: int) -> int:
            descriptor = os.open(path, flags, 0o600)
            os.fchmod(descriptor, mode)
            return descriptor

        return open(name, "xb", opener=as_before)
