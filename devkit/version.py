"""The package's version."""

from __future__ import annotations

import json
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def version() -> str:
    """From manifest.json: it is there in a clone, a TEN app and a wheel alike."""
    manifest = json.loads((_ROOT / "manifest.json").read_text(encoding="utf-8"))
    return str(manifest["version"])
