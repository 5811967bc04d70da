"""What importing costs, for `make bench`: a file of its own, since it must load nothing before it measures."""

from __future__ import annotations

import time
from typing import Any


def imports(what: str) -> dict[str, Any]:
    """CPU time of imports in a process that has none of them yet, the interpreter's own start left out."""
    used = time.process_time()
    if what == "libraries":
        import numpy  # noqa: F401
        import pydantic.main  # noqa: F401
        import websockets.asyncio.client  # noqa: F401
    else:
        import chaos_load  # noqa: F401
        from ten_packages.extension.openai_asr_python import extension  # noqa: F401
    return {"cpu_s": time.process_time() - used}
