"""Fetches a Whisper model from the hub: prints its folder, or fails with the reason in one line.

    python whisper_fetch.py NAME SECONDS

Run by path, in its own process, because a download cannot be stopped from another thread, and may take minutes. SECONDS
is how long the hub may be silent. Hence no relative imports here.
"""

from __future__ import annotations

import socket
import sys
from typing import Any


def main(name: str, seconds: float) -> int:
    """Do it; returns the exit code."""
    try:
        from faster_whisper.utils import download_model
        from huggingface_hub import constants, get_session

        _limit_silence(seconds)
        # Whether there is a hub at all is told in plainer words by this than by what follows.
        get_session().head(constants.ENDPOINT, timeout=seconds)
        print(download_model(name))
        return 0
    except Exception as error:  # the hub's client and its HTTP library have no error in common
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        print(text.removeprefix("Got: ").rstrip(".") or type(error).__name__)
        return 1


def _limit_silence(seconds: float) -> None:
    """Let no socket of this process wait for ever: the hub's client asks some of its questions without a limit."""
    limit = socket.socket.settimeout

    def settimeout(self: Any, value: float | None) -> None:
        limit(self, seconds if value is None else value)

    socket.socket.settimeout = settimeout  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
