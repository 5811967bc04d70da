"""Text that is shown as final before the server has finished it, because a finalize could not wait (S9)."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def rest_of(promoted: str, text: str) -> str | None:
    """What *text* has beyond the *promoted* beginning of it; None if it does not begin with that.

    Case and punctuation do not count, and the last promoted word may have been only a part of one: then that whole
    word is part of the rest, because half a word is not a word. Scripts without blanks are compared letter by letter.
    """
    said = [match.group().casefold() for match in _WORD.finditer(promoted)]
    words = list(_WORD.finditer(text))
    if len(said) > len(words):
        return None
    for index, word in enumerate(said):
        heard = words[index].group().casefold()
        if heard == word:
            continue
        if index < len(said) - 1 or not heard.startswith(word):
            return None
        spaced = len(said) > 1 or " " in text.strip()
        return (text[words[index].start() :] if spaced else text[words[index].start() + len(word) :]).strip()
    end = words[len(said) - 1].end() if said else 0
    rest = text[end:]
    return rest.strip() if _WORD.search(rest) else ""
