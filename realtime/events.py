"""What a session tells its user, one frozen struct per event (`msgspec.structs.replace` makes a changed copy).

Times are milliseconds of the caller's own audio, counted from the first sample ever pushed; reconnects, resampling
and padding never move them. `result_id` is one identifier for all partials of a turn and its final.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, gc=False):
    """Base of everything `Session.next_event` returns. What it holds is plain data: no cycle can go through it."""


class SpeechStarted(Event, frozen=True, gc=False):
    """A turn began: the server's `speech_started`, or the local detector's confirmed onset."""

    result_id: str
    item_id: str
    start_ms: int


class SpeechStopped(Event, frozen=True, gc=False):
    """A turn's speech ended; its text may still be on its way."""

    result_id: str
    item_id: str
    end_ms: int


class Committed(Event, frozen=True, gc=False):
    """The server turned buffered audio into item `item_id`."""

    result_id: str
    item_id: str
    previous_item_id: str | None
    start_ms: int
    duration_ms: int


class Transcript(Event, frozen=True, gc=False):
    """A partial (`final` false) or final text of one turn. `text` is the whole text so far, never only the news."""

    result_id: str
    item_id: str
    text: str
    final: bool
    start_ms: int
    duration_ms: int
    start_position: int
    "First sample of the span, in samples of the stream's rate."
    delta: str = ""
    "What the newest delta added (partials only)."
    language: str | None = None
    "Language the server detected, if it said one."
    confidence: float | None = None
    "exp of the mean log-probability, when log-probabilities were asked for."
    usage: dict[str, Any] = {}
    "The server's own usage object."
    words: tuple[dict[str, Any], ...] = ()
    "Words or segments with times, where the server gives them: {word, start_ms, duration_ms, stable}."
    speaker: str | None = None
    late: bool = False
    "Came after the answer to the finalize it belonged to."
    promoted: bool = False
    "A finalize could not wait: this is what was known by then. What the server adds comes `late`, under another id."
    replayed: bool = False
    "Its audio was sent more than once, because a connection ended before its text came."
    retracted: bool = False
    "Partials under this id were shown, and nothing was said after all; `text` is empty."
    connection: int = 0


class ServerError(Event, frozen=True, gc=False):
    """The server reported an error, or failed an item. The stream goes on unless `fatal`."""

    code: str
    "The vendor's code, or its type when it has no code."
    message: str
    type: str = ""
    param: str = ""
    event_id: str = ""
    item_id: str = ""
    fatal: bool = False
    start_ms: int | None = None
    duration_ms: int | None = None
    "Of a failed item: its audio. Of several: where the first begins, and how much it is in all."
    repairing: bool = False
    "The audio of the item it failed is sent once more; if that fails, too, `AudioLost` tells."
    count: int = 1
    "Errors this report stands for: more than one when the same kept coming (then the details are the newest's)."


class ClientError(Event, frozen=True, gc=False):
    """The connection, or something we expected of it, failed. `code` is a short stable word such as `dropped`."""

    code: str
    message: str
    fatal: bool = False
    vendor_code: str = ""
    "Close code or HTTP status as a string, when there was one."
    vendor_message: str = ""


class AudioLost(Event, frozen=True, gc=False):
    """Caller's audio that will have no transcript, with its cause. Reported once per stretch."""

    start_ms: int
    duration_ms: int
    "From the first lost sample to the last, short pauses included."
    cause: str
    lost_ms: int = 0
    "The lost speech alone. Over a stream these add up to what the ledger has lost."


class FinalizeDone(Event, frozen=True, gc=False):
    """The one answer to a finalize request."""

    finalize_id: str
    fence_ms: int
    outcome: str
    "`final`, `empty`, `timeout`, `inactive` or `stopped`."
    latency_ms: int


class Reconfigured(Event, frozen=True, gc=False):
    """The one answer to a request to change the configuration; without a `request`, news of one that was answered."""

    request: str
    outcome: str
    """`applied`; `taken`, for the next session; `refused` or `stopped`, and nothing changed; `reverted`: what was taken
    was refused, and the last configuration that worked is in force again."""
    message: str
    "What became of it, in one sentence; the server's words if it refused."


class Connecting(Event, frozen=True, gc=False):
    """A dial begins (not emitted for connections the user need not know about)."""

    connection: int
    attempt: int


class Connected(Event, frozen=True, gc=False):
    """A session is configured: audio may flow."""

    connection: int
    connect_delay_ms: int


class Disconnected(Event, frozen=True, gc=False):
    """Service was lost, or an attempt failed. `retry_in_ms` is None when nobody will try again."""

    connection: int
    code: str
    reason: str
    retry_in_ms: int | None


class Warned(Event, frozen=True, gc=False):
    """Something to tell the operator once; nothing is wrong with the stream."""

    code: str
    message: str


class AudioSent(Event, frozen=True, gc=False):
    """Audio handed to the transport: `user_ms` of the caller's, for the first time, and `silence_ms` of padding."""

    user_ms: float
    silence_ms: float


class WireEvent(Event, frozen=True, gc=False):
    """Any other server event, as it came (counted; transcripts may be inside)."""

    type: str
    known: bool
    data: dict[str, Any]
