"""What `make demo` shows: a recording going through everything a call goes through, with the words as they come."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEVKIT = Path(__file__).resolve().parent.parent
SAMPLE = DEVKIT / "samples" / "weather.flac"


def show(*arguments: str) -> int:
    """Print a command as the user would type it, run it, return its exit code."""
    print(f"\n$ {_typed(arguments)}\n", flush=True)
    return subprocess.run([sys.executable, str(DEVKIT), *arguments], check=False).returncode


def _typed(arguments: tuple[str, ...]) -> str:
    program = Path(sys.executable).with_name("openai-asr")
    command = [_short(program) if program.exists() else f"python {_short(DEVKIT)}", *arguments]
    return " ".join(command)


def _short(path: Path) -> str:
    """*path* from where the user stands, if that is shorter."""
    return min(str(path), os.path.relpath(path), key=len)


def main() -> int:
    """Run the demo; returns the exit code of what failed, 0 if nothing did."""
    sample = _short(SAMPLE)
    print(
        "A recording goes through a TEN graph (source, extension, sink) on an embedded host, over a real WebSocket,\n"
        "into an offline recogniser on this machine. First at the speed of speech, with what is heard meanwhile:"
    )
    live = ("--local", "--model", "gpt-live-transcribe", "--speed", "1", "--partials")
    code = show("transcribe", sample, *live)
    if code == 0:
        print("\nThe same as subtitles, as fast as it will go:")
        code = show("transcribe", sample, "--local", "--quiet", "--format", "srt")
    if code != 0:
        return code
    print("\nTry next:")
    print(f"  {_typed(('playground',))}    (live captions in a browser)")
    own, key = "your-recording.wav", "OPENAI_API_KEY=..."
    print(f"  {_typed(('transcribe', own))}")
    print(f"  {key} {_typed(('transcribe', own, '--format', 'json'))}    (sends it to OpenAI)")
    print(f"  {_typed(('serve',))}    (a Realtime server for your own client or TEN app)")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
