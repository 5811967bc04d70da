"""Masking as ten_ai_base 0.7.41 does it."""

from .._shared.masking import ends as encrypt

__all__ = ["encrypt"]
