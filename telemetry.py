"""What the extension says about itself: log lines in TEN's categories, metrics, and the details of a result."""

from __future__ import annotations

import hashlib
import inspect
from collections import deque
from typing import Any

from .config import OpenAIASRConfig
from .realtime import events as ev
from .realtime.errors import mask_keys
from .realtime.ledger import State
from .realtime.stream import Stream

try:  # the names exist in every generation we know of, but they are not worth an import error
    from ten_ai_base.const import LOG_CATEGORY_KEY_POINT, LOG_CATEGORY_VENDOR
except ImportError:
    LOG_CATEGORY_KEY_POINT, LOG_CATEGORY_VENDOR = "key_point", "vendor"

FATAL, NON_FATAL = -1000, 1000
LONG_KEY = 20
"Characters. Keys that services issue have more; what people make up for a server of their own may have fewer."
PASSING_SECRETS = 64
"Keys of single connections that are still taken out of logs; what they opened is long closed then."
PRIVATE_RESULT_LOG = "send_asr_result"
"How the base begins the line in which it logs a whole result."
_SCHEMES = frozenset({"bearer", "basic", "digest", "apikey"})
"Words before the secret in a header."
_LEVELS = ("debug", "info", "warn", "error")


class Redactor:
    """Takes secrets out of text on its way to a log or an error: servers quote keys, proxies quote headers."""

    SHORTEST = 6
    "A secret shorter than this cannot be told from ordinary text; no service issues such keys."

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._passing: deque[str] = deque(maxlen=PASSING_SECRETS)

    def add(self, *secrets: str | None) -> None:
        """Never let these through again."""
        self._secrets.update(secret for secret in secrets if secret and len(secret) >= self.SHORTEST)

    def add_header(self, value: str) -> None:
        """Nor a header's value, nor a word of it: servers quote a key without the `Bearer` before it."""
        self.add(value, *(word for word in value.split() if word.lower() not in _SCHEMES))

    def add_passing(self, secret: str) -> None:
        """Not this one either: a key that is made for one connection. The newest `PASSING_SECRETS` are known."""
        if len(secret) >= self.SHORTEST and secret not in self._passing:
            self._passing.append(secret)

    def __call__(self, text: str) -> str:
        """*text* without any secret added, and without what looks like a key."""
        for secret in sorted({*self._secrets, *self._passing}, key=len, reverse=True):
            text = text.replace(secret, "***")
        return mask_keys(text)


class Telemetry:
    """Logging with our own level, and counters that go out as metrics."""

    def __init__(self) -> None:
        self.env: Any = None
        self.level = "info"
        self.redact = Redactor()
        self._said: set[str] = set()
        self._user_rest = 0.0
        self._silence_rest = 0.0

    @property
    def debug(self) -> bool:
        """Whether lines of that level go out: what comes often is put into words only then."""
        return self.level == "debug"

    def _log(self, level: str, message: str, category: str) -> None:
        if self.env is not None and _LEVELS.index(level) >= _LEVELS.index(self.level):
            getattr(self.env, f"log_{level}")(self.redact(message), category=category)

    def key_point(self, level: str, message: str) -> None:
        """Log for the operator."""
        self._log(level, message, LOG_CATEGORY_KEY_POINT)

    def vendor(self, level: str, message: str) -> None:
        """Log about the vendor; *message* begins with one of TEN's prefixes."""
        self._log(level, message, LOG_CATEGORY_VENDOR)

    def once(self, cause: str, message: str) -> bool:
        """Log a warning the first time *cause* comes up; whether it was the first time."""
        if cause in self._said:
            return False
        self._said.add(cause)
        self.key_point("warn", message)
        return True

    def result(self, event: ev.Transcript) -> None:
        """Log a result; with its text only if our own level is debug."""
        if self.debug:
            kind = "final" if event.final else "partial"
            self.vendor("debug", f"vendor_result: {kind} {event.start_ms}+{event.duration_ms} ms: {event.text}")
        elif event.final:
            self.vendor(
                "info", f"vendor_result: final {event.start_ms}+{event.duration_ms} ms, {len(event.text)} characters"
            )

    def whole_ms(self, user_ms: float, silence_ms: float) -> tuple[int, int]:
        """Whole milliseconds for the base's timeline; what is left over counts next time."""
        self._user_rest += user_ms
        self._silence_rest += silence_ms
        user, silence = int(self._user_rest), int(self._silence_rest)
        self._user_rest -= user
        self._silence_rest -= silence
        return user, silence

    def vendor_metrics(self, stream: Stream) -> dict[str, Any]:
        """The stream in numbers; milliseconds are of the caller's audio, totals since the start."""
        totals, stats, rate = stream.ledger.totals, stream.stats, stream.rate
        return {
            "accepted_ms": stream.ledger.accepted * 1000 // rate,
            "lag_ms": stream.lag_ms,
            "unsettled_ms": stream.unsettled_ms,
            "final_ms": totals[State.FINAL] * 1000 // rate,
            "gated_ms": totals[State.GATED] * 1000 // rate,
            "lost_ms": totals[State.LOST] * 1000 // rate,
            "sent_user_ms": int(stats.sent_user_ms),
            "sent_silence_ms": int(stats.sent_silence_ms),
            "replayed_ms": int(stats.replayed_ms),
            "reconnects": stats.reconnects,
            "rollovers": stats.rollovers,
            "repairs": stats.repairs,
            "unsaid": stream.book.unsaid,
            "billed_seconds": float(stats.billed_seconds),
            "billed_tokens": stats.billed_tokens,
            "unknown_events": stats.unknown_events,
            "duplicate_events": stats.duplicate_events,
        }


def asr_info(event: ev.Transcript, vendor: str, model: str) -> dict[str, Any]:
    """`metadata.asr_info` of a result. Holds no null: TEN's properties have none."""
    info: dict[str, Any] = {"vendor": vendor, "model": model}
    if event.item_id:
        info["item_id"] = event.item_id
    if event.confidence is not None:
        info["confidence"] = event.confidence
    if event.usage and (usage := _without_null(event.usage)):
        info["usage"] = usage
    if event.speaker is not None:
        info["speaker"] = event.speaker
    for mark in ("late", "promoted", "replayed", "retracted"):
        if getattr(event, mark):
            info[mark] = True
    return info


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_null(inner) for key, inner in value.items() if inner is not None}
    return value


class Wording:
    """How a configuration, once in force, is told in every result and report: worked out once, not for each."""

    LANGUAGES = 64
    "Languages a server may detect in a call and still be looked up; nobody speaks more."

    def __init__(self, config: OpenAIASRConfig | None) -> None:
        self._config = config
        self._languages: dict[str | None, str] = {}
        self.model = config.input_audio_transcription.model if config else ""
        self.vendor_metadata: dict[str, Any] = {}
        "Whose connection it is; empty without a configuration."
        if config is not None:
            settings = config.connection
            self.vendor_metadata = {
                "key": "***" if settings.api_key_command else key_fingerprint(settings.api_key or ""),
                "url": settings.display_url,
                "model": self.model,
            }

    def language(self, detected: str | None) -> str:
        """The tag of a result in which the server heard *detected*."""
        assert self._config is not None
        tag = self._languages.get(detected)
        if tag is None:
            if len(self._languages) >= self.LANGUAGES:
                self._languages.clear()
            tag = self._languages[detected] = self._config.result_language(detected)
        return tag


def key_fingerprint(key: str) -> str:
    """What tells one *key* from another and says nothing else of it, also where nobody masks it again.

    Of a short key not even that: it could be found by trying.
    """
    if len(key) < LONG_KEY:
        return "***" if key else ""
    return f"***{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def status_arguments(base: type, vendor: str, event: ev.Disconnected, redact: Redactor) -> dict[str, Any]:
    """Keyword arguments for the base's `on_disconnected`, whichever generation it is."""
    parameters = inspect.signature(base.on_disconnected).parameters  # type: ignore[attr-defined]
    code: Any = NON_FATAL if event.retry_in_ms is not None else FATAL
    if "code" in parameters and isinstance(parameters["code"].default, str):
        code = str(code)
    message = redact(event.reason) or "closed"
    arguments: dict[str, Any] = {"code": code, "message": message}
    if "vendor_info" in parameters:
        from ten_ai_base.message import ModuleErrorVendorInfo

        arguments["vendor_info"] = ModuleErrorVendorInfo(vendor=vendor, code=redact(event.code), message=message)
    return arguments
