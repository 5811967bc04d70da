"""What the provider's own types say of a message: a walk over the annotations of the `openai` package.

Its models accept fields they do not know and its dictionaries drop them, so a parse proves little. The walk does not
parse: each field of the message must be declared at its depth and have the type declared there. One walk serves the
client's messages (typed dictionaries) and the server's (pydantic models).

    problems = client_problems(message)    # or server_problems(event)
    assert not problems, problems
"""

from __future__ import annotations

import functools
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import openai
from openai.types.realtime import RealtimeServerEvent
from openai.types.realtime.realtime_client_event_param import RealtimeClientEventParam
from openai.types.realtime.realtime_transcription_session_create_request import (
    RealtimeTranscriptionSessionCreateRequest,
)
from openai.types.realtime.realtime_transcription_session_create_response import (
    RealtimeTranscriptionSessionCreateResponse,
)
from pydantic import BaseModel
from typing_extensions import NotRequired, Required, get_type_hints, is_typeddict

Json = dict[str, Any]

VERSION = openai.__version__
UNKNOWN = "unknown field"
MISSING = "missing"

TRANSCRIPTION_SESSION_EVENTS = frozenset(
    {"session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear"}
)
"What a client may send of which a transcription session knows."

# The provider's service and its types do not agree in these; everything else is as the types say.
UNTYPED = frozenset({("conversation.item.input_audio_transcription.delta", "obfuscation")})
"Fields the live service sends and the types do not have."
NULL_ALLOWED = frozenset({("session.update", "session.audio.input.noise_reduction")})
"The reference says that null switches it off; the type of the request has no null there."


@dataclass(frozen=True)
class Problem:
    """One place where a message is not what the types say."""

    event: str
    path: str
    "As `session.include[]`: entries of a list are one place."
    what: str

    @property
    def place(self) -> str:
        """Without the value: `<event>: <path>`."""
        return f"{self.event}: {self.path}"

    def __str__(self) -> str:
        return f"{self.event}: {self.path or 'the message'}: {self.what}"


@dataclass(frozen=True)
class EitherModel:
    """An object that has the fields of all these models; the last says which are required."""

    models: tuple[type[BaseModel], ...]


SESSION = EitherModel((RealtimeTranscriptionSessionCreateRequest, RealtimeTranscriptionSessionCreateResponse))
"""The session a server shows. The event names the type of the request, which has no `id` and no `expires_at`; those are
in the type of the response, whose turn detection in turn lacks what the request's has."""


def client_problems(message: Json) -> list[Problem]:
    """What the provider's types hold against a message of a transcription client."""
    kind = message.get("type")
    if kind not in TRANSCRIPTION_SESSION_EVENTS:
        return [Problem(str(kind), "type", "is no event of a transcription session's client")]
    found = _problems(_client_events()[kind], message, "")
    if message.get("session", {}).get("type", "transcription") != "transcription":
        found = [*found, ("session.type", "is no transcription session")]
    return [
        Problem(kind, *one) for one in found if (kind, one[0]) not in NULL_ALLOWED or not one[1].startswith("None ")
    ]


def server_problems(event: Json) -> list[Problem]:
    """What the provider's types hold against an event of a server."""
    kind = event.get("type")
    model = _server_events().get(kind) if isinstance(kind, str) else None
    if model is None:
        return [Problem(str(kind), "type", "is no event the provider's types know")]
    assert isinstance(kind, str)
    found = list(_problems(model, {**event, "session": {"type": "transcription"}} if "session" in event else event, ""))
    if "session" in event and "session" in _fields(model):
        found += _problems(SESSION, event["session"], "session")
    return [Problem(kind, *one) for one in found if (kind, one[0]) not in UNTYPED or one[1] != UNKNOWN]


def client_fields(event: str) -> set[str]:
    """The fields of a client's event on its top."""
    return set(_fields(_client_events()[event]))


def server_fields(event: str) -> set[str]:
    """The fields of a server's event on its top."""
    return set(_fields(_server_events()[event]))


@functools.cache
def _client_events() -> dict[str, Any]:
    return _by_type(RealtimeClientEventParam)


@functools.cache
def _server_events() -> dict[str, Any]:
    return _by_type(RealtimeServerEvent)


def _by_type(union: Any) -> dict[str, Any]:
    """The members of a union of events by the constant in their `type`."""
    members = get_args(_bare(union))
    return {name: member for member in members for name in get_args(_bare(_fields(member)["type"]))}


# The walk -----------------------------------------------------------------------------------------------------


def _bare(kind: Any) -> Any:
    while get_origin(kind) in (Annotated, Required, NotRequired):
        kind = get_args(kind)[0]
    return kind


@functools.cache
def _fields(kind: Any) -> dict[str, Any]:
    """Names as on the wire, and their types, of a typed dictionary, a model, or several models in one."""
    if isinstance(kind, EitherModel):
        together: dict[str, Any] = {}
        for model in kind.models:
            for name, declared in _fields(model).items():
                together[name] = Union[together[name], declared] if name in together else declared  # noqa: UP007
        return together
    if is_typeddict(kind):
        return get_type_hints(kind, include_extras=True)
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}


@functools.cache
def _required(kind: Any) -> frozenset[str]:
    if isinstance(kind, EitherModel):
        return _required(kind.models[-1])
    if is_typeddict(kind):
        # Not `__required_keys__`: it takes annotations that are strings, as all of the package's, for optional ones.
        default = NotRequired if not kind.__total__ else Required
        return frozenset(name for name, hint in _fields(kind).items() if (_marker(hint) or default) is Required)
    return frozenset(field.alias or name for name, field in kind.model_fields.items() if field.is_required())


def _marker(kind: Any) -> Any:
    """`Required` or `NotRequired` if the annotation says one of them."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_origin(kind) if get_origin(kind) in (Required, NotRequired) else None


def _is_object(kind: Any) -> bool:
    return (
        isinstance(kind, EitherModel) or is_typeddict(kind) or (isinstance(kind, type) and issubclass(kind, BaseModel))
    )


def _problems(kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Where *value* does not fit *kind*: (path, problem)."""
    kind = _bare(kind)
    origin = get_origin(kind)
    if kind in (Any, object):
        return
    if _is_object(kind):
        yield from _object_problems(kind, value, path)
    elif origin in (Union, types.UnionType):
        yield from _union_problems([_bare(one) for one in get_args(kind)], value, path)
    elif origin is Literal:
        if not any(value == one and type(value) is type(one) for one in get_args(kind)):
            yield path, f"{value!r} is none of {get_args(kind)}"
    elif isinstance(origin, type) and issubclass(origin, dict):
        if not isinstance(value, dict):
            yield path, f"{value!r} where an object is wanted"
        else:
            for entry in value.values():
                yield from _problems(get_args(kind)[1], entry, f"{path}.*")
    elif isinstance(origin, type) and issubclass(origin, Sequence):
        if not isinstance(value, list):
            yield path, f"{value!r} where a list is wanted"
        else:
            for entry in value:
                yield from _problems(get_args(kind)[0], entry, f"{path}[]")
    elif not isinstance(kind, type):
        raise TypeError(f"the walk does not know {kind!r}: teach it")
    elif not _is(kind, value):
        yield path, f"{value!r} where {kind.__name__} is wanted"


def _is(kind: type, value: Any) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _object_problems(kind: Any, value: Any, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield path, f"{value!r} where an object is wanted"
        return
    declared = _fields(kind)
    for name in sorted(_required(kind) - value.keys()):
        yield f"{path}.{name}".lstrip("."), MISSING
    for name, entry in value.items():
        where = f"{path}.{name}".lstrip(".")
        if name in declared:
            yield from _problems(declared[name], entry, where)
        else:
            yield where, UNKNOWN


def _union_problems(kinds: list[Any], value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The problems with the kind that fits best; an object that names its type is only compared with that."""
    if isinstance(value, dict):
        kinds = [kind for kind in kinds if _is_object(kind)] or kinds
        named = [
            kind for kind in kinds if _is_object(kind) and value.get("type") in _constants(_fields(kind).get("type"))
        ]
        kinds = named or kinds
    yield from min((list(_problems(kind, value, path)) for kind in kinds), key=len)


def _constants(kind: Any) -> tuple[Any, ...]:
    """The values a literal allows, also an optional one."""
    kind = _bare(kind)
    if get_origin(kind) is Literal:
        return get_args(kind)
    if get_origin(kind) in (Union, types.UnionType):
        return tuple(value for one in get_args(kind) for value in _constants(one))
    return ()


# Versions -----------------------------------------------------------------------------------------------------

LISTED: dict[str, frozenset[str]] = {
    "2.0.0": frozenset(
        {
            "conversation.item.input_audio_transcription.completed: languages",
            *(
                f"{event}: session.audio.input.{name}"
                for event in ("session.update", "session.updated")
                for name in (
                    "noise_reduction.strength",
                    "transcription.delay",
                    "transcription.keywords",
                    "transcription.languages",
                    "transcription.model",  # its literal ends with the models of its time
                )
            ),
        }
    )
}
"What the types of the oldest version we allow lack of what we send. The newest lacks nothing."


def missing_here() -> frozenset[str]:
    """What the types of the installed version are known to lack."""
    return LISTED.get(VERSION, frozenset())


def is_listed(problem: Problem) -> bool:
    """Whether it is known that the installed version does not know this."""
    return problem.place in missing_here()
