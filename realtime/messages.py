"""The GA Realtime transcription wire: one frozen struct per message, for both ends.

Reading is permissive, writing is exact. A message of unknown type becomes `UnknownMessage`, one that is not what it
claims to be becomes `MalformedMessage`; neither raises, because one odd frame must never end a call. Fields we do not
know are kept out of the structs and named in `Decoded.unknown_fields`.

Source of names and shapes: the provider's Realtime reference (client events, server events), as of November 2026.
"""

from __future__ import annotations

import binascii
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType, ValidationError, convert

from .limits import MAX_ID, MAX_SEGMENT_TEXT, MAX_TEXT

Json: TypeAlias = dict[str, Any]
OptionalText: TypeAlias = str | UnsetType | None
_FARTHEST = 10**10
Number: TypeAlias = (
    Annotated[int, Meta(ge=-_FARTHEST, le=_FARTHEST)] | Annotated[float, Meta(ge=-_FARTHEST, le=_FARTHEST)]
)
"A time as a server may state it: whatever unit, months at most, and no NaN. A value beyond makes a frame malformed."
ItemId: TypeAlias = Annotated[str, Meta(max_length=MAX_ID)]
Text: TypeAlias = Annotated[str, Meta(max_length=MAX_TEXT)]
SegmentText: TypeAlias = Annotated[str, Meta(max_length=MAX_SEGMENT_TEXT)]


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of every wire message. `event_id` of a client message comes back only inside an `error`."""

    event_id: OptionalText = UNSET

    @property
    def type(self) -> str:
        """The wire's `type` of this message."""
        return str(self.__struct_config__.tag)


# Client to server ---------------------------------------------------------------------------------------------


class SessionUpdate(Message, frozen=True, kw_only=True, tag="session.update"):
    """Configure the session. `session` is sparse: an absent field stays as it is, null switches off."""

    session: Json


class InputAudioBufferAppend(Message, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Audio: base64 of raw samples in the configured format. Never acknowledged. Write it with `encode_append`."""

    audio: str


class InputAudioBufferCommit(Message, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Turn the buffer into an item. At least 100 ms must be in it."""


class InputAudioBufferClear(Message, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Drop uncommitted audio."""


class ConversationItemRetrieve(Message, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Ask for an item back."""

    item_id: str


class ConversationItemDelete(Message, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Remove an item."""

    item_id: str


# Server to client ---------------------------------------------------------------------------------------------


class ErrorDetails(msgspec.Struct, frozen=True, kw_only=True):
    """The object inside `error` and `failed`. Every field may be null or absent, depending on the server."""

    type: str | None = None
    code: str | int | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class SessionCreated(Message, frozen=True, kw_only=True, tag="session.created"):
    """First event on a good connection; carries the defaults, which are not ours."""

    session: Json = {}


class SessionUpdated(Message, frozen=True, kw_only=True, tag="session.updated"):
    """The whole effective configuration after an accepted `session.update`."""

    session: Json = {}


class SpeechStarted(Message, frozen=True, kw_only=True, tag="input_audio_buffer.speech_started"):
    """Server VAD onset. `audio_start_ms`: audio written in this session, prefix padding included."""

    audio_start_ms: Number = 0
    item_id: ItemId = ""


class SpeechStopped(Message, frozen=True, kw_only=True, tag="input_audio_buffer.speech_stopped"):
    """Server VAD end. `audio_end_ms` includes the silence window."""

    audio_end_ms: Number = 0
    item_id: ItemId = ""


class InputAudioBufferCommitted(Message, frozen=True, kw_only=True, tag="input_audio_buffer.committed"):
    """Buffered audio became `item_id`; `previous_item_id` chains items in audio order."""

    item_id: ItemId = ""
    previous_item_id: ItemId | UnsetType | None = None


class InputAudioBufferCleared(Message, frozen=True, kw_only=True, tag="input_audio_buffer.cleared"):
    """Answer to `input_audio_buffer.clear`."""


class TimeoutTriggered(Message, frozen=True, kw_only=True, tag="input_audio_buffer.timeout_triggered"):
    """Conversation sessions only; passes."""

    audio_start_ms: Number = 0
    audio_end_ms: Number = 0
    item_id: ItemId = ""


class ConversationItemAdded(Message, frozen=True, kw_only=True, tag="conversation.item.added"):
    """Bookkeeping: the item exists."""

    item: Json = {}
    previous_item_id: ItemId | UnsetType | None = None


class ConversationItemDone(Message, frozen=True, kw_only=True, tag="conversation.item.done"):
    """Bookkeeping: the item is complete (its text may not be)."""

    item: Json = {}
    previous_item_id: ItemId | UnsetType | None = None


class ConversationItemRetrieved(Message, frozen=True, kw_only=True, tag="conversation.item.retrieved"):
    """Answer to retrieve."""

    item: Json = {}


class ConversationItemDeleted(Message, frozen=True, kw_only=True, tag="conversation.item.deleted"):
    """Answer to delete."""

    item_id: ItemId = ""


class TranscriptionDelta(Message, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.delta"):
    """Text to append to what is known of `item_id`."""

    item_id: ItemId = ""
    content_index: int | None = 0
    delta: Text | None = ""
    obfuscation: OptionalText = UNSET
    "Padding the live service adds against traffic analysis; no text."
    logprobs: list[Json] | UnsetType | None = UNSET


class TranscriptionCompleted(
    Message, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.completed"
):
    """The item's text; replaces the joined deltas."""

    item_id: ItemId = ""
    content_index: int | None = 0
    transcript: Text | None = ""
    usage: Json | UnsetType | None = UNSET
    logprobs: list[Json] | UnsetType | None = UNSET
    languages: list[Json] | UnsetType | None = UNSET


class TranscriptionSegment(
    Message, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.segment"
):
    """A stretch of the item with a speaker. `start` and `end` are seconds within the item."""

    id: str = ""
    item_id: ItemId = ""
    content_index: int | None = 0
    text: SegmentText | None = ""
    speaker: SegmentText | None = None
    start: Number = 0
    end: Number = 0


class TranscriptionFailed(Message, frozen=True, kw_only=True, tag="conversation.item.input_audio_transcription.failed"):
    """The item will have no text; the session lives."""

    item_id: ItemId = ""
    content_index: int | None = 0
    error: ErrorDetails = ErrorDetails()


class RateLimitsUpdated(Message, frozen=True, kw_only=True, tag="rate_limits.updated"):
    """Not seen in transcription sessions; passes."""

    rate_limits: list[Json] = []


class ErrorMessage(Message, frozen=True, kw_only=True, tag="error"):
    """Something the server disliked. Fatal only if a close follows."""

    error: ErrorDetails = ErrorDetails()


# Neither ------------------------------------------------------------------------------------------------------


class UnknownMessage(msgspec.Struct, frozen=True):
    """A well-formed message of a type we do not know."""

    type: str
    data: Json


class MalformedMessage(msgspec.Struct, frozen=True):
    """Bytes that are no JSON object with a type, or a known type with a field of the wrong kind."""

    reason: str
    type: str = ""
    is_json: bool = False


CLIENT_MESSAGES: dict[str, type[Message]] = {
    str(m.__struct_config__.tag): m
    for m in (
        SessionUpdate,
        InputAudioBufferAppend,
        InputAudioBufferCommit,
        InputAudioBufferClear,
        ConversationItemRetrieve,
        ConversationItemDelete,
    )
}
SERVER_MESSAGES: dict[str, type[Message]] = {
    str(m.__struct_config__.tag): m
    for m in (
        SessionCreated,
        SessionUpdated,
        SpeechStarted,
        SpeechStopped,
        InputAudioBufferCommitted,
        InputAudioBufferCleared,
        TimeoutTriggered,
        ConversationItemAdded,
        ConversationItemDone,
        ConversationItemRetrieved,
        ConversationItemDeleted,
        TranscriptionDelta,
        TranscriptionCompleted,
        TranscriptionSegment,
        TranscriptionFailed,
        RateLimitsUpdated,
        ErrorMessage,
    )
}

_FIELDS: dict[type[Message], frozenset[str]] = {
    m: frozenset(m.__struct_encode_fields__) | {"type"}
    for table in (CLIENT_MESSAGES, SERVER_MESSAGES)
    for m in table.values()
}
_decoder = msgspec.json.Decoder()
_encoder = msgspec.json.Encoder()


class Decoded(NamedTuple):
    """One incoming frame: the message, the whole JSON object (empty if there was none), fields we do not know."""

    message: Message | UnknownMessage | MalformedMessage
    data: Json
    unknown_fields: tuple[str, ...] = ()


def _decode(frame: bytes | str, table: dict[str, type[Message]]) -> Decoded:
    data = decode_json(frame)
    return _read(data, table) if isinstance(data, dict) else Decoded(data, {})


def _read(data: Json, table: dict[str, type[Message]]) -> Decoded:
    kind = data.get("type")
    if not isinstance(kind, str):
        return Decoded(MalformedMessage(reason="no type", is_json=True), data)
    cls = table.get(kind)
    if cls is None:
        return Decoded(UnknownMessage(kind, data), data)
    try:
        message = convert(data, cls, strict=False)
    except ValidationError as exc:
        return Decoded(MalformedMessage(reason=str(exc), type=kind, is_json=True), data)
    fields = _FIELDS[cls]
    return Decoded(message, data, () if fields.issuperset(data) else tuple(data.keys() - fields))


def decode_json(frame: bytes | str) -> Json | MalformedMessage:
    """The JSON object in a frame, whatever protocol it belongs to. Never raises."""
    try:
        data = _decoder.decode(frame)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as exc:
        return MalformedMessage(reason=f"not JSON: {exc}")
    return data if isinstance(data, dict) else MalformedMessage(reason="not a JSON object", is_json=True)


def read_server_message(data: Json) -> Decoded:
    """What an object the server sent says. Never raises."""
    return _read(data, SERVER_MESSAGES)


def decode_server_message(frame: bytes | str) -> Decoded:
    """Read one frame the server sent. Never raises."""
    return _decode(frame, SERVER_MESSAGES)


def decode_client_message(frame: bytes | str) -> Decoded:
    """Read one frame the client sent. Never raises."""
    return _decode(frame, CLIENT_MESSAGES)


def encode(message: Message | Json) -> bytes:
    """The message as UTF-8 JSON for one TEXT frame."""
    return _encoder.encode(message)


def encode_append(audio: bytes) -> bytes:
    """`input_audio_buffer.append` of raw wire audio, built without a JSON encoder: this runs for every frame."""
    return b'{"type":"input_audio_buffer.append","audio":"' + binascii.b2a_base64(audio, newline=False) + b'"}'
