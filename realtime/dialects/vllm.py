"""vLLM's realtime transcription: 16 kHz, an utterance is begun and ended, nothing has an identifier.

Source: the server's own code and documentation, as of 2026.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..endpoint import realtime_url
from ..messages import Decoded, Json, MalformedMessage, decode_json, encode, read_server_message
from ..models import ModelRules
from ..options import SessionOptions
from .base import Configuration, Dialect

TRANSCRIPTION = "conversation.item.input_audio_transcription."
# After these no text will come on the connection: its utterance is gone, or there never was a model.
_BROKEN = frozenset({"model_not_found", "model_not_validated", "processing_error", "invalid_audio"})


class Vllm(Dialect):
    """One utterance at a time: the server forgets audio that comes between the end of one and its text."""

    name = "vllm"
    pcm_rate = 16_000
    confirms = False
    one_at_a_time = True

    def __init__(self) -> None:
        super().__init__()
        self._utterances = 0
        self._begun = False
        self._unsaid: list[Json] = []

    @classmethod
    def url(cls, base_url: str, model: str, *, field: str = "base_url") -> str:
        """See `Dialect.url`."""
        return realtime_url(base_url, field=field, intent="")

    @classmethod
    def rules(cls, model: str) -> ModelRules:
        """The server takes a model and audio, and nothing else."""
        return ModelRules(
            streams_before_commit=True,
            allows_server_vad=False,
            server_vad_refusal="a vllm server has no turn detection",
            fields=frozenset(),
            logprobs=False,
            noise_reduction=False,
            wire_formats=("pcm16",),
            server="vllm",
        )

    @property
    def _item_id(self) -> str:
        return f"utterance_{self._utterances}"

    def configure(self, options: SessionOptions, event_id: str) -> Configuration:
        """See `Dialect.configure`."""
        ga = super().configure(options, event_id)
        update: Json = {"type": "session.update", "model": options.transcription.model}
        return Configuration(encode(update), {}, ga.warnings)

    def begin(self) -> bytes | None:
        """See `Dialect.begin`: the server begins to decode."""
        if self._begun:
            return None
        self._begun = True
        self._utterances += 1
        return encode({"type": "input_audio_buffer.commit", "final": False})

    def commit(self, event_id: str) -> bytes:
        """See `Dialect.commit`."""
        self._begun = False
        self._unsaid.append({"type": "input_audio_buffer.committed", "item_id": self._item_id})
        return encode({"type": "input_audio_buffer.commit", "final": True})

    def unsaid(self) -> Sequence[Decoded]:
        """See `Dialect.unsaid`: that an utterance became an item."""
        said, self._unsaid = self._unsaid, []
        return [read_server_message(data) for data in said]

    def decode(self, frame: bytes | str) -> Sequence[Decoded]:
        """See `Dialect.decode`."""
        data = decode_json(frame)
        if isinstance(data, MalformedMessage):
            return (Decoded(data, {}),)
        return (read_server_message(self._ga(data)),)

    def _ga(self, data: Json) -> Json:
        kind = data.get("type")
        if kind == "session.created":
            return {"type": kind}
        if kind == "transcription.delta":
            return {"type": TRANSCRIPTION + "delta", "item_id": self._item_id, "delta": data.get("delta")}
        if kind == "transcription.done":
            ga = {"type": TRANSCRIPTION + "completed", "item_id": self._item_id, "transcript": data.get("text")}
            return {**ga, "usage": _usage(data.get("usage"))}
        if kind == "error":
            return self._error(data)
        return data

    def _error(self, data: Json) -> Json:
        error = data.get("error")
        details: Json = error if isinstance(error, dict) else {"message": error, "code": data.get("code")}
        code = details.get("code")
        if code in _BROKEN:
            self.broken = str(code)
        return {"type": "error", "error": details}


def _usage(usage: Any) -> Json | None:
    """Tokens, under the names GA has for them."""
    if not isinstance(usage, dict):
        return None
    names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens", "total_tokens": "total_tokens"}
    return {"type": "tokens", **{ours: usage[theirs] for theirs, ours in names.items() if theirs in usage}}
