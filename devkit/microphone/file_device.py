"""A recording in place of a microphone: the same blocks at the same pace."""

from __future__ import annotations

import threading
import time

from ..transcription.audio_input import AudioInput
from ..transcription.failure import CommandError
from .device import BLOCK_MS, Deliver


class FileDevice:
    """Plays a recording once, at the speed of speech."""

    overflows = 0

    def __init__(self, audio: AudioInput) -> None:
        self._audio = audio
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._over = False
        self._trouble: str | None = None

    @property
    def name(self) -> str:
        """See `Device`."""
        return self._audio.name

    @property
    def sample_rate(self) -> int:
        """See `Device`."""
        return self._audio.sample_rate

    @property
    def channels(self) -> int:
        """See `Device`."""
        return self._audio.channels

    @property
    def over(self) -> bool:
        """See `Device`."""
        return self._over

    def start(self, deliver: Deliver) -> None:
        """See `Device`."""
        self._thread = threading.Thread(target=self._play, args=(deliver,), name="file-as-mic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """See `Device`."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def trouble(self, now: float) -> str | None:
        """See `Device`."""
        return self._trouble

    def _play(self, deliver: Deliver) -> None:
        began = time.monotonic()
        try:
            for number, block in enumerate(self._audio.blocks(BLOCK_MS), 1):
                # A block is there when its last sample has been spoken.
                if self._stop.wait(max(0.0, began + number * BLOCK_MS / 1000 - time.monotonic())):
                    return
                deliver(block)
            self._over = True
        except CommandError as error:
            self._trouble = f"{self.name}: {str(error).rstrip('.')}."
        except Exception as error:  # whatever it is, the command waits for an end
            self._trouble = f"{self.name}: reading it failed: {type(error).__name__}: {error}."
