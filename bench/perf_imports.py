"""What importing costs, for `make bench`: a file of its own, since it must load nothing before it measures."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def imports(what: str) -> dict[str, Any]:
    """CPU time of imports in a process that has none of them yet, the interpreter's own start left out.

    Byte code is there already: see `perf_run.with_byte_code`.
    """
    used = time.process_time()
    if what == "libraries":
        import numpy  # noqa: F401
        import pydantic.main  # noqa: F401
        import websockets.asyncio.client  # noqa: F401
    else:
        import chaos_load  # noqa: F401
        from ten_packages.extension.openai_asr_python import extension  # noqa: F401
    return {"cpu_s": time.process_time() - used, "compile_s": _compiling() if what == "extension" else 0.0}


def _compiling() -> float:
    """CPU time to compile those modules of ours that are loaded: what every start takes where no byte code is kept."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    ours = [Path(file) for file in files if file and ROOT in Path(file).parents and "site-packages" not in file]
    sources = [file.read_bytes() for file in ours]
    used = time.process_time()
    for source in sources:
        compile(source, "source", "exec", dont_inherit=True)
    return time.process_time() - used
