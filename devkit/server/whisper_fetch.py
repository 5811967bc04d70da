"""Fetches a Whisper model from the hub: prints its folder, or fails with the reason in one line.

    python whisper_fetch.py NAME SECONDS

Run by path, in its own process, because a download cannot be stopped from another thread, and may take minutes. SECONDS
is what the hub has for its first answer. Hence no relative imports here.
"""

from __future__ import annotations

import sys


def main(name: str, seconds: float) -> int:
    """Do it; returns the exit code."""
    try:
        from faster_whisper.utils import download_model
        from huggingface_hub import constants, get_session

        # The hub's client waits for its first answer without a limit; whether there is a hub can be found out with one.
        get_session().head(constants.ENDPOINT, timeout=seconds)
        print(download_model(name))
        return 0
    except Exception as error:  # the hub's client and its HTTP library have no error in common
        text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        print(text.removeprefix("Got: ").rstrip(".") or type(error).__name__)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], float(sys.argv[2])))
