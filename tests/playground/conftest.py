"""What the tests of the playground share."""

from __future__ import annotations

from playground_pages import certificate, running, weather  # noqa: F401  (fixtures)
