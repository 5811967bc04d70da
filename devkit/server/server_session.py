"""The server's half of a Realtime transcription session, without sockets, clocks or tasks.

    session = ServerSession(identifiers, now=0.0, epoch=1_790_000_000)
    session.receive_message(frame, now)      # what the client sent
    for work in session.work(): ...          # utterances for a recogniser
    session.completed(item_id, result, now)  # and what it made of them
    for frame in session.messages(): ...     # to send
    session.close                            # set once the socket is to be closed, after those messages

`now` is any clock in seconds that never goes back. Source of the rules: the provider's Realtime reference and
captures of the live service, as of November 2026.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from ...realtime import messages as wire
from ...realtime.messages import ErrorDetails, Json, Message
from .errors import RequestRefused, close_reason, invalid_request, quoted_list, server_error
from .handshake import Refusal
from .identifiers import Identifiers
from .input_buffer import InputBuffer
from .items import Item, Items
from .middleware import Middleware
from .recognizers import Recognition
from .session_config import SessionConfig, apply_update
from .turns import SpeechBegan, TurnDetector
from .vad import RATE, EnergyDetector, SpeechDetector
from .voice import Voice
from .work import (
    Abort,
    Close,
    Outgoing,
    UtteranceAudio,
    UtteranceDropped,
    UtteranceEnded,
    UtteranceStarted,
    WireAction,
    Work,
)

MAX_APPEND_BYTES = 15 * 1024 * 1024

# What the live service names when it is sent a type it does not know.
SUPPORTED_EVENTS = (
    "session.update",
    "session.close",
    "input_audio_buffer.append",
    "session.input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.truncate",
    "conversation.item.delete",
    "conversation.item.retrieve",
    "response.create",
    "response.cancel",
)


class ServerSession:
    """One connection, from the answer to its upgrade to its CLOSE frame."""

    def __init__(
        self,
        identifiers: Identifiers,
        *,
        now: float,
        epoch: float,
        session_seconds: float = 3600.0,
        detector: SpeechDetector | None = None,
        refusal: Refusal | None = None,
        middleware: Sequence[Middleware] = (),
        config: SessionConfig | None = None,
        voice: Voice | None = None,
    ) -> None:
        """*epoch* is the wall clock at *now*, in seconds since 1970. With a *refusal* the session ends at once.

        *config*: what it begins with. *voice*: how it speaks (default: as the provider does).
        """
        self._ids = identifiers
        self._middleware = tuple(middleware)
        self._voice = voice or Voice()
        self._expires = now + session_seconds
        self._expires_at = int(epoch + session_seconds) if math.isfinite(session_seconds) else 0
        self._config = config or SessionConfig()
        self._buffer = InputBuffer(self._config.format)
        self._turns = TurnDetector(detector or EnergyDetector())
        self._items = Items(identifiers, self._send)
        self._open: Item | None = None
        self._out: list[Json | WireAction] = []
        self._work: list[Work] = []
        self._memory: dict[str, Any] = {}
        self._now = now
        self.id = identifiers.new("sess")
        self.close: Close | None = None
        "Set when the socket is to be closed, once `messages` are sent."
        if refusal is not None:
            self.end(refusal.close_code, error=refusal.error, now=now)
        else:
            self._send(wire.SessionCreated(session=self._wire_session()))
            self._configure_turns()

    # Out ------------------------------------------------------------------------------------------------------

    def messages(self) -> list[bytes | WireAction]:
        """TEXT frames to send, in order; each is handed out once. Actions come from middleware only."""
        out, self._out = self._out, []
        return [msgspec.json.encode(entry) if isinstance(entry, dict) else entry for entry in out]

    def work(self) -> list[Work]:
        """What recognisers are to do, in order; each is handed out once."""
        work, self._work = self._work, []
        return work

    def get_timer(self) -> float | None:
        """When to call `handle_timer`; None if never, as once the session is over."""
        if self.close is not None:
            return None
        timers = (layer.get_timer() for layer in self._middleware)
        when = min([self._expires, *(timer for timer in timers if timer is not None)])
        return when if when < math.inf else None

    # In -------------------------------------------------------------------------------------------------------

    def handle_timer(self, now: float) -> None:
        """Do what is due at *now*."""
        self._now = now
        if self.close is not None:
            return
        self._run_layers(now)
        if self.close is None and now >= self._expires:
            self._expires = math.inf
            error, ending = self._voice.expired()
            if isinstance(ending, Close):
                self.end(ending.code, reason=ending.reason, error=error, now=now)
            else:
                self._out.append(ending)

    def receive_message(self, frame: bytes | str, now: float) -> None:
        """Take one TEXT frame of the client."""
        self._now = now
        for said in self._voice.incoming(frame):
            frames: list[bytes | str] = []
            if isinstance(said, ErrorDetails):
                self._error(said)
            else:
                frames = [said]
            for layer in self._middleware:
                frames = [passed for given in frames for passed in layer.incoming(given, now)]
            for passed in frames:
                if self.close is None:
                    self._receive(passed)
        self._run_layers(now)

    def receive_binary(self, now: float) -> None:
        """A BINARY frame came: this protocol has none."""
        self._now = now
        if self.close is None:
            self._error(invalid_request("invalid_event", "Binary frames are not supported; send JSON text."))

    def partial(self, item_id: str, text: str, now: float) -> None:
        """A recogniser stands by *text* as the beginning of what the item says."""
        self._now = now
        if self.close is None:
            self._items.partial(item_id, text)

    def completed(self, item_id: str, result: Recognition, now: float, heard_seconds: float | None = None) -> None:
        """A recogniser is done with the item. *heard_seconds*: it heard no more of it than this."""
        self._now = now
        if self.close is None:
            self._items.completed(item_id, result, heard_seconds)

    def failed(self, item_id: str, now: float, error: ErrorDetails | None = None) -> None:
        """There will be no text for the item."""
        self._now = now
        if self.close is None:
            self._items.failed(item_id, error or server_error(f"Input transcription failed for item '{item_id}'."))

    def end(self, code: int, *, now: float, reason: str | None = None, error: ErrorDetails | None = None) -> None:
        """Close with *code*, after *error* if there is one. The reason defaults to that error's type and code."""
        self._now = now
        if error is not None:
            self._error(error)
        if reason is None:
            reason = close_reason(error) if error is not None else ""
        self.close = self.close or Close(code, reason)

    # Client events --------------------------------------------------------------------------------------------

    def _receive(self, frame: bytes | str) -> None:
        decoded = wire.decode_client_message(frame)
        message = decoded.message
        event_id = decoded.data.get("event_id")
        echo = event_id if isinstance(event_id, str) else None
        try:
            if isinstance(message, wire.MalformedMessage):
                raise _malformed(message)
            if isinstance(message, wire.UnknownMessage):
                raise _unknown(message.type)
            for name in sorted(decoded.unknown_fields):
                raise RequestRefused("unknown_parameter", f"Unknown parameter: '{name}'.", name)
            self._handle(message)
        except RequestRefused as refused:
            self._error(refused.details(echo))

    def _handle(self, message: Message) -> None:
        if isinstance(message, wire.InputAudioBufferAppend):
            self._append(message.audio)
        elif isinstance(message, wire.InputAudioBufferCommit):
            self._commit()
        elif isinstance(message, wire.InputAudioBufferClear):
            self._clear()
        elif isinstance(message, wire.SessionUpdate):
            self._update(message.session)
        elif isinstance(message, wire.ConversationItemRetrieve):
            self._send(wire.ConversationItemRetrieved(item=self._items.retrieve(message.item_id)))
        elif isinstance(message, wire.ConversationItemDelete):
            self._items.delete(message.item_id)
            self._send(wire.ConversationItemDeleted(item_id=message.item_id))

    def _update(self, update: Json) -> None:
        self._config = apply_update(self._config, update)
        self._buffer.set_format(self._config.format)
        self._configure_turns()
        self._send(wire.SessionUpdated(session=self._wire_session()))

    def _configure_turns(self) -> None:
        if self._config.turn_detection is not None:
            self._turns.configure(self._config.turn_detection)

    def _append(self, encoded: str) -> None:
        try:
            data = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise RequestRefused("invalid_value", "Invalid 'audio': not valid base64.", "audio") from None
        if len(data) > MAX_APPEND_BYTES:
            raise RequestRefused(
                "string_above_max_length",
                f"Invalid 'audio': at most {MAX_APPEND_BYTES} bytes of audio are allowed in one event, "
                f"but got {len(data)}.",
                "audio",
            )
        try:
            samples = self._buffer.write(data)
        except ValueError as error:
            raise RequestRefused("invalid_value", f"Invalid 'audio': {error}.", "audio") from None
        if self._config.turn_detection is None:
            self._turns.skip(len(samples))
            if self._open is None:
                self._open_item(self._buffer.begin)
        else:
            for found in self._turns.feed(samples):
                if isinstance(found, SpeechBegan):
                    self._speech_began(found.position)
                else:
                    self._speech_ended(found.position)
        if self._open is not None:
            self._hear(self._open, self._buffer.end)
        self._buffer.trim()

    def _speech_began(self, position: int) -> None:
        # Open already if detection was switched on in the middle of a client's turn.
        item = self._open or self._open_item(position)
        self._send(wire.SpeechStarted(audio_start_ms=_ms(position), item_id=item.id), **self._buffer_start())

    def _speech_ended(self, position: int) -> None:
        item = self._open
        if item is not None:
            self._send(wire.SpeechStopped(audio_end_ms=_ms(position), item_id=item.id), **self._buffer_start())
            self._close_item(item, position)

    def _buffer_start(self) -> dict[str, int]:
        return {"buffer_start_ms": _ms(self._buffer.begin)} if self._voice.tells_buffer_start else {}

    def _commit(self) -> None:
        least, held = self._voice.min_commit_ms, self._buffer.milliseconds
        if held < least:
            raise RequestRefused(
                "input_audio_buffer_commit_empty",
                "Error committing input audio buffer: buffer too small. Expected at least "
                f"{least}ms of audio, but buffer only has {held:.2f}ms of audio.",
            )
        self._close_item(self._open or self._open_item(self._buffer.begin), self._buffer.end)

    def _clear(self) -> None:
        item, self._open = self._open, None
        if item is not None:
            self._items.forget(item.id)
            if item.request is not None:
                self._work.append(UtteranceDropped(item.id))
        self._cut(self._buffer.end)
        self._send(wire.InputAudioBufferCleared())

    # Items ----------------------------------------------------------------------------------------------------

    def _open_item(self, begin: int) -> Item:
        """An item to which all audio from *begin* on belongs, until it is closed."""
        item = self._open = self._items.open(begin, self._config, self._memory)
        if item.request is not None:
            self._work.append(UtteranceStarted(item.id, item.request))
        return item

    def _hear(self, item: Item, end: int) -> None:
        pcm = self._buffer.take(item.begin, end)
        if pcm and item.request is not None:
            self._work.append(UtteranceAudio(item.id, pcm))

    def _close_item(self, item: Item, end: int) -> None:
        self._hear(item, end)
        self._open = None
        self._cut(end)
        if item.request is not None:
            self._work.append(UtteranceEnded(item.id))
        self._items.commit(item, seconds=(end - item.begin) / RATE)

    def _cut(self, position: int) -> None:
        self._buffer.cut(position)
        self._turns.cut(position)

    # Sending --------------------------------------------------------------------------------------------------

    def _wire_session(self) -> Json:
        return self._config.to_wire(self.id, self._expires_at)

    def _error(self, error: ErrorDetails) -> None:
        self._send(wire.ErrorMessage(error=error))

    def _send(self, message: Message, **extra: object) -> None:
        event: Json = msgspec.to_builtins(message)
        event = {"type": event.pop("type"), "event_id": self._ids.new("event"), **event, **extra}
        if isinstance(message, wire.TranscriptionFailed):
            event["error"].pop("event_id")
        self._pass_on(event, 0)

    def _pass_on(self, entry: Outgoing, layer: int) -> None:
        """Events through the middleware from number *layer* on, then out; the rest at once. Nothing follows the end."""
        if self.close is not None:
            return
        if isinstance(entry, Close):
            self.close = entry
        elif isinstance(entry, Abort) and entry.inside is not None:
            spoken = tuple(self._voice.outgoing(entry.inside))
            self._out.append(Abort(inside=spoken[-1]) if spoken else Abort())
        elif not isinstance(entry, dict):
            self._out.append(entry)
        elif layer == len(self._middleware):
            self._out += self._voice.outgoing(entry)
        else:
            for passed in self._middleware[layer].outgoing(entry, self._now):
                self._pass_on(passed, layer + 1)

    def _run_layers(self, now: float) -> None:
        """What the middleware has been waiting for, up to *now*."""
        for index, layer in enumerate(self._middleware):
            when = layer.get_timer()
            if when is not None and when <= now:
                for entry in layer.handle_timer(now):
                    self._pass_on(entry, index + 1)


def _ms(position: int) -> int:
    return position * 1000 // RATE


def _malformed(message: wire.MalformedMessage) -> RequestRefused:
    if not message.is_json:
        return RequestRefused("invalid_json", "The event could not be parsed as JSON.")
    if not message.type:
        return RequestRefused("invalid_event", "The event is missing a 'type' field.", "type")
    missing = re.search("missing required field `(.*?)`", message.reason)
    if missing:
        name = missing.group(1)
        return RequestRefused("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
    return RequestRefused("invalid_type", f"Invalid '{message.type}' event: {message.reason}.")


def _unknown(kind: str) -> RequestRefused:
    if kind in SUPPORTED_EVENTS:
        return RequestRefused("invalid_value", f"Event '{kind}' is not supported in transcription sessions.", "type")
    return RequestRefused(
        "invalid_value", f"Invalid value: '{kind}'. Supported values are: {quoted_list(SUPPORTED_EVENTS)}.", "type"
    )
