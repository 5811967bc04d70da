"""All faults there are: name, arguments, what a client sees of each. The table in docs/faults.md is made of this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from .faults_audio import Poison
from .faults_endings import (
    BadKey,
    CloseEarly,
    Drop,
    HalfOpen,
    Kill,
    Mute,
    Quota,
    SessionLimit,
)
from .faults_layer import Layer
from .faults_moments import PHASES
from .faults_spec import AFTER, COMMON, Argument, FaultError, read_arguments, split_arguments, written
from .faults_text import (
    ECHOED,
    Duplicate,
    EmptyFinal,
    FailItem,
    Interleave,
    LateCreated,
    LateFinal,
    LateUpdated,
    Reorder,
    SlowAnswer,
    SwallowCommit,
    SwallowEvent,
    SwallowItem,
    WrongEcho,
)
from .faults_wire import CommitLosesUndecoded, DecodeSpeed, ErrorEvent, GhostItem, Junk, NoPong, SlowRead, VadDeaf


class FaultKind(NamedTuple):
    """What a fault of this name does."""

    effect: str
    "What the client sees."
    layer: type[Layer] | None
    "What does it on each connection; None: it happens before there is one."
    own: tuple[Argument, ...] = ()

    @property
    def arguments(self) -> dict[str, Argument]:
        """By name, the common ones last. Before there is a connection, nothing is `after` it."""
        common = [argument for argument in COMMON if self.layer is not None or argument is not AFTER]
        return {argument.name: argument for argument in (*self.own, *common)}


def _every(what: str, default: int = 1) -> Argument:
    return Argument("every", "count", default, f"one of so many {what}")


def _ms(default: float) -> Argument:
    return Argument("ms", "ms", default, "how late")


_SPEED = Argument("speed", "factor", 1.0, "times real time")
_HOLD = Argument("hold", "seconds", 1.0, "hold text back for no longer than this")

FAULTS: dict[str, FaultKind] = {
    "drop": FaultKind(
        "TCP is cut without a CLOSE frame, on each connection by itself.",
        Drop,
        (
            Argument("interval", "seconds", None, "at random times, this far apart on average"),
            Argument("phase", "text", None, "at the next such moment", PHASES),
        ),
    ),
    "kill": FaultKind(
        "TCP of all connections is cut at the same time.",
        Kill,
        (Argument("interval", "seconds", None, "and again after so long"),),
    ),
    "half-open": FaultKind(
        "Nothing comes, nothing is read, and the connection is not closed: as after a pulled plug.", HalfOpen
    ),
    "mute": FaultKind("The upgrade succeeds, PINGs are answered, and no event comes.", Mute),
    "close": FaultKind(
        "A CLOSE frame.",
        CloseEarly,
        (
            Argument("code", "close-code", 1011, "close code"),
            Argument("reason", "text", "", "its text"),
        ),
    ),
    "poison": FaultKind(
        "CLOSE right after each `committed` whose audio holds one block of test tones.",
        Poison,
        (
            Argument("label", "label", 0, "number of the block"),
            Argument("code", "close-code", 1011, "close code"),
            Argument("reason", "text", "", "its text"),
        ),
    ),
    "session-limit": FaultKind(
        "The session ends like after its hour: `session_expired`, then CLOSE 1001.",
        SessionLimit,
        (
            Argument("seconds", "seconds", 60.0, "life of a session"),
            Argument("event", "flag", True, "with the error event before the CLOSE"),
            Argument("told", "flag", True, "`session.expires_at` says so"),
        ),
    ),
    "http": FaultKind(
        "The upgrade is answered with an HTTP status instead of 101.",
        None,
        (
            Argument("status", "status", 503, "HTTP status"),
            Argument("retry-after", "seconds", None, "seconds for the header `Retry-After`"),
        ),
    ),
    "bad-key": FaultKind("`invalid_api_key` after the upgrade, then CLOSE 3000, whatever the key.", BadKey),
    "quota": FaultKind("`insufficient_quota`, then CLOSE 1013.", Quota),
    "late-created": FaultKind("`session.created` and all that follows it come late.", LateCreated, (_ms(5000.0),)),
    "late-updated": FaultKind("`session.updated` comes late.", LateUpdated, (_ms(5000.0),)),
    "wrong-echo": FaultKind(
        "`session.updated` names another value than the one in force.",
        WrongEcho,
        (Argument("field", "text", "model", "which", tuple(ECHOED)), _every("updates")),
    ),
    "slow-answer": FaultKind("Every event comes late, in order.", SlowAnswer, (_ms(1000.0),)),
    "late-final": FaultKind("`completed` and `failed` come late.", LateFinal, (_ms(3000.0), _every("items"))),
    "swallow-item": FaultKind("An item has neither `completed` nor `failed`.", SwallowItem, (_every("items"),)),
    "swallow-commit": FaultKind(
        "A commit of the client has no effect and no answer.", SwallowCommit, (_every("commits"),)
    ),
    "swallow-event": FaultKind(
        "Events of one type do not come.",
        SwallowEvent,
        (Argument("type", "text", "committed", "the type, or its last part"), _every("such events")),
    ),
    "fail-item": FaultKind(
        "`failed` instead of `completed`.",
        FailItem,
        (
            _every("items"),
            Argument("code", "text", None, "of the error; without it null"),
            Argument("type", "text", "server_error", "of the error"),
        ),
    ),
    "empty-final": FaultKind(
        "`completed` has an empty `transcript`, whatever the deltas said.", EmptyFinal, (_every("items"),)
    ),
    "duplicate": FaultKind(
        "`committed`, `completed` and `failed` come more than once.",
        Duplicate,
        (Argument("copies", "count", 2, "how often in all"), _every("such events")),
    ),
    "reorder": FaultKind(
        "`completed` and `failed` come in groups, the last first.",
        Reorder,
        (
            Argument("group", "count", 2, "items of a group"),
            Argument("hold", "seconds", 2.0, "a group is not waited for longer than this"),
            _every("groups"),
        ),
    ),
    "interleave": FaultKind(
        "Deltas and ends of several items come mixed, the newest item first.", Interleave, (_HOLD,)
    ),
    "error-event": FaultKind(
        "An `error` event that concerns nothing; the session goes on.",
        ErrorEvent,
        (
            Argument("code", "text", None, "of the error; without it a `server_error` with code null"),
            Argument("interval", "seconds", 1.0, "again after so long; 0 is once a connection"),
        ),
    ),
    "junk": FaultKind(
        "Between events: text that is no JSON, arrays, null, binary frames, events without a type, of unknown type, "
        "with unknown fields, and with fields that are null or of the wrong kind.",
        Junk,
        (_every("events"),),
    ),
    "ghost-item": FaultKind(
        "After a `committed`, text of an item that was never spoken.",
        GhostItem,
        (_every("commits"), Argument("completed", "flag", True, "it ends; otherwise its delta is all that comes")),
    ),
    "slow-read": FaultKind(
        "Audio is read more slowly than it is spoken: sends block once the buffers between are full.",
        SlowRead,
        (
            Argument("speed", "factor", 0.5, "times real time"),
            Argument("stop", "seconds", None, "instead: nothing is read for so long"),
        ),
    ),
    "no-pong": FaultKind("PINGs of the client are not answered.", NoPong),
    "vad-deaf": FaultKind("Speech brings no `speech_started`.", VadDeaf),
    "decode-speed": FaultKind(
        "Models that stream text hear no faster than this, so their text lags behind a burst.", DecodeSpeed, (_SPEED,)
    ),
    "commit-loses-undecoded": FaultKind(
        "The same, and the text of an item lacks what had not been heard when its commit came; so does `usage`.",
        CommitLosesUndecoded,
        (_SPEED,),
    ),
}


@dataclass(frozen=True)
class Fault:
    """One fault with all its arguments; make it with `fault` or `parse_fault`."""

    name: str
    arguments: Mapping[str, Any]

    def __str__(self) -> str:
        known = FAULTS[self.name].arguments
        given = [
            f"{name}={written(value, known[name].kind)}"
            for name, value in self.arguments.items()
            if value != known[name].default
        ]
        return f"{self.name}:{','.join(given)}" if given else self.name

    def concerns(self, number: int) -> bool:
        """Whether it happens on connection *number*."""
        chosen = self.arguments["connections"]
        return chosen is None or (chosen[0] <= number and (chosen[1] is None or number <= chosen[1]))


def fault(name: str, **arguments: object) -> Fault:
    """The fault *name*; `retry_after` and `retry-after` are the same. Raises FaultError."""
    return _make(name, arguments)


def parse_fault(text: str) -> Fault:
    """The fault that *text* means: `NAME` or `NAME:key=value,…`. Raises FaultError."""
    name, _, arguments = text.partition(":")
    name = name.strip().replace("_", "-")
    return _make(name, split_arguments(name, arguments))


def _make(name: str, given: Mapping[str, object]) -> Fault:
    name = name.replace("_", "-")
    kind = FAULTS.get(name)
    if kind is None:
        raise FaultError(f"fault: {name!r} given, must be one of {', '.join(FAULTS)}")
    return Fault(name, read_arguments(name, kind.arguments, given))


def read_fault_script(path: Path) -> list[Fault]:
    """The faults of a file: a JSON list, or one JSON value a line.

    An entry is an object, `{"fault": "close", "at": 12.5, "code": 1012}`, or a text as on the command line. Raises
    FaultError, which names the entry; OSError if the file cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    entries: list[tuple[str, object]] = []
    try:
        whole = json.loads(text)
    except ValueError:
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                try:
                    entries.append((f"line {number}", json.loads(line)))
                except ValueError as error:
                    raise FaultError(f"{path}: line {number} is not JSON ({error})") from None
    else:
        listed = whole if isinstance(whole, list) else [whole]
        entries = [(f"entry {number}", entry) for number, entry in enumerate(listed, 1)]
    return [_scripted(f"{path}: {where}", entry) for where, entry in entries]


def _scripted(where: str, entry: object) -> Fault:
    try:
        if isinstance(entry, str):
            return parse_fault(entry)
        if isinstance(entry, dict) and isinstance(entry.get("fault"), str):
            # A null is an argument that was not given.
            given = {key: value for key, value in entry.items() if key != "fault" and value is not None}
            base = parse_fault(entry["fault"])
            return _make(base.name, {**_given(base), **given})
    except FaultError as error:
        raise FaultError(f"{where}: {error}") from None
    raise FaultError(f'{where}: {entry!r} given, must be an object with "fault", or a text')


def _given(base: Fault) -> dict[str, object]:
    known = FAULTS[base.name].arguments
    return {
        name: written(value, known[name].kind) for name, value in base.arguments.items() if value != known[name].default
    }


def markdown_table() -> str:
    """The faults and the arguments they share, as docs/faults.md shows them."""
    lines = ["| fault | arguments | what the client sees |", "| --- | --- | --- |"]
    for name, kind in FAULTS.items():
        own = "<br>".join(_documented(argument) for argument in kind.own)
        lines.append(f"| `{name}` | {own} | {kind.effect} |")
    lines += ["", "Every fault also takes (`http` without `after`):", "", "| argument | |", "| --- | --- |"]
    lines += [f"| `{argument.name}` | {argument.doc} |" for argument in COMMON]
    return "\n".join(lines) + "\n"


def _documented(argument: Argument) -> str:
    default = "" if argument.default in (None, "") else f"={written(argument.default, argument.kind)}"
    choices = f" ({', '.join(argument.choices)})" if argument.choices else ""
    return f"`{argument.name}{default}` {argument.doc}{choices}"
