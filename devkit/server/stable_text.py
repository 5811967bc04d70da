"""Text that only grows, out of hypotheses that change their mind."""

from __future__ import annotations

from collections import deque


class StableText:
    """Turns hypotheses that change their mind into text that only grows.

    A word counts once several hypotheses in a row agree on everything up to it and another word follows it. What was
    said stays said, also if a later hypothesis has something else in its place: the final puts it right.
    """

    def __init__(self, agreement: int) -> None:
        """*agreement*: hypotheses in a row that must agree, at least 1."""
        self._recent: deque[list[str]] = deque(maxlen=agreement)
        self._said: list[str] = []

    def update(self, hypothesis: str) -> str | None:
        """Take the next hypothesis. Returns the stable text if it grew."""
        self._recent.append(hypothesis.split())
        if len(self._recent) < (self._recent.maxlen or 0):
            return None
        agreed = 0
        # The last word of each is still being heard, or the end is not the end.
        for column in zip(*(words[:-1] for words in self._recent), strict=False):
            if len(set(column)) > 1:
                break
            agreed += 1
        fresh = self._recent[-1][len(self._said) : agreed]
        if not fresh:
            return None
        self._said += fresh
        return " ".join(self._said)
