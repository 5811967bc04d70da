"""What each thing a service can do to us means, and the one outcome it has: data, read by `errors.py`.

Sources: the provider's error reference, frame captures of the live service, and RFC 6455 for close codes.
`docs/errors.md` is made from these tables, and `tests/test_errors.py` drives a session through every row.
"""

from __future__ import annotations

from enum import Enum

import msgspec


class Outcome(Enum):
    """What becomes of the stream."""

    RETRY = "retry"
    REFUSED = "fatal after tries"
    IGNORE = "ignore"
    REPORT = "report"
    REPAIR = "repair"


class Where(Enum):
    """Where it came: the same code means another thing before a session is configured than behind it."""

    HTTP = "the handshake is answered with an HTTP status"
    SETUP = "`error` before the session is configured, or the end of the close's reason"
    UPDATE = "`error` that answers our `session.update`"
    LIVE = "`error` on a live stream"
    ITEM = "`failed` item, or `error` that names its commit"
    CLOSE = "the server, or the network, ends the connection"
    OURS = "the answer to a close of ours"


OTHER = "*"
"A row for every code of its place that has no row of its own."
NO_HTTP = "none"
"In place of an HTTP status: there was no answer at all."
SESSION_EXPIRED = "session_expired"
COMMIT_EMPTY = "input_audio_buffer_commit_empty"


class Row(msgspec.Struct, frozen=True):
    """One situation: recognised by a place and one of `codes`, which are unique for that place."""

    where: Where
    codes: tuple[str, ...]
    "`error.code` (its type where the code is null), close code, or HTTP status; `5xx` stands for all of 500 to 599."
    outcome: Outcome
    meaning: str
    remedy: str
    "What the operator should do."
    detail: str = ""
    "What the extension does beyond what the outcome says."
    silent: bool = False
    "Nobody's fault: never told as an error."


_H, _S, _U, _L = Where.HTTP, Where.SETUP, Where.UPDATE, Where.LIVE
_RETRY, _REFUSED, _REPORT, _REPAIR = Outcome.RETRY, Outcome.REFUSED, Outcome.REPORT, Outcome.REPAIR
_NOTHING = "Nothing."

TABLE: tuple[Row, ...] = (
    # The handshake
    Row(_H, ("400",), _REFUSED, "The request is not one this service takes; Azure: the model is of the wrong kind "
        "(`OpperationNotSupported`).", "Check `params.base_url` and the model or deployment."),
    Row(_H, ("401",), _REFUSED, "The key is missing or wrong.", "Check `params.api_key` and whose service it is for."),
    Row(_H, ("403",), _REFUSED, "No access with this key, or a path the service does not offer.",
        "Check the key's rights and the path in `params.base_url`."),
    Row(_H, ("404",), _REFUSED, "No such path or deployment.", "Check `params.base_url`; it usually ends in `/v1`."),
    Row(_H, ("405",), _REFUSED, "The path takes no WebSocket upgrade, or a proxy in between speaks HTTP/2 to it.",
        "Check `params.base_url` and the proxy."),
    Row(_H, ("429",), _RETRY, "Too many requests.", "If it lasts: fewer streams, or a higher limit of the account.",
        "`Retry-After` is the least it waits."),
    Row(_H, ("5xx",), _RETRY, "The service, or what stands before it, has a fault.",
        "If it lasts: the service's status page.", "`Retry-After` is the least it waits."),
    Row(_H, (NO_HTTP,), _RETRY, "No answer: name not found, nobody listens, TLS or proxy failed.",
        "Check the network, `params.base_url`, `params.proxy`, `params.ca_file`; the message says which step failed."),
    Row(_H, (OTHER,), _RETRY, "An answer that is no upgrade.", "Check that `params.base_url` is a Realtime service."),
    # Before the session is configured. A connection that is refused this way has been upgraded first.
    Row(_S, ("invalid_api_key",), _REFUSED, "The key is wrong.", "Check `params.api_key`."),
    Row(_S, ("invalid_model",), _REFUSED, "The URL names a model this kind of session does not take.",
        "Remove `model` from the query of `params.base_url`; set `params.input_audio_transcription.model`."),
    Row(_S, ("model_not_found", "model_not_validated"), _REFUSED, "The server does not have the model.",
        "Set `params.input_audio_transcription.model` to one it has."),
    Row(_S, ("missing_model",), _REFUSED, "The URL says neither model nor intent.",
        "Check that a proxy keeps the query of the URL."),
    Row(_S, ("beta_api_shape_disabled",), _REFUSED, "A header asks for the beta protocol, which is gone.",
        "Remove `OpenAI-Beta` from `params.headers`."),
    Row(_S, ("insufficient_quota",), _REFUSED, "The account has no credit left.", "Add credit, then `trigger_connect`.",
        "Also with close code 1013, which alone would mean: try later."),
    Row(_S, ("rate_limit_exceeded",), _RETRY, "Too many sessions or requests.",
        "If it lasts: fewer streams, or a higher limit of the account."),
    Row(_S, ("server_error",), _RETRY, "The service has a fault.", "If it lasts: the service's status page."),
    Row(_S, (OTHER,), _RETRY, "The service has something against the session.", "Read its message."),
    # Our configuration
    Row(_U, ("invalid_value", "unknown_parameter"), _RETRY, "The model or the service does not take a field, or its "
        "value; `turn_detection` on a model that streams text is one.", "Change the property that the message names."),
    Row(_U, ("integer_below_min_value",), _RETRY, "A number is too small; for the rate of the audio, below 24000.",
        "Change the property that the message names."),
    Row(_U, ("string_above_max_length",), _RETRY, "A text is too long; a prompt has at most 1,024 characters.",
        "Shorten the property that the message names."),
    Row(_U, ("invalid_parameter",), _RETRY, "This is no transcription session: the URL opened another kind.",
        "Remove `model` from the query of `params.base_url`."),
    Row(_U, (OTHER,), _RETRY, "The configuration was discarded whole.", "Change the property that the message names."),
    # On a live stream
    Row(_L, (COMMIT_EMPTY,), Outcome.IGNORE, "A commit found less than 100 ms: the server had committed already.",
        _NOTHING, "What waited for that commit is settled as empty."),
    Row(_L, (SESSION_EXPIRED,), _RETRY, "The session's hour is over.", _NOTHING, "Not told as an error.", silent=True),
    Row(_L, ("invalid_value",), _REPORT, "The server does not know an event we send, or a value in it.",
        "Check that `params.base_url` is a service of the GA protocol; else tell us."),
    Row(_L, ("unknown_parameter",), _REPORT, "The server does not know a field we send.",
        "Check that `params.base_url` is a service of the GA protocol; else tell us."),
    Row(_L, ("invalid_json", "invalid_event"), _REPORT, "The server could not read an event of ours.",
        "Check for a proxy that changes messages; else tell us."),
    Row(_L, ("rate_limit_exceeded",), _REPORT, "The account's limit is reached.",
        "Fewer streams, or a higher limit of the account.", "If a close follows, that is a retry."),
    Row(_L, ("server_error",), _REPORT, "Something failed inside the service.",
        "If it lasts: the service's status page.", "An item without text because of it has its own deadline."),
    Row(_L, (OTHER,), _REPORT, "Something this version does not know.", "Read its message."),
    # Items
    Row(Where.ITEM, ("server_error",), _REPAIR, "The service could not transcribe this item.",
        "If it happens often: the service's status page."),
    Row(Where.ITEM, ("rate_limit_exceeded",), _REPAIR, "The account's limit is reached; this item has no text.",
        "Fewer streams, or a higher limit of the account."),
    Row(Where.ITEM, (OTHER,), _REPAIR, "This item has no text.", "Read its message."),
    # Ends of a connection
    Row(Where.OURS, ("1000", OTHER), Outcome.IGNORE, "The other side agrees to the end.", _NOTHING),
    Row(Where.CLOSE, ("1000",), _RETRY, "A normal end that nobody asked for.", _NOTHING),
    Row(Where.CLOSE, ("1001",), _RETRY, "The server goes away. With *maximum duration* in its reason: the session's "
        "hour is over, which is `session_expired`.", _NOTHING),
    Row(Where.CLOSE, ("1005", "1006"), _RETRY, "The connection broke without a close code.",
        "If it happens often: the network, or a proxy with an idle limit."),
    Row(Where.CLOSE, ("1008",), _REFUSED, "Against the service's policy: how some refuse a key.",
        "Check `params.api_key`."),
    Row(Where.CLOSE, ("1009",), _RETRY, "A message was too big for one side.",
        "Check for a proxy with a limit below 16 MiB."),
    Row(Where.CLOSE, ("1011",), _RETRY, "A fault in the server, or it missed a pong.",
        "If it lasts: the service's status page."),
    Row(Where.CLOSE, ("1012",), _RETRY, "The server restarts.", _NOTHING),
    Row(Where.CLOSE, ("1013",), _RETRY, "The server is busy. With `insufficient_quota`: see there.",
        "If it lasts: the account's limits."),
    Row(Where.CLOSE, ("3000",), _REFUSED, "Not authorised; without an `error` code: no key came.",
        "Check `params.api_key`."),
    Row(Where.CLOSE, ("4000",), _REFUSED, "The service does not take requests of this shape.",
        "Check `params.base_url`, its query and `params.headers`."),
    Row(Where.CLOSE, (OTHER,), _RETRY, "The connection ended.", "If it happens often: the reason in the message."),
)  # fmt: skip


class OwnCode(msgspec.Struct, frozen=True):
    """A `vendor_info.code` that we give, not the service."""

    code: str
    meaning: str
    does: str
    remedy: str
    fatal: bool = False


_ON = "Goes on with what follows."
_NO_TEXT = "That audio has no text; the error has its times."

OWN_CODES: tuple[OwnCode, ...] = (
    OwnCode("invalid_configuration", "A property cannot work.", "Inactive.",
            "Change the property that the message names.", fatal=True),
    OwnCode("refused", "A key, model or quota stayed refused; the service's own code comes instead of it where it gave "
            "one.", "Inactive until `trigger_connect`; the last 2 s of audio are kept.",
            "Check `params.api_key`, the model, the account's quota and `params.base_url`.", fatal=True),
    OwnCode("dropped", "The connection was lost; a close code comes instead of it where there was one. For audio: it "
            "was sent, had no text yet, and cannot be sent again.", "Dials again; what has no text goes out again, as "
            "far as `replay_window_ms` reaches.", "If it happens often: the network. Leave `replay_window_ms` on."),
    OwnCode("connect_failed", "No session could be configured; the HTTP status or close code comes instead of it where "
            "there was one.", "Keeps the audio and dials again.", "Read the message; see the tables above."),
    OwnCode("timeout", "The service did not answer the dial, or did not configure the session, in "
            "`connect_timeout_ms`.", "Keeps the audio and dials again.", "Check that `params.base_url` is a Realtime "
            "service; raise `connect_timeout_ms` for one that loads its model first."),
    OwnCode("config_refused", "The service discarded our `session.update`; its code comes instead of it.",
            "Dials again; no text can come until it is taken.", "Change the property that the message names."),
    OwnCode("dialect_unfit", "The server speaks another dialect, which cannot do what was configured.",
            "Inactive until `trigger_connect`.", "Change the property that the message names.", fatal=True),
    OwnCode("reverted", "A new configuration that was taken without a connection was refused when there was one.",
            "Goes back to the last one that worked, and dials again.", "Read the message; correct the update."),
    OwnCode("echo_mismatch", "The session has another model, format or turn detection than was asked, twice.",
            "Dials again; no audio was sent.", "Ask for what the message says the service has, or for another model."),
    OwnCode("finalize_timeout", "A finalize was answered at its deadline, before all text was there.",
            "Text that comes later goes out marked `late`.", "If the service is always this slow: raise "
            "`finalize_timeout_ms`."),
    OwnCode("overdue", "The service lives, but an answer it owes did not come.", "Renews the connection and sends "
            "again what has no text; a single item is repaired.", "If it happens often: the service's status page."),
    OwnCode("unsaid", "Text came after its finalize, and other words had gone out in its place.",
            "Leaves it out; the metric `unsaid` counts it.", "Raise `finalize_timeout_ms` if it happens often."),
    OwnCode("window_exceeded", "Audio waited longer than `replay_window_ms` to be sent.", _NO_TEXT,
            "Find why the service was away so long; the errors before this one say."),
    OwnCode("not_answered", "Audio was sent and never answered until it left `replay_window_ms`.", _NO_TEXT,
            "Find why the service was mute; the errors before this one say."),
    OwnCode("no_transcript", "An item was not answered, and its repair was not in time either.",
            f"{_NO_TEXT} {_ON}", "Raise `order_hold_ms` for a service that is slow now and then."),
    OwnCode("vendor_failed", "An item failed, and so did its repair.", f"{_NO_TEXT} {_ON}",
            "The service's own errors before this one say why."),
    OwnCode("item_failed", "An item failed whose audio is not all there any more.", f"{_NO_TEXT} {_ON}",
            "The service's own error before this one says why."),
    OwnCode("not_heard", "A model that streams had not heard all of a turn, and its rest is not there any more.",
            f"{_NO_TEXT} {_ON}", "Raise `finalize_timeout_ms`: an early commit cuts off what is not decoded yet."),
    OwnCode("poison", "Five connections in a row ended within a second of committing this piece of audio.",
            f"{_NO_TEXT} {_ON}", "Tell the service's support; the piece is at most 5 s."),
    OwnCode("fatal", "Audio came after the fatal error.", _NO_TEXT, "See the fatal error."),
    OwnCode("stopped", "The stream was stopped before this audio had its text.", _NO_TEXT,
            "Finalize before you stop, or raise `stop_drain_ms`."),
    OwnCode("listener_slow", "The graph took messages so slowly that thousands waited.",
            "Leaves out the oldest partials, then other events; says how many.",
            "Find what blocks behind `asr_result`."),
    OwnCode("detector_failed", "The model of the local turn detector could not be loaded, or failed.",
            "Goes by the sound's level: nothing said is missed, noise may count as speech.",
            "Look at the memory of the process and its `onnxruntime`; the next stream tries the model again."),
    OwnCode("bytes_per_sample", "Frames say a sample size that `input_encoding` does not have.",
            "Leaves such frames out.", "Send 16-bit samples, or set `input_encoding`."),
    OwnCode("data_fmt", "Frames have their channels one behind the other.", "Leaves such frames out.",
            "Send `INTERLEAVE` frames."),
    OwnCode("frame_format", "Frames have a rate or a number of channels that cannot be read.",
            "Leaves such frames out.", "Send 8 to 48 kHz with one to eight channels."),
)  # fmt: skip
