"""speaches: beta's flat session under GA's event names, a model in the URL, and a detector that cannot be switched off.

Its own detector is not used: it counts times from buffer to buffer, not within the session, and in some of its versions
a commit in mid-speech never gets a text. Source: the server's own code, several states of it up to March 2026.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ..endpoint import realtime_url
from ..messages import Decoded, ErrorMessage, Json, encode
from ..models import ModelRules
from ..options import SessionOptions
from .base import Configuration
from .beta import Beta

# Each is answered with an error that names it, while the rest of the update is applied all the same.
_TOLERATED = ("turn_detection.prefix_padding_ms", "input_audio_format")
NEVER = 1.0
"Probability no detector is ever so sure of: this server's way to leave turns to the client."


class Speaches(Beta):
    """Turns of our own are had by a threshold that is never reached; the server then takes our commits."""

    name = "speaches"
    update_type = "session.update"
    session_s = 30 * 60.0

    @classmethod
    def url(cls, base_url: str, model: str, *, field: str = "base_url") -> str:
        """See `Dialect.url`. The handshake is refused without a model in the query."""
        return realtime_url(base_url, field=field, query={"model": model})

    @classmethod
    def fixed_headers(cls) -> dict[str, str]:
        """None."""
        return {}

    @classmethod
    def rules(cls, model: str) -> ModelRules:
        """The server decides what can be asked for, whatever the model."""
        return ModelRules(
            allows_server_vad=False,
            server_vad_refusal="a speaches server counts times from buffer to buffer, and loses a turn that a finalize "
            "ends in mid-speech",
            fields=frozenset({"language"}),
            logprobs=False,
            noise_reduction=False,
            wire_formats=("pcm16",),
            server="speaches",
        )

    def configure(self, options: SessionOptions, event_id: str) -> Configuration:
        """See `Dialect.configure`. A detector's object counts only when it is complete."""
        ga = super().configure(options, event_id)
        asked = ga.expected["audio"]["input"]
        numbers = options.turn_detection
        detector = {
            "type": "server_vad",
            "threshold": NEVER,
            "silence_duration_ms": numbers.effective_silence_ms,
        }
        flat: Json = {
            "input_audio_transcription": asked["transcription"],
            "turn_detection": {**detector, "prefix_padding_ms": numbers.prefix_padding_ms, "create_response": False},
        }
        update: Json = {"type": self.update_type, "event_id": event_id, "session": flat}
        expected: Json = {"audio": {"input": {"transcription": asked["transcription"], "turn_detection": detector}}}
        return replace(ga, frame=encode(update), expected=expected)

    def decode(self, frame: bytes | str) -> Sequence[Decoded]:
        """See `Dialect.decode`. Errors that only tell of a field that was passed over are none."""
        return [d for d in super().decode(frame) if not _is_tolerated(d)]


def _is_tolerated(decoded: Decoded) -> bool:
    message = decoded.message
    return isinstance(message, ErrorMessage) and any(name in (message.error.message or "") for name in _TOLERATED)
