"""Language tags: what the wire wants, what a result says. Deliberately small; no registry of all languages.

Tags are BCP 47 (`zh-Hant-TW`, `en-US`); the wire takes and returns primary subtags (`zh`, `en`).
"""

from __future__ import annotations

import re

UNDETERMINED = "und"
"BCP 47 for a language nobody knows."

_TAG = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*\Z")

# ISO 639 codes for "undetermined", "several", "none of the coded ones" and "no speech".
_NOT_A_LANGUAGE = frozenset({"und", "mul", "mis", "zxx"})
# Other codes for the same language that recognisers or users may write.
_SAME = {"cmn": "zh", "iw": "he", "in": "id"}

USUAL_REGION = {
    "ar": "SA", "bg": "BG", "bn": "BD", "ca": "ES", "cs": "CZ", "da": "DK", "de": "DE", "el": "GR",
    "en": "US", "es": "ES", "et": "EE", "fa": "IR", "fi": "FI", "fil": "PH", "fr": "FR", "he": "IL",
    "hi": "IN", "hr": "HR", "hu": "HU", "id": "ID", "it": "IT", "ja": "JP", "ko": "KR", "lt": "LT",
    "lv": "LV", "ms": "MY", "nb": "NO", "nl": "NL", "no": "NO", "pl": "PL", "pt": "BR", "ro": "RO",
    "ru": "RU", "sk": "SK", "sl": "SI", "sr": "RS", "sv": "SE", "ta": "IN", "te": "IN", "th": "TH",
    "tl": "PH", "tr": "TR", "uk": "UA", "ur": "PK", "vi": "VN", "yue": "HK", "zh": "CN",
}  # fmt: skip
"The region a bare code gets, ISO 3166-1: where most speakers are, or what speech services name first."


def is_language_tag(text: str) -> bool:
    """Whether *text* has the shape of a language tag; it need not be a registered one."""
    return _TAG.match(text) is not None


def primary_subtag(tag: str) -> str:
    """The language alone, lower case, without script and region: `en-US` gives `en`."""
    return re.split("[-_]", tag.strip(), maxsplit=1)[0].lower()


def _language(tag: str) -> str:
    """The primary subtag, with one spelling for languages that have two."""
    code = primary_subtag(tag)
    return _SAME.get(code, code)


def _part(subtag: str) -> str:
    """A subtag behind the first in its usual case: `Hant`, `TW`, `419`, `valencia`."""
    if len(subtag) == 4 and subtag.isalpha():
        return subtag.title()
    return subtag.upper() if len(subtag) <= 3 else subtag.lower()


def _tidy(tag: str) -> str:
    """*tag* with hyphens and the usual case, and the usual region if it names nothing but a language."""
    rest = re.split("[-_]", tag.strip())[1:]
    language = _language(tag)
    if not rest and language in USUAL_REGION:
        return f"{language}-{USUAL_REGION[language]}"
    return "-".join([language, *map(_part, rest)])


def _usable(tag: str | None) -> str | None:
    tag = (tag or "").strip()
    return tag if is_language_tag(tag) and primary_subtag(tag) not in _NOT_A_LANGUAGE else None


def result_language(configured: str | None, detected: str | None) -> str:
    """The tag a result carries.

    *detected* (what the server heard) wins if it is another language than *configured*; otherwise the
    configured tag stays, since it knows its region. Bare codes get their usual region (`en` gives `en-US`).
    Neither known: `und`. Anything that is no language tag counts as not known.
    """
    wanted, heard = _usable(configured), _usable(detected)
    if heard is not None and (wanted is None or _language(heard) != _language(wanted)):
        return _tidy(heard)
    return _tidy(wanted) if wanted is not None else UNDETERMINED
