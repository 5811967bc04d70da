"""Ids and padding text, the same for the same seed."""

from __future__ import annotations

import random
import string

_ALPHABET = string.ascii_letters + string.digits


class Identifiers:
    """Source of every made-up string of one session."""

    def __init__(self, seed: int | str) -> None:
        """*seed*: two sessions with the same one say the same."""
        self._random = random.Random(seed)

    def new(self, prefix: str) -> str:
        """A fresh id like `item_` and 21 letters and digits."""
        return f"{prefix}_{self._text(21)}"

    def padding(self) -> str:
        """Text of no meaning, as the live service sends beside each delta to hide its length."""
        return self._text(self._random.randint(4, 16))

    def _text(self, length: int) -> str:
        return "".join(self._random.choices(_ALPHABET, k=length))
