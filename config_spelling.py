"""The ways a node's property may be written, brought to one.

Three spellings are understood, mixed as anybody likes: the flat one (`params.turn_detection`), the older
documented one (top-level `api_key`, `websocket_base_url`, `{"enabled": true}`, …) and the vendor's own
nesting (`params.audio.input.turn_detection`). All become one tree of *canonical* paths such as
`("turn_detection", "type")`; `config.py` gives that tree types, defaults and limits. Nothing here looks
inside a value further than it must.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .realtime.errors import Problem, show_value
from .realtime.models import WIRE_FORMAT_OBJECTS

Path = tuple[str, ...]
"A place: the names on the way from the top of the property (a spelled place) or of the canonical tree."

PARAMS_KEYS: tuple[str, ...] = (
    "api_key", "api_key_command", "organization", "project",
    "base_url", "dialect", "headers", "proxy", "ca_file",
    "sample_rate", "channels", "input_encoding", "input_audio_format", "include",
    "auto_connect", "dump", "dump_path", "dump_max_mb", "log_level", "strict_config",
    "connect_timeout_ms", "finalize_timeout_ms", "stop_drain_ms",
    "replay_window_ms", "replay_speed", "replay_speed_streaming", "max_turn_ms", "order_hold_ms",
    "commit_timeout_ms", "item_timeout_ms",
    "ping_interval_ms", "ping_timeout_ms", "send_stall_ms", "send_interval_ms",
)  # fmt: skip
"Keys of `params` that hold one value, canonical under the same name."

TOP_LEVEL_KEYS: tuple[str, ...] = (
    "auto_connect", "dump", "dump_path", "dump_max_mb", "log_level", "strict_config",
    "headers", "api_key", "organization", "project",
)  # fmt: skip
"Keys also taken at the top level: TEN's own, and those the older documentation put there."

OBJECT_KEYS: Mapping[str, tuple[str, ...]] = {
    "input_audio_transcription": ("model", "language", "languages", "keywords", "prompt", "delay"),
    "turn_detection": (
        "type", "enabled", "threshold", "prefix_padding_ms", "silence_duration_ms",
        "eagerness", "min_speech_ms",
    ),
    "input_audio_noise_reduction": ("type", "strength", "enabled"),
}  # fmt: skip
"The vendor's own objects: their known keys. Unknown ones pass through, so that tomorrow's field works today."

OBJECT_ALIASES: Mapping[Path, str] = {("turn_detection", "mode"): "type"}
"Other names for a key of the vendor's objects: nodes in use write them, and the service would refuse the session."

ALIASES: Mapping[str, Path] = {
    "websocket_base_url": ("base_url",),
    "url": ("base_url",),
    "model": ("input_audio_transcription", "model"),
    "language": ("input_audio_transcription", "language"),
}
"Other names for a canonical path, taken at the top level and in `params`."

VENDOR_KEYS: Mapping[str, str] = {
    "format": "input_audio_format",
    "transcription": "input_audio_transcription",
    "turn_detection": "turn_detection",
    "noise_reduction": "input_audio_noise_reduction",
}
"`params.audio.input.*` of the vendor's nesting, and the canonical key each means."

ENVIRONMENT: Mapping[str, str] = {
    "api_key": "OPENAI_API_KEY",
    "base_url": "OPENAI_BASE_URL",
    "organization": "OPENAI_ORG_ID",
    "project": "OPENAI_PROJECT_ID",
}
"Environment variables, named as the provider's SDK names them."

PRIVATE_KEYS = frozenset(
    {"api_key", "api_key_command", "organization", "project", "headers", "proxy", "prompt", "keywords"}
)
"Canonical keys whose values are never shown."

SHIPPED_API_KEY = "${env:OPENAI_API_KEY|}"
"What property.json ships; a host that resolves no placeholders hands it over as it stands."

# What null says where the vendor's objects may be null.
_NULL_MEANS = {"turn_detection": "none", "input_audio_noise_reduction": "off"}
_FORMAT_WORDS = {str(wire["type"]): word for word, wire in WIRE_FORMAT_OBJECTS.items()}
_FORMAT_RATES = {"audio/pcm": 24000, "audio/pcmu": 8000, "audio/pcma": 8000}


def dotted(path: Path) -> str:
    """`("params", "api_key")` as `params.api_key`, whatever characters a stranger put into a name."""
    return ".".join(" ".join(name.split())[:60] for name in path)


def shown(path: Path, value: Any) -> str:
    """*value* of canonical *path* for a message; private ones are described."""
    if PRIVATE_KEYS.isdisjoint(path):
        return show_value(value)
    if isinstance(value, str):
        return f"{len(value)} characters"
    if isinstance(value, (list, dict)):
        return show_value(value)
    return "no string"


def is_unset(value: Any) -> bool:
    """Whether *value* says nothing: null, a blank string, an empty list or object."""
    if isinstance(value, str):
        return not value.strip()
    return value is None or (isinstance(value, (list, dict)) and not value)


class Candidate(NamedTuple):
    """One value and the place it was written at."""

    place: Path
    value: Any
    shipped: bool = False
    "Comes from property.json or the environment, so it gives way to what a user wrote elsewhere."


class Unknown(NamedTuple):
    """A key nobody knows."""

    place: str
    remedy: str


@dataclass
class Spelling:
    """A property in canonical form."""

    values: dict[str, Any] = field(default_factory=dict, repr=False)
    "Canonical tree; unknown keys of the vendor's objects are under that object's `extra`."
    places: dict[Path, str] = field(default_factory=dict)
    "Where each canonical path was written, for messages."
    shipped: set[Path] = field(default_factory=set)
    "Canonical paths whose value only came from property.json or the environment."
    cleared: set[Path] = field(default_factory=set)
    "Canonical paths that were named and left empty: in an update that means unset again."
    unknown: list[Unknown] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    "What cannot be brought to one form."

    def place(self, path: Path) -> str:
        """How the user spelled canonical *path*, or how the documentation would."""
        return self.places.get(path) or dotted(("params", *path))

    def get(self, path: Path) -> Any:
        """The value at canonical *path*, or None."""
        node: Any = self.values
        for name in path:
            node = node.get(name) if isinstance(node, dict) else None
        return node


def normalise(properties: Mapping[str, Any], environ: Mapping[str, str]) -> Spelling:
    """Bring a node's whole *properties* (placeholders resolved) to canonical form. Never raises for bad
    input.

    *environ* fills in what is written nowhere, and tells a user's value from one that a placeholder brought
    in.
    """
    reader = _Reader(environ)
    reader.read_top(properties)
    reader.read_environment()
    return reader.finish()


class _Reader:
    """Walks one property, notes every value it knows under its canonical path, then settles each path."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._candidates: dict[Path, list[Candidate]] = {}
        self._result = Spelling()

    # Walking ------------------------------------------------------------------------------------------------

    def read_top(self, properties: Mapping[str, Any]) -> None:
        for name, value in properties.items():
            if name == "params":
                for key, inner in self._members(("params",), value):
                    self._read_param(key, inner)
            elif name in TOP_LEVEL_KEYS or name in ALIASES:
                self._note(ALIASES.get(name, (name,)), (name,), value)
            elif name != "ten":  # reserved for the runtime itself
                self._note_unknown((name,))

    def _read_param(self, key: str, value: Any) -> None:
        place = ("params", key)
        if key in OBJECT_KEYS:
            self._read_object(key, place, value)
        elif key in PARAMS_KEYS or key in ALIASES:
            self._note(ALIASES.get(key, (key,)), place, value)
        elif key == "audio":
            for name, inner in self._members(place, value):
                if name == "input":
                    self._read_audio_input((*place, name), inner)
                else:
                    self._note_unknown((*place, name))
        elif key == "type":  # the vendor's session.type
            if not is_unset(value) and value != "transcription":
                self._problem(place, show_value(value), 'only "transcription" sessions exist here; leave it out')
        else:
            self._note_unknown(place)

    def _read_audio_input(self, place: Path, value: Any) -> None:
        for name, inner in self._members(place, value):
            if name == "format":
                self._read_format((*place, name), inner)
            elif name in VENDOR_KEYS:
                self._read_object(VENDOR_KEYS[name], (*place, name), inner)
            else:
                self._note_unknown((*place, name))

    def _read_object(self, key: str, place: Path, value: Any) -> None:
        """One of the vendor's objects, or the bare word, null or boolean that stands for it."""
        if value is None and key in _NULL_MEANS:
            self._note((key, "type"), place, _NULL_MEANS[key])
        elif key in _NULL_MEANS and isinstance(value, (str, bool)):
            switch = isinstance(value, bool) or value.strip().lower() in ("true", "false")
            self._note((key, "enabled" if switch else "type"), place, value)
        else:
            for name, inner in self._members(place, value):
                meant = OBJECT_ALIASES.get((key, name), name)
                known = meant in OBJECT_KEYS[key]
                self._note((key, meant) if known else (key, "extra", name), (*place, name), inner)

    def _read_format(self, place: Path, value: Any) -> None:
        """The vendor's `{"type": "audio/pcm", "rate": 24000}`, or a bare word."""
        if isinstance(value, str):
            self._note(("input_audio_format",), place, value)
            return
        members = dict(self._members(place, value))
        kind, rate = members.pop("type", None), members.pop("rate", None)
        if not is_unset(kind):
            self._note(("input_audio_format",), (*place, "type"), kind)
        expected = _FORMAT_RATES.get(str(kind), 24000)
        if not is_unset(rate) and str(rate) not in (str(expected), f"{expected}.0"):
            self._problem(
                (*place, "rate"),
                show_value(rate),
                f"the wire runs at {expected} Hz; the rate of your frames belongs into params.sample_rate",
            )
        for name in members:
            self._note_unknown((*place, name))

    def _members(self, place: Path, value: Any) -> Iterator[tuple[str, Any]]:
        """The members of an object; anything else is a problem, unless it says nothing."""
        if isinstance(value, Mapping):
            for name, inner in value.items():
                yield str(name), inner
        elif not is_unset(value):
            self._problem(place, show_value(value), "write an object here")

    def read_environment(self) -> None:
        for key, variable in ENVIRONMENT.items():
            self._note((key,), (variable,), self._environ.get(variable), shipped=True)

    # Noting -------------------------------------------------------------------------------------------------

    def _note(self, path: Path, place: Path, value: Any, *, shipped: bool = False) -> None:
        if is_unset(value):
            if not shipped:
                self._result.cleared.add(path)
            return
        if path == ("input_audio_format",) and isinstance(value, str):
            value = _FORMAT_WORDS.get(value.strip().lower(), value)
        if path == ("api_key",) and value == SHIPPED_API_KEY:
            return
        if path[0] in ENVIRONMENT:
            shipped = shipped or value == self._environ.get(ENVIRONMENT[path[0]])
        self._candidates.setdefault(path, []).append(Candidate(place, value, shipped))

    def _note_unknown(self, place: Path) -> None:
        nearest = nearest_place(place)
        remedy = f"did you mean {dotted(nearest)}?" if nearest else "remove it"
        self._result.unknown.append(Unknown(dotted(place), remedy))

    def _problem(self, place: Path, given: str, remedy: str) -> None:
        self._result.problems.append(Problem(dotted(place), given, remedy))

    # Settling -----------------------------------------------------------------------------------------------

    def finish(self) -> Spelling:
        result = self._result
        for path, candidates in self._candidates.items():
            chosen = self._settle(path, candidates)
            node = result.values
            for name in path[:-1]:
                node = node.setdefault(name, {})
            node[path[-1]] = chosen.value
            result.places[path] = dotted(chosen.place)
            if chosen.shipped:
                result.shipped.add(path)
        result.cleared -= self._candidates.keys()
        return result

    def _settle(self, path: Path, candidates: list[Candidate]) -> Candidate:
        """What a user wrote beats what was shipped; two such values that differ are a problem."""
        written = [candidate for candidate in candidates if not candidate.shipped] or candidates[:1]
        first = written[0]
        for other in written[1:]:
            if not _same(first.value, other.value):
                self._problem(
                    first.place,
                    shown(path, first.value),
                    f"{dotted(other.place)} says otherwise ({shown(path, other.value)}); keep one of the two",
                )
        return first


def _same(one: Any, other: Any) -> bool:
    """Whether two spelled values mean the same; placeholders turn numbers and booleans into strings."""
    if one == other and isinstance(one, bool) == isinstance(other, bool):
        return True
    scalars = (str, int, float)
    if not isinstance(one, scalars) or not isinstance(other, scalars):
        return False
    texts = [str(value).strip().lower() for value in (one, other)]
    try:
        return texts[0] == texts[1] or float(texts[0]) == float(texts[1])
    except ValueError:
        return False


def known_places() -> list[Path]:
    """Every place a value may be written at, in the order of the documentation."""
    objects = [(key, name) for key, names in OBJECT_KEYS.items() for name in names]
    vendor = [
        ("params", "audio", "input", name, member)
        for name, key in VENDOR_KEYS.items()
        for member in OBJECT_KEYS.get(key, ("type", "rate"))
    ]
    return [
        *((name,) for name in (*TOP_LEVEL_KEYS, *ALIASES)),
        *(("params", name) for name in (*PARAMS_KEYS, *ALIASES, "type")),
        *(("params", *path) for path in objects),
        *vendor,
    ]


def places_of(path: Path) -> list[Path]:
    """Every place canonical *path* may be written at."""
    section, *inside = path
    places = [("params", *path)]
    if path[0] in TOP_LEVEL_KEYS:
        places.append(path)
    for alias, meant in ALIASES.items():
        if meant == path:
            places += [(alias,), ("params", alias)]
    names = [inside, *([alias] for (key, alias), name in OBJECT_ALIASES.items() if [key, name] == [*path])]
    places += [("params", section, *name) for name in names[1:]]
    for vendor, key in VENDOR_KEYS.items():
        if key == section:
            places += [("params", "audio", "input", vendor, *name) for name in names]
    return places


def nearest_place(place: Path) -> Path | None:
    """The known place most likely meant: the same name elsewhere, else a near name beside *place* or elsewhere."""
    import difflib  # here, since only who wrote a name that is not known needs it

    containers = {known[:depth] for known in known_places() for depth in range(1, len(known) + 1)}
    beside = {known[-1]: known for known in containers if known[:-1] == place[:-1]}
    anywhere = {known[-1]: known for known in sorted(containers, key=len, reverse=True)}
    name = place[-1].lower()
    if name in anywhere:
        return anywhere[name]
    for names in (beside, anywhere):
        close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
        if close:
            return names[close[0]]
    return None
