"""A key that is printed by a command of the operator's, asked before every connect."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process


async def key_from_command(command: str) -> str:
    """What *command* prints, run by the shell, without the space around it.

    Raises RuntimeError when it fails; whoever gives up waiting leaves no process behind.
    """
    process = await asyncio.create_subprocess_shell(
        command,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,  # so that what the shell has started can be ended with it
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            await _end(process)
    if process.returncode != 0:
        raise RuntimeError(f"exit status {process.returncode}")
    return output.decode().strip()


async def _end(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    await process.wait()
    # Its pipe is closed when the loop next reads it; a loop that ends with this call never does.
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
