"""The defects are looked for from outside, like everything about the extension."""

from __future__ import annotations

from recorded_server import clean_environment, fast_clock, serve  # noqa: F401  (fixtures)
