"""Which dialect a server speaks: as configured, or found out from the URL and the first event."""

from __future__ import annotations

from typing import Any

from ..endpoint import host_of, is_azure, realtime_url
from ..messages import MalformedMessage, decode_json
from .azure import Azure, AzureEphemeral
from .base import Dialect
from .beta import Beta
from .speaches import Speaches
from .vllm import Vllm

DIALECTS: dict[str, type[Dialect]] = {
    kind.name: kind for kind in (Dialect, Azure, AzureEphemeral, Beta, Speaches, Vllm)
}
AUTO = "auto"
_WITHOUT_MODEL = ("400", "403", "404", "422", "1008")
"How servers that want a model in the URL refuse one that has none."

MAX_PROBES = 3
"Attempts that ask twice, so long as no session has begun: a server that refuses us for good is not asked for ever."


class DialectChoice:
    """The kind of server behind one base URL. What was found stays found: a server does not change its language.

    A provider is known by its host. Any other server is asked as GA is; its first event tells. One that refuses a URL
    without a model is asked once more, with it: the one round trip that finding out may cost.
    """

    def __init__(self, word: str = Dialect.name, base_url: str = "") -> None:
        """*word*: a name of `DIALECTS`, or `auto`. Raises ValueError for any other."""
        if word != AUTO and word not in DIALECTS:
            raise ValueError(f"dialect: {word!r} given, must be one of {', '.join((AUTO, *DIALECTS))}")
        self.kind = DIALECTS[by_url(base_url) if word == AUTO else word]
        "What is spoken, as far as is known."
        self.settled = word != AUTO or is_provider(base_url)
        self._base_url = base_url
        self._with_model = False
        self._probes = 0

    def url(self, model: str) -> str:
        """Where to connect now. Raises ConfigurationError."""
        if self._with_model and not self.settled:
            return realtime_url(self._base_url, query={"model": model})
        return self.kind.url(self._base_url, model)

    def hear(self, frame: bytes | str) -> bool:
        """Take the first frame of a connection; True if `kind` is another one for it."""
        found = None if self.settled else by_first_event(frame)
        if found is None:
            return False
        self.settled = True
        if self._with_model and found == Dialect.name:
            found = GaWithModel.name
        changed = found != self.kind.name
        self.kind = {**DIALECTS, GaWithModel.name: GaWithModel}[found]
        return changed

    def refused(self, code: str) -> bool:
        """A connection was refused with *code* (of the server's error, else the HTTP status or close code) before its
        session began. True: dial again at once, the URL is another one now."""
        if self.settled:
            return False
        if self._with_model:  # that was not it: the next attempt is as the first
            self._with_model = False
        elif code in _WITHOUT_MODEL and self._probes < MAX_PROBES:
            self._probes += 1
            self._with_model = True
        return self._with_model


class GaWithModel(Dialect):
    """GA on the wire, and a model in the URL. Never chosen by name: whoever knows the URL writes it whole."""

    name = "openai_with_model"

    @classmethod
    def url(cls, base_url: str, model: str, *, field: str = "base_url") -> str:
        """See `Dialect.url`."""
        return realtime_url(base_url, field=field, query={"model": model})


def is_provider(base_url: str) -> bool:
    """Whether the host alone says who it is."""
    return f".{host_of(base_url)}".endswith(".openai.com") or is_azure(base_url)


def by_url(base_url: str) -> str:
    """The dialect to begin with."""
    return Azure.name if is_azure(base_url) else Dialect.name


def by_first_event(frame: bytes | str) -> str | None:
    """The dialect of a server that begins with *frame*; None if it does not tell."""
    data = decode_json(frame)
    if isinstance(data, MalformedMessage):
        return None
    kind, session = data.get("type"), data.get("session")
    if kind == "transcription_session.created":
        return Beta.name
    if kind != "session.created":
        return None
    if not isinstance(session, dict):
        return Vllm.name
    return Speaches.name if _is_flat(session) else Dialect.name


def _is_flat(session: dict[str, Any]) -> bool:
    return "audio" not in session and any(
        name in session for name in ("input_audio_transcription", "input_audio_format", "turn_detection")
    )
