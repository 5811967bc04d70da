"""The items of a session: from the first sample that belongs to one to its terminal event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import UNSET

from ...realtime import messages as wire
from ...realtime.messages import ErrorDetails, Json, Message
from .errors import RequestRefused
from .identifiers import Identifiers
from .models import ModelTraits
from .recognizers import Recognition, RecognitionRequest
from .session_config import LOGPROBS, SessionConfig
from .transcripts import logprobs, pieces, usage

_MAX_REMEMBERED = 1000
"Items a client can still retrieve or delete."


class Send(Protocol):
    """Puts a message on the wire, with *extra* fields that no struct of ours has."""

    def __call__(self, message: Message, **extra: object) -> None: ...


@dataclass
class Item:
    """One turn. What the configuration was when it began holds to its end."""

    id: str
    begin: int
    "Position of its first sample, 16 kHz."
    request: RecognitionRequest | None
    "What its recogniser is told; None if transcription is off."
    traits: ModelTraits
    logprobs: bool
    seconds: float = 0.0
    said: str = ""
    "Joined deltas."
    committed: bool = False
    pending: str = ""
    "Text known before the commit, of a model that speaks only after it."
    failure: ErrorDetails | None = None
    "It failed before it was committed: to be told after."


@dataclass
class Items:
    """Keeps the chain of items and sends what happens to each."""

    identifiers: Identifiers
    send: Send
    _live: dict[str, Item] = field(default_factory=dict)
    _texts: dict[str, str | None] = field(default_factory=dict)
    _last: str | None = None

    def open(self, begin: int, config: SessionConfig, memory: dict[str, Any]) -> Item:
        """A new item that begins at *begin*, under *config*."""
        item = Item(
            id=self.identifiers.new("item"),
            begin=begin,
            request=_request(config, memory),
            traits=config.traits,
            logprobs=bool(config.include and LOGPROBS in config.include and config.traits.logprobs),
        )
        self._live[item.id] = item
        return item

    def forget(self, item_id: str) -> None:
        """The item's audio was cleared: it never existed."""
        self._live.pop(item_id, None)

    def commit(self, item: Item, seconds: float) -> None:
        """The item is complete, *seconds* long. Announces it, and what is known of its text."""
        item.committed, item.seconds = True, seconds
        previous, self._last = self._last, item.id
        self._remember(item.id)
        self.send(wire.InputAudioBufferCommitted(item_id=item.id, previous_item_id=previous))
        content = _wire_item(item.id, None)
        self.send(wire.ConversationItemAdded(item=content, previous_item_id=previous))
        self.send(wire.ConversationItemDone(item=content, previous_item_id=previous))
        if item.request is None:
            self.forget(item.id)
        elif item.failure is not None:
            self.failed(item.id, item.failure)
        elif item.pending:
            self.partial(item.id, item.pending)

    def partial(self, item_id: str, text: str) -> None:
        """The item's text begins with *text*, which extends what was said before or is ignored."""
        item = self._live.get(item_id)
        if item is None or item.traits.single_delta:
            return
        if item.committed or item.traits.streams_before_commit:
            self._say(item, text, None)
        else:
            item.pending = text

    def completed(self, item_id: str, result: Recognition, heard_seconds: float | None = None) -> None:
        """The item says *result*. *heard_seconds*: only that much of it was listened to, and is billed."""
        item = self._live.pop(item_id, None)
        if item is None:
            return
        seconds = item.seconds if heard_seconds is None else min(item.seconds, heard_seconds)
        if item.traits.single_delta:
            if result.text:
                self._delta(item, result.text, result.confidence)
        elif result.text.startswith(item.said):
            for piece in pieces(result.text[len(item.said) :]):
                self._delta(item, piece, result.confidence)
        if item_id in self._texts:
            self._texts[item_id] = result.text
        codes = [{"code": result.language}] if result.language else []
        self.send(
            wire.TranscriptionCompleted(
                item_id=item_id,
                transcript=result.text,
                usage=usage(item.traits, seconds, result.text),
                logprobs=logprobs(result.text, result.confidence) if item.logprobs else UNSET,
                languages=codes if item.traits.reports_languages else UNSET,
            )
        )

    def failed(self, item_id: str, error: ErrorDetails) -> None:
        """The item will have no text."""
        item = self._live.get(item_id)
        if item is None:
            return
        if not item.committed:
            item.failure = error
            return
        del self._live[item_id]
        self.send(wire.TranscriptionFailed(item_id=item_id, error=error))

    def retrieve(self, item_id: str) -> Json:
        """The item as the wire has it, without its audio, which is not kept. Raises RequestRefused."""
        self._require(item_id, "retrieve")
        return _wire_item(item_id, self._texts[item_id])

    def delete(self, item_id: str) -> None:
        """Forget the item; text still under way is not sent. Raises RequestRefused."""
        self._require(item_id, "delete")
        del self._texts[item_id]
        self._live.pop(item_id, None)

    def _require(self, item_id: str, verb: str) -> None:
        if item_id not in self._texts:
            raise RequestRefused(
                f"item_{verb}_invalid_item_id", f"Item with item_id not found: '{item_id}'.", "item_id"
            )

    def _remember(self, item_id: str) -> None:
        self._texts[item_id] = None
        while len(self._texts) > _MAX_REMEMBERED:
            del self._texts[next(iter(self._texts))]

    def _say(self, item: Item, text: str, confidence: float | None) -> None:
        if text.startswith(item.said) and len(text) > len(item.said):
            self._delta(item, text[len(item.said) :], confidence)

    def _delta(self, item: Item, text: str, confidence: float | None) -> None:
        item.said += text
        self.send(
            wire.TranscriptionDelta(
                item_id=item.id, delta=text, logprobs=logprobs(text, confidence) if item.logprobs else UNSET
            ),
            obfuscation=self.identifiers.padding(),
        )


def _request(config: SessionConfig, memory: dict[str, Any]) -> RecognitionRequest | None:
    told: Mapping[str, Any] | None = config.transcription
    if told is None:
        return None
    one = told.get("language")
    return RecognitionRequest(
        model=told["model"],
        languages=(one,) if one else tuple(told.get("languages") or ()),
        keywords=tuple(told.get("keywords") or ()),
        prompt=told.get("prompt"),
        partials=config.traits.streams_before_commit,
        delay=told.get("delay"),
        memory=memory,
    )


def _wire_item(item_id: str, transcript: str | None) -> Json:
    return {
        "id": item_id,
        "type": "message",
        "status": "completed",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": transcript}],
    }
