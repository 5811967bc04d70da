"""Standard output of a command, which may be a file on a full disk, or know few characters."""

from __future__ import annotations

import codecs
import errno
import io
import json
import os
import sys

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_ESCAPING = "openai_asr_escape"


def escape_what_stdout_lacks() -> None:
    """Let characters that its encoding cannot hold be written as JSON writes them: it stays JSON where it is some."""
    codecs.register_error(_ESCAPING, _escaped)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors=_ESCAPING)


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


def give_stdout_up() -> None:
    """Write nothing more to it: Python would complain once more when it closes it, of what is in its buffer."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
