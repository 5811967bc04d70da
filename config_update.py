"""`update_configs`: a sparse property, in any spelling, laid over a node's property as it stands.

Both are brought to canonical form first, so it does not matter how either is spelled: a node's top-level `language`
and an update's `params.audio.input.transcription.language` are the same thing. What an update leaves out stays as it
is; what it names and leaves empty (null, `""`, `[]`) is unset again. Objects of free content (`headers`) and arrays are
one value and are replaced as a whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from .config_spelling import ENVIRONMENT, Path, Spelling, is_unset, normalise

_OFF = {"turn_detection": "none", "input_audio_noise_reduction": "off"}


class _Value(NamedTuple):
    value: Any
    place: str
    shipped: bool


def updated(base: Spelling, properties: Mapping[str, Any], environ: Mapping[str, str]) -> Spelling:
    """*base* with the sparse *properties* of an update over it; neither is changed. Never raises for bad input.

    *environ* is what an unset key falls back to.
    """
    update = normalise(properties, {})
    values = _flat(base)
    for path in update.cleared:
        values.pop(path, None)
        if path[0] in ENVIRONMENT and not is_unset(environ.get(variable := ENVIRONMENT[path[0]])):
            values[path] = _Value(environ[variable], variable, shipped=True)
    news = _flat(update)
    for rival in _rivals(news, values):
        values.pop(rival, None)
    replaced = {base.places[path] for path in (*news, *update.cleared) if path in base.places}
    result = _rebuilt({**values, **news})
    result.unknown = list(dict.fromkeys([*base.unknown, *update.unknown]))
    # Where an update speaks, what was wrong there before is over.
    result.problems = [problem for problem in base.problems if problem.field not in replaced] + update.problems
    return result


def _flat(spelling: Spelling) -> dict[Path, _Value]:
    return {
        path: _Value(spelling.get(path), place, path in spelling.shipped) for path, place in spelling.places.items()
    }


def _rebuilt(values: Mapping[Path, _Value]) -> Spelling:
    result = Spelling()
    for path, (value, place, shipped) in values.items():
        node = result.values
        for name in path[:-1]:
            node = node.setdefault(name, {})
        node[path[-1]] = value
        result.places[path] = place
        if shipped:
            result.shipped.add(path)
    return result


def _rivals(news: Mapping[Path, _Value], values: Mapping[Path, _Value]) -> list[Path]:
    """What stands in the way of *news*: other ways to say the same, of which the newest counts."""
    rivals: list[Path] = []
    for key, off in _OFF.items():
        kind, switch = (key, "type"), (key, "enabled")
        if kind in news:
            rivals.append(switch)
        elif switch in news and kind in values and str(values[kind].value).strip().lower() == off:
            rivals.append(kind)
    if ("api_key",) in news:
        rivals.append(("api_key_command",))
    elif ("api_key_command",) in news:
        rivals.append(("api_key",))
    return rivals
