"""What can be wrong with a configuration: pydantic's findings in the operator's words, and bad combinations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo

from .config_sections import Section, expected, reveal
from .config_spelling import Spelling, shown
from .realtime.dialects.choice import DialectChoice
from .realtime.endpoint import display_url, headers, needs_key
from .realtime.errors import ConfigurationError, Problem, show_value
from .realtime.language import is_language_tag
from .realtime.models import resolve_turn_detection, session_object

if TYPE_CHECKING:
    from .config import OpenAIASRConfig

_PROXY_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_PROXY_REMEDY = "use an http or socks URL such as http://proxy.example:3128 (in a password, / ? # are %2F %3F %23)"
_TAG_REMEDY = "use a language code such as en or en-US"
_STRANGE_TAG = re.compile(r"[A-Za-z]{4,8}(?:[-_][A-Za-z0-9]{1,8})+\Z")
_CREDENTIAL_HEADERS = frozenset({"authorization", "api-key", "x-api-key"})


def problems_of(error: ValidationError, model: type[Section], spelling: Spelling) -> Iterator[Problem]:
    """Pydantic's findings as problems at the places the operator wrote; one for each place."""
    seen: set[tuple[str | int, ...]] = set()
    for finding in error.errors():
        path, info = _field_at(model, finding["loc"])
        # Behind the field: an index into an array, or the name of a header.
        inside = finding["loc"][len(path) : len(path) + 1]
        if (*path, *inside) in seen:
            continue
        seen.add((*path, *inside))
        place, value, remedy = spelling.place(path), spelling.get(path), f"use {expected(info)}"
        for step in inside:
            place += f"[{step}]" if isinstance(step, int) else f".{step}"
            value = value[step]
            remedy = "use a string"
        yield Problem(place, shown(path, value), remedy)


def _field_at(model: type[Section], location: tuple[str | int, ...]) -> tuple[tuple[str, ...], FieldInfo]:
    """The field a pydantic location points at or into, and its path. Spelling lets no unknown field get there."""
    name = str(location[0])
    info = model.model_fields[name]
    section = info.annotation
    if len(location) > 1 and isinstance(section, type) and issubclass(section, Section):
        path, info = _field_at(section, location[1:])
        return (name, *path), info
    return (name,), info


def check(config: OpenAIASRConfig, spelling: Spelling) -> list[Problem]:
    """Everything wrong with *config* that no single field shows."""
    return [
        *_check_numbers(config, spelling),
        *_check_switches(config, spelling),
        *_check_words(config, spelling),
        *_check_connection(config, spelling),
        *check_session(config, spelling),
    ]


def _check_numbers(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[Problem]:
    window = config.replay_window_ms
    if 0 < window < 2_000:
        yield Problem(
            spelling.place(("replay_window_ms",)), str(window), "use at least 2000, or 0 to switch replay off"
        )
    elif 0 < window < 2 * config.max_turn_ms:
        yield Problem(
            spelling.place(("max_turn_ms",)),
            str(config.max_turn_ms),
            f"use at most {window // 2}, half of replay_window_ms ({window}), or a larger window",
        )


def _check_switches(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[Problem]:
    """The older `enabled: true` beside a `type` that says off."""
    sections = (("turn_detection", "none"), ("input_audio_noise_reduction", "off"))
    for key, off in sections:
        section = getattr(config, key)
        if section.enabled and "type" in section.model_fields_set and section.type == off:
            yield Problem(
                spelling.place((key, "enabled")),
                "true",
                f'{spelling.place((key, "type"))} is "{off}"; keep one of the two',
            )


def _check_words(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[Problem]:
    transcription = config.input_audio_transcription
    if transcription.language is not None and not _is_like_a_tag(transcription.language):
        path = ("input_audio_transcription", "language")
        yield Problem(spelling.place(path), show_value(transcription.language), _TAG_REMEDY)
    for tag in transcription.languages:
        if not _is_like_a_tag(tag):
            path = ("input_audio_transcription", "languages")
            yield Problem(spelling.place(path), show_value(tag), _TAG_REMEDY)
    for number, keyword in enumerate(transcription.keywords):
        # The service refuses such keywords, and with them the whole session.
        if not keyword or set(keyword) & set("<>\r\n"):
            place = spelling.place(("input_audio_transcription", "keywords"))
            yield Problem(f"{place}[{number}]", "", "leave out blank entries, <, > and line breaks")


def _is_like_a_tag(text: str) -> bool:
    """Whether *text* is a language tag or has the form of one with a language nobody knows.

    The latter is for the server to refuse: `invalid-language` is what configurations for tests of a refused session
    ask for, and such a test waits for errors that are not fatal. A single word, `English`, is a mistake of a person.
    """
    return is_language_tag(text) or _STRANGE_TAG.match(text) is not None


def doubts(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[str]:
    """What may work and probably will not, a sentence each."""
    transcription = config.input_audio_transcription
    for key, tags in (("language", (transcription.language,)), ("languages", transcription.languages)):
        for tag in tags:
            if tag is not None and not is_language_tag(tag):
                place = spelling.place(("input_audio_transcription", key))
                yield f"property {place} is {show_value(tag)}, which a server will hardly know: {_TAG_REMEDY}"


def _check_connection(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[Problem]:
    base_url = config.base_url.get_secret_value()
    try:
        kind = DialectChoice(config.dialect, base_url).kind
        kind.url(base_url, config.input_audio_transcription.model, field=spelling.place(("base_url",)))
    except ConfigurationError as exc:
        yield from exc.problems
    else:
        if needs_key(base_url) and not _has_credentials(config):
            yield Problem(
                spelling.place(("api_key",)),
                "unset",
                "set it, or api_key_command, or the environment variable OPENAI_API_KEY",
            )
    if config.api_key is not None and config.api_key_command is not None:
        yield Problem(
            spelling.place(("api_key_command",)),
            "set",
            f"{spelling.place(('api_key',))} is set too; keep one of the two",
        )
    try:
        headers(
            reveal(config.api_key),
            reveal(config.organization),
            reveal(config.project),
            {name: value.get_secret_value() for name, value in config.headers.items()},
        )
    except ConfigurationError as exc:
        for field, given, remedy in exc.problems:
            key, dot, name = field.partition(".")
            yield Problem(spelling.place((key,)) + dot + name, given, remedy)
    proxy = reveal(config.proxy)
    if not _is_proxy(proxy):
        yield Problem(spelling.place(("proxy",)), show_value(display_url(proxy or "")), _PROXY_REMEDY)
    if config.ca_file is not None and not Path(config.ca_file).is_file():
        remedy = "there is no such file; name a PEM file"
        yield Problem(spelling.place(("ca_file",)), show_value(config.ca_file), remedy)


def _has_credentials(config: OpenAIASRConfig) -> bool:
    if config.api_key is not None or config.api_key_command is not None:
        return True
    return any(name.lower() in _CREDENTIAL_HEADERS for name in config.headers)


def _is_proxy(proxy: str | None) -> bool:
    if proxy is None:
        return True
    try:
        parts = urlsplit(proxy)
        known = parts.scheme.lower() in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
        return known and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:
        return False


def check_session(config: OpenAIASRConfig, spelling: Spelling) -> Iterator[Problem]:
    """What the model refuses, known before any socket opens."""
    options = config.session_options()
    model = options.transcription.model
    rules = config.model_rules
    try:
        # Whether the detector can be imported is for the session to find out.
        turns = resolve_turn_detection(options.turn_detection, model, local_vad_available=True, rules=rules)
        session_object(options.replace(turn_detection=turns), rules)
    except ConfigurationError as exc:
        for field, given, remedy in exc.problems:
            yield Problem(spelling.place(tuple(field.split("."))), given, remedy)
