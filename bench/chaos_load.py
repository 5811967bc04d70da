"""Makes the extension, its devkit and TEN's names importable from a clone; import it before any of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

_spec = importlib.util.spec_from_file_location("chaos_loader", ROOT / "devkit" / "host" / "loader.py")
assert _spec is not None and _spec.loader is not None
_loader = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_loader)
_loader.load_extension(ROOT)
