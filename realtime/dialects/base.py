"""The protocol as OpenAI speaks it, and the seam at which a server that speaks it otherwise is adapted.

Inside, everything is GA: the messages of `messages.py`. A dialect translates both ways for one connection, and says
where such a server is found and what it wants to see of the key. It has no I/O and no clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from ..endpoint import bearer, display_url, realtime_url
from ..messages import (
    Decoded,
    InputAudioBufferCommit,
    Json,
    SessionUpdate,
    decode_server_message,
    encode,
    encode_append,
)
from ..models import ModelRules, rules_for, session_object
from ..options import SessionOptions


class Configuration(msgspec.Struct, frozen=True):
    """What configures a session: the frame to send, the GA session object the echo must show, and warnings."""

    frame: bytes
    expected: Json
    warnings: list[str] = []


class Dialect:
    """OpenAI GA, and what every other dialect is a change of. One object for each connection.

    The class attributes and class methods describe the kind of server; the instance speaks.
    """

    name = "openai"
    pcm_rate = 24_000
    "Hz of `pcm16` on the wire."
    confirms = True
    "The server answers an update of the session with `session.updated`."
    one_at_a_time = False
    "Audio of the next utterance is lost if it comes before the text of the last."
    session_s: float | None = None
    "Longest life of a session, in seconds, where the server does not tell it."
    mints_secrets = False
    "The socket takes short-lived secrets alone, which the key buys over HTTP."

    def __init__(self) -> None:
        self.broken = ""
        "Set when the connection, though open, is of no more use: the server's code for why."

    # Where, and as whom ---------------------------------------------------------------------------------------

    @classmethod
    def url(cls, base_url: str, model: str, *, field: str = "base_url") -> str:
        """The WebSocket URL of a session under *base_url*. Raises ConfigurationError, naming *field*."""
        return realtime_url(base_url, field=field)

    @classmethod
    def display_url(cls, base_url: str, model: str) -> str:
        """The same, as a log may show it."""
        return display_url(cls.url(base_url, model))

    @classmethod
    def credentials(cls, key: str) -> Mapping[str, str]:
        """The headers that carry *key*."""
        return bearer(key)

    @classmethod
    def fixed_headers(cls) -> Mapping[str, str]:
        """Headers the server wants besides."""
        return {}

    @classmethod
    def rules(cls, model: str) -> ModelRules:
        """What can be asked of *model* on such a server."""
        return rules_for(model)

    # What we send ---------------------------------------------------------------------------------------------

    def configure(self, options: SessionOptions, event_id: str) -> Configuration:
        """What tells the server how to listen. *options.turn_detection* is resolved."""
        session, warnings = session_object(options, self.rules(options.transcription.model))
        return Configuration(encode(SessionUpdate(event_id=event_id, session=session)), session, warnings)

    def begin(self) -> bytes | None:
        """What must go out before the first audio behind a commit, if anything."""
        return None

    def append(self, audio: bytes) -> bytes:
        """A frame with *audio*, raw in the wire's format."""
        return encode_append(audio)

    def commit(self, event_id: str) -> bytes:
        """The frame that ends an utterance."""
        return encode(InputAudioBufferCommit(event_id=event_id))

    # What comes back ------------------------------------------------------------------------------------------

    def decode(self, frame: bytes | str) -> Sequence[Decoded]:
        """What one frame of the server means. Never raises."""
        return (decode_server_message(frame),)

    def unsaid(self) -> Sequence[Decoded]:
        """What this server never says though GA does, due after what was sent last. Each is returned once."""
        return ()
