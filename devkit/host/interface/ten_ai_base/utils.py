"""Masking as ten_ai_base 0.7.41 does it."""

from __future__ import annotations


def encrypt(key: str) -> str:
    """Return the two ends of *key*, at most five characters each; anything under five characters comes back whole."""
    shown = min(len(key) // 5, 5)
    return f"{key[:shown]}...{key[-shown:]}" if shown else key
