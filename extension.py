"""TEN adapter: frames in; results, errors, metrics and status out. No wire words, no timer, no retry.

An exception that leaves an `on_*` coroutine ends the host's process, so none may: every hook is guarded. A
configuration that cannot work gives one FATAL error and an extension that stays alive and inert.

Longer than other files because it is one class with one method for each hook and each event; what can stand alone is in
`emitter.py`, `telemetry.py` and `key_command.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ten_ai_base.asr import AsyncASRBaseExtension
from ten_ai_base.message import ModuleError, ModuleErrorVendorInfo
from ten_ai_base.struct import ASRResult, ASRWord
from ten_runtime import AsyncTenEnv, AudioFrame, AudioFrameDataFmt, Cmd, CmdResult, Data, StatusCode
from typing_extensions import override

from .audio import vad
from .audio_dump import AudioDump
from .config import OpenAIASRConfig
from .config_live import Candidate, LiveConfig
from .emitter import Emitter, Output
from .key_command import key_from_command
from .metadata_history import MetadataHistory
from .openai_asr_client import Endpoint, OpenAIASRClient, OpenAIASRListener
from .realtime import events as ev
from .realtime.endpoint import secrets_of
from .realtime.errors import ConfigurationError, show_value
from .realtime.models import resolve_turn_detection
from .realtime.options import SessionOptions
from .realtime.receiving import ITEM_FAILED
from .realtime.reporting import server_error_text
from .telemetry import (
    FATAL,
    NON_FATAL,
    PRIVATE_RESULT_LOG,
    Redactor,
    Telemetry,
    Wording,
    asr_info,
    status_arguments,
)

HAS_STATUS = hasattr(AsyncASRBaseExtension, "on_connected")
"Bases from 0.7.48 on keep a connection status."
VENDOR = "openai"
UPDATE_CONFIGS = "update_configs"
METRICS_EVERY_MS = 1000
"Audio time between two vendor metrics while audio flows."

_announcing: ContextVar[bool] = ContextVar("announcing", default=False)

P = ParamSpec("P")
R = TypeVar("R")


def guarded(hook: Callable[P, Awaitable[None]]) -> Callable[P, Any]:
    """Keep what a hook raises inside: report the kind of it, never its text, which may hold anything."""

    @functools.wraps(hook)
    async def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            await hook(*args, **kwargs)
        except Exception as exc:
            extension = args[0]
            assert isinstance(extension, OpenAIASRExtension)
            extension.hook_failed(hook.__name__, exc)

    return wrapper


class QuietEnv:
    """The runtime's environment, less one line: the base logs every result, and transcripts are not for its log."""

    def __init__(self, env: AsyncTenEnv) -> None:
        self._env = env

    def __getattr__(self, name: str) -> Any:
        return getattr(self._env, name)

    def log_info(self, msg: str, *args: Any, **kwargs: Any) -> Any:
        """Log *msg* unless it is the base's line with a result in it."""
        if not msg.startswith(PRIVATE_RESULT_LOG):
            return self._env.log_info(msg, *args, **kwargs)
        return None


@dataclass
class _Fence:
    finalize_id: str
    finalize_time: float | None
    metadata: dict[str, Any] | None


class OpenAIASRExtension(AsyncASRBaseExtension, OpenAIASRListener):
    """`openai_asr_python`: transcribes `pcm_frame` over the OpenAI Realtime protocol."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.config: OpenAIASRConfig | None = None
        self._wording = Wording(None)
        self.client: OpenAIASRClient | None = None
        self._live = LiveConfig({})
        self._dump: AudioDump | None = None
        self._emitter = Emitter(self, lambda exc: self.hook_failed("send", exc))
        self._telemetry = Telemetry()
        self._fences: deque[_Fence] = deque()
        self._metadata_json = ""
        self._metadata_at = MetadataHistory()
        self._told_metadata: tuple[str, dict[str, Any]] = ("", {})
        "The newest JSON of it that was parsed for a message, and what it holds."
        self._frame_seen = False
        self._held_metrics: dict[tuple[str, ...], Any] = {}
        self._frame_format: tuple[int, int, int] | None = None
        self._audio_seen = False
        self._started = False
        self._metrics_due = 0
        "Position of the stream, in samples, at which the next vendor metrics are due."
        self._last_metrics: dict[str, Any] = {}

    # Identity -----------------------------------------------------------------------------------------------

    @override
    def vendor(self) -> str:
        return VENDOR

    @override
    def input_audio_sample_rate(self) -> int:
        return self.config.sample_rate if self.config else 16_000

    @override
    def input_audio_channels(self) -> int:
        return self.config.channels if self.config else 1

    def vendor_metadata(self) -> dict[str, Any]:
        """What newer bases attach to errors and metrics; they mask it by key name."""
        return dict(self._wording.vendor_metadata)

    # Lifecycle ----------------------------------------------------------------------------------------------

    @override
    @guarded
    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        self._telemetry.env = ten_env
        self._emitter.start()  # before anything that may fail: whatever happens, answers go out and a stop ends
        await super().on_init(ten_env)
        self.ten_env = QuietEnv(ten_env)  # type: ignore[assignment]
        try:
            properties, _ = await ten_env.get_property_to_json("")
            self._live = LiveConfig(json.loads(properties or "{}"))
            self._configure(self._live.first())
        except ConfigurationError as exc:
            self._configuration_failed(exc)
        except Exception as exc:  # the extension is as inert as with a bad value, and must say so as loudly
            self.hook_failed("on_init", exc)
            self._configuration_failed(ConfigurationError("property", "", f"cannot be read ({type(exc).__name__})"))

    def _configure(self, candidate: Candidate) -> None:
        """Begin with *candidate*. Raises ConfigurationError, and then nothing has begun."""
        config = candidate.config
        self._tell_config(candidate)
        with _detector_needed():
            self.client = OpenAIASRClient(
                _resolved(config),
                self._endpoint(config),
                self,
                input_format=_frames_of(config),
            )
        self._hold_to(self._live.accept(candidate, works=False))
        self.auto_connect = config.auto_connect
        self._open_dump(config)

    def _hold_to(self, config: OpenAIASRConfig) -> None:
        self.config, self._wording = config, Wording(config)

    def _tell_config(self, candidate: Candidate) -> None:
        self._telemetry.level = candidate.config.log_level
        described = json.dumps(candidate.config.describe(), ensure_ascii=False)
        self._telemetry.key_point("info", f"config: {described}")
        for warning in candidate.loaded.warnings:
            self._telemetry.key_point("warn", warning)

    def _open_dump(self, config: OpenAIASRConfig) -> None:
        if not config.dump:
            return
        self._dump = AudioDump(
            config.dump_path,
            config.dump_max_mb,
            rate=config.sample_rate,
            channels=config.channels,
            encoding=config.input_encoding,
            on_problem=lambda problem: self._telemetry.key_point("warn", f"dump: {problem}"),
            on_info=lambda note: self._telemetry.key_point("info", f"dump: {note}"),
        )
        self._dump.open()

    # A configuration that changes ---------------------------------------------------------------------------

    async def _update_configs(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        """Answer `update_configs`: 0 when it is in force, or is for the next session; else nothing was changed."""
        code, message = NON_FATAL, ""
        try:
            text, _ = cmd.get_property_to_json(None)
            async with self._live.lock:
                message = await self._apply_update(json.loads(text or "{}"))
            code = 0
        except ConfigurationError as exc:
            message = f"{exc}; nothing was changed"
        except Exception as exc:  # whatever it is, the command is answered
            self.hook_failed("update_configs", exc)
            message = f"the update failed ({type(exc).__name__}); nothing was changed"
        message = self._telemetry.redact(message)
        self._telemetry.key_point("warn" if code else "info", f"update_configs: {message}")
        result = CmdResult.create(StatusCode.ERROR if code else StatusCode.OK, cmd)
        result.set_property_int("code", code)
        result.set_property_string("message", message)
        await ten_env.return_result(result)

    async def _apply_update(self, properties: Any) -> str:
        """Bring *properties* into force; what became of it, as a sentence. Raises ConfigurationError if it is not."""
        if not isinstance(properties, dict):
            raise ConfigurationError("update_configs", show_value(properties), 'use an object such as {"params": {}}')
        candidate, before = self._live.updated(properties), self.config
        config = candidate.config
        if self.client is None or before is None:  # what was wrong from the start is right now
            self._configure(candidate)
            if self.auto_connect:
                await self.start_connection()
            return "the extension is active now"
        if config == before:
            return "nothing is different"
        endpoint = self._endpoint(config) if config.connection != before.connection else None
        with _detector_needed():
            answer = self.client.update(_resolved(config), endpoint)
        told = await answer
        if told.outcome not in ("applied", "taken"):
            raise ConfigurationError("update_configs", "", told.message)
        self._take_over(candidate, before, works=told.outcome == "applied")
        return told.message

    def _take_over(self, candidate: Candidate, before: OpenAIASRConfig, *, works: bool) -> None:
        """What is not the session's: frames, dump, log level."""
        config = self._live.accept(candidate, works=works)
        self._hold_to(config)
        self._tell_config(candidate)
        self.auto_connect = config.auto_connect
        if _frames_of(config) != _frames_of(before):
            self._frame_format = None
            assert self.client is not None
            self.client.set_input_format(*_frames_of(config))
            if self._dump is not None:
                self._dump.set_format(config.sample_rate, config.channels, config.input_encoding)
        if _dump_of(config) != _dump_of(before):
            if self._dump is not None:
                self._dump.close()
                self._dump = None
            self._open_dump(config)

    def _on_reconfigured(self, event: ev.Reconfigured) -> None:
        """News of a configuration that was answered already; an answer itself goes to whoever asked."""
        if event.request:
            return
        if (before := self._live.revert()) is not None:
            self._hold_to(before)
        self._telemetry.key_point("error", f"reverted: {event.message}")
        self._put_error(NON_FATAL, event.message, "reverted", event.message, self.metadata)

    def _endpoint(self, config: OpenAIASRConfig) -> Endpoint:
        settings = config.connection
        redact = self._telemetry.redact
        redact.add(settings.api_key, settings.api_key_command, settings.organization, settings.project)
        redact.add(settings.proxy, *secrets_of(settings.proxy or ""), *secrets_of(settings.base_url))
        for value in settings.headers.values():
            redact.add_header(value)
        key: Any = settings.api_key
        if settings.api_key_command is not None:
            key = functools.partial(_secret_key, settings.api_key_command, redact)
        return Endpoint(
            base_url=config.base_url.get_secret_value(),
            api_key=key,
            organization=settings.organization,
            project=settings.project,
            headers=settings.headers,
            proxy=settings.proxy,
            ca_file=settings.ca_file,
            dialect=settings.dialect,
        )

    def _configuration_failed(self, exc: ConfigurationError) -> None:
        message = f"{exc}. The extension is inactive until it is configured right."
        self._telemetry.key_point("error", f"config: {message}")
        self._put_error(FATAL, message, "invalid_configuration", message, self.metadata)

    @override
    @guarded
    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        await super().on_start(ten_env)

    @override
    @guarded
    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        await super().on_stop(ten_env)

    @override
    @guarded
    async def on_deinit(self, ten_env: AsyncTenEnv) -> None:
        await self._emitter.stop()
        if self._dump is not None:
            self._dump.close()
        await super().on_deinit(ten_env)

    @override
    @guarded
    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        await super().on_data(ten_env, data)

    @override
    @guarded
    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        if cmd.get_name() == UPDATE_CONFIGS:
            await self._update_configs(ten_env, cmd)
        else:
            await super().on_cmd(ten_env, cmd)

    def hook_failed(self, hook: str, exc: BaseException) -> None:
        """A fault of ours: say so, and go on."""
        with contextlib.suppress(Exception):  # what failed may be the host's log
            # Where it happened, and never its text: an exception may quote a key or what was said.
            place = traceback.extract_tb(exc.__traceback__)[-1:]
            where = f" at {Path(place[0].filename).name}:{place[0].lineno}" if place else ""
            self._telemetry.key_point("error", f"{hook} failed: {type(exc).__name__}{where}; the extension goes on")

    # Connection ---------------------------------------------------------------------------------------------

    @override
    async def start_connection(self) -> None:
        # Newer bases announce "connecting" before this body runs; when that is all that is wanted, stop here.
        if _announcing.get():
            return
        if self.client is not None:
            self._started = True
            self.client.start()
        elif HAS_STATUS:  # "connecting" was said already, and nothing ever will
            gone = ev.Disconnected(
                0, "invalid_configuration", "the extension is inactive: its configuration is wrong", None
            )
            self._put_disconnected(gone)

    def _connect_early(self, client: OpenAIASRClient) -> None:
        """Hosts may deliver frames and finalizes before `on_start` has run: they are not for an idle extension."""
        if self.auto_connect and not self._started:
            self._started = True
            client.start()

    @override
    def is_connected(self) -> bool:
        return self.client is not None and self.client.connected

    @override
    async def stop_connection(self) -> None:
        if self.client is not None:
            await self.client.stop()
            self._put_vendor_metrics()
        await self._emitter.drain()
        if self._dump is not None:
            self._dump.close()

    # Audio in -----------------------------------------------------------------------------------------------

    @override
    async def on_audio_frame(self, ten_env: AsyncTenEnv, audio_frame: AudioFrame) -> None:
        try:  # as `guarded` does, without a second coroutine for each frame
            self._take_frame(audio_frame)
        except Exception as exc:
            self.hook_failed("on_audio_frame", exc)

    @override
    async def send_audio(self, frame: AudioFrame, session_id: str | None) -> bool:
        self._take_frame(frame)
        return True

    def _take_frame(self, frame: AudioFrame) -> None:
        """Everything about a frame, before anything else can run: so a finalize can never overtake audio."""
        client, data = self.client, _audio_of(frame)
        readable = client is not None and self._take_format(frame, client)
        if self._dump is not None:
            self._dump.write(data)
        text, err = frame.get_property_to_json("metadata")
        if text != self._metadata_json and text and err is None:
            self._take_metadata(text)
        if not self._frame_seen:
            self._frame_seen = True
            self._release_metrics()
        if client is None or not readable or not data:
            return
        if not self._started:
            self._connect_early(client)
        self.sent_buffer_length += len(data)
        position = client.push_audio(data)
        self._audio_seen = True
        if position >= self._metrics_due and self._emitter.has_room:
            self._put_vendor_metrics()

    def _take_metadata(self, text: str) -> None:
        self._metadata_json = text
        try:
            metadata = json.loads(text)
        except ValueError:
            self._telemetry.once("metadata", "a frame's metadata is no JSON; it was left out")
            return
        if not isinstance(metadata, dict):
            return
        self.metadata = metadata
        session_id = metadata.get("session_id")
        if session_id is not None:
            self.session_id = str(session_id)
        position = self.client.session.stream.ledger.accepted if self.client else 0
        self._metadata_at.add(position, text)

    def _take_format(self, frame: AudioFrame, client: OpenAIASRClient) -> bool:
        """Non-zero format fields of a frame win over the configuration. False: the frame cannot be read."""
        assert self.config is not None
        seen = (frame.get_sample_rate(), frame.get_number_of_channels(), frame.get_bytes_per_sample())
        if seen == self._frame_format:
            return True
        rate = seen[0] or self.config.sample_rate
        channels = seen[1] or self.config.channels
        width = seen[2]
        expected = 2 if self.config.input_encoding == "pcm16" else 1
        if width not in (0, expected):
            self._put_error_once(
                "bytes_per_sample",
                f"frames with {width} bytes per sample cannot be read and are left out; {self.config.input_encoding} "
                f"has {expected}. Send 16-bit samples, or set params.input_encoding",
            )
            return False
        if channels > 1 and frame.get_data_fmt() == AudioFrameDataFmt.NON_INTERLEAVE:
            self._put_error_once(
                "data_fmt",
                "frames with their channels one behind the other (NON_INTERLEAVE) cannot be read and are left out; "
                "send INTERLEAVE frames",
            )
            return False
        self._frame_format = seen
        was = client.input_format
        if (channels, rate) != was[1:]:
            try:
                client.set_input_format(self.config.input_encoding, channels, rate)
            except ValueError as exc:
                self._frame_format = None
                what = f"frames of {rate} Hz with {channels} channel(s) cannot be read and are left out"
                self._put_error_once("frame_format", f"{what} ({exc})")
                return False
            self._telemetry.key_point(
                "warn", f"frames are {rate} Hz with {channels} channel(s) now, not {was[2]} Hz with {was[1]}"
            )
            if self._dump is not None:
                self._dump.set_format(rate, channels, self.config.input_encoding)
        if not self._audio_seen:  # only now the stream's rate is settled
            self._metrics_due = METRICS_EVERY_MS * client.session.stream.rate // 1000
        return True

    @override
    async def finalize(self, session_id: str | None) -> None:
        # Both are read before the first await: a second finalize must not change what this one is.
        finalize_id, finalize_time = self.finalize_id, self.last_finalize_time
        self.last_finalize_time = None
        fence = _Fence(finalize_id or "", finalize_time, self.metadata)
        if self.client is None:
            self._put_finalize_end(fence)
            return
        self._connect_early(self.client)
        self._fences.append(fence)
        self._telemetry.vendor("info", f"vendor_cmd: finalize {fence.finalize_id}")
        self.client.finalize(fence.finalize_id)

    # What the client tells ----------------------------------------------------------------------------------

    @override
    def on_asr_start(self, event: ev.SpeechStarted) -> None:
        if self._telemetry.debug:
            self._telemetry.vendor("debug", f"vendor_result: speech started at {event.start_ms} ms")

    @override
    def on_asr_delta(self, event: ev.Transcript) -> Awaitable[None] | None:
        self._put_result(event)
        return self._emitter.room()

    @override
    def on_asr_completed(self, event: ev.Transcript) -> Awaitable[None] | None:
        self._put_result(event)
        self._put_vendor_metrics()
        return self._emitter.room()

    @override
    def on_asr_committed(self, event: ev.Committed) -> None:
        if self._telemetry.debug:
            self._telemetry.vendor("debug", f"vendor_result: committed {event.item_id} from {event.start_ms} ms")

    @override
    def on_asr_server_error(self, event: ev.ServerError) -> Awaitable[None] | None:
        times = f" ({event.count} times)" if event.count > 1 else ""
        self._telemetry.vendor("error", f"vendor_error: code: {event.code}, reason: {event.message}{times}")
        metadata = self.metadata if event.start_ms is None else self._metadata_of(event.start_ms)
        code = FATAL if event.fatal else NON_FATAL
        self._put_error(code, server_error_text(event), event.code, event.message, metadata)
        return self._emitter.room()

    @override
    def on_asr_client_error(self, event: ev.ClientError) -> None:
        self._telemetry.key_point("error", f"{event.code}: {event.message}")
        self._put_error(
            FATAL if event.fatal else NON_FATAL,
            event.message,
            event.vendor_code or event.code,
            event.vendor_message or event.message,
            None,
        )

    @override
    def on_other_event(self, event: ev.Event) -> Awaitable[None] | None:
        if isinstance(event, ev.AudioSent):
            self._on_audio_sent(event)
            return None  # there is one for each message we send, and nothing goes to the graph
        if isinstance(event, ev.FinalizeDone):
            self._on_finalize_done(event)
        elif isinstance(event, ev.AudioLost):
            self._on_audio_lost(event)
        elif isinstance(event, ev.Reconfigured):
            self._on_reconfigured(event)
        elif isinstance(event, ev.Warned):
            self._telemetry.key_point("warn", event.message)
        elif isinstance(event, (ev.Connecting, ev.Connected, ev.Disconnected)):
            self._on_status(event)
        return self._emitter.room()

    def _on_audio_sent(self, event: ev.AudioSent) -> None:
        if self.first_audio_time is None and event.user_ms > 0:
            self.first_audio_time = asyncio.get_running_loop().time()
        user, silence = self._telemetry.whole_ms(event.user_ms, event.silence_ms)
        self.audio_timeline.add_user_audio(user)
        self.audio_timeline.add_silence_audio(silence)

    def _on_finalize_done(self, event: ev.FinalizeDone) -> None:
        if not self._fences:
            return
        fence = self._fences.popleft()
        if event.outcome == "final":
            self._emitter.mark_completing_final(event.fence_ms, fence.finalize_time)
        self._put_vendor_metrics()
        self._put_finalize_end(fence)

    def _on_audio_lost(self, event: ev.AudioLost) -> None:
        message = f"{event.duration_ms} ms of audio from {event.start_ms} ms on will have no transcript ({event.cause})"
        self._telemetry.key_point("error", message)
        if event.cause != ITEM_FAILED:  # the server's own error said it
            self._put_error(NON_FATAL, message, event.cause, message, self._metadata_of(event.start_ms))

    def _on_status(self, event: ev.Connecting | ev.Connected | ev.Disconnected) -> None:
        if isinstance(event, ev.Connected):
            self._live.worked()
            self._telemetry.vendor("info", f"vendor_status_changed: connected in {event.connect_delay_ms} ms")
            self._put(lambda: self.send_connect_delay_metrics(event.connect_delay_ms), self.metadata)
            if HAS_STATUS:
                self._put(lambda: self.on_connected(), self.metadata)
        elif isinstance(event, ev.Disconnected):
            self._telemetry.vendor("info", f"vendor_status_changed: disconnected, code: {event.code}, {event.reason}")
            if HAS_STATUS:
                self._put_disconnected(event)
        elif HAS_STATUS:
            self._put(self._announce_connecting, self.metadata)

    def _put_disconnected(self, event: ev.Disconnected) -> None:
        arguments = status_arguments(AsyncASRBaseExtension, VENDOR, event, self._telemetry.redact)
        self._put(lambda: self.on_disconnected(**arguments), self.metadata)

    async def _announce_connecting(self) -> None:
        token = _announcing.set(True)
        try:
            await self.start_connection()
        finally:
            _announcing.reset(token)

    # What goes out ------------------------------------------------------------------------------------------

    def _put(self, send: Callable[[], Awaitable[object]], metadata: dict[str, Any] | None, **fields: Any) -> None:
        self._emitter.put(Output(send, dict(metadata) if metadata is not None else None, **fields))

    def _metadata_of(self, start_ms: int) -> dict[str, Any] | None:
        """The metadata the frames carried where a span begins."""
        rate = self.client.session.stream.rate if self.client else 1
        text = self._metadata_at.at(start_ms, rate)
        if text is None:
            return self.metadata
        if text != self._told_metadata[0]:
            self._told_metadata = text, json.loads(text)
        return self._told_metadata[1]

    def _put_result(self, event: ev.Transcript) -> None:
        self._telemetry.result(event)
        result = ASRResult(
            text=event.text,
            final=event.final,
            start_ms=event.start_ms,
            duration_ms=event.duration_ms,
            language=self._wording.language(event.language),
            words=[ASRWord(**word) for word in event.words],
            metadata={"asr_info": asr_info(event, VENDOR, self._wording.model)},
        )
        self._put(
            lambda: self.send_asr_result(result),
            self._metadata_of(event.start_ms),
            result_id=event.result_id,
            final_start_ms=event.start_ms if event.final else None,
        )

    def _put_finalize_end(self, fence: _Fence) -> None:
        self._put(self.send_asr_finalize_end, fence.metadata, finalize_id=fence.finalize_id)

    def _put_error(
        self, code: int, message: str, vendor_code: str, vendor_message: str, metadata: dict[str, Any] | None
    ) -> None:
        redact = self._telemetry.redact
        error = ModuleError(module="asr", code=code, message=redact(message))
        info = ModuleErrorVendorInfo(vendor=VENDOR, code=redact(str(vendor_code)), message=redact(vendor_message))
        self._put(lambda: self.send_asr_error(error, info), metadata if metadata is not None else self.metadata)

    def _put_error_once(self, cause: str, message: str) -> None:
        if self._telemetry.once(cause, message):
            self._put_error(NON_FATAL, message, cause, message, None)

    def _put_vendor_metrics(self) -> None:
        """Numbers of the stream so far, unless nothing changed."""
        if self.client is None:
            return
        stream = self.client.session.stream
        self._metrics_due = stream.ledger.accepted + METRICS_EVERY_MS * stream.rate // 1000
        metrics = self._telemetry.vendor_metrics(stream)
        if metrics != self._last_metrics and self._audio_seen:
            self._last_metrics = metrics
            self._put_metrics(metrics)

    def _put_metrics(self, metrics: dict[str, Any]) -> None:
        self._put(lambda: self.send_vendor_metrics(metrics), self.metadata)

    async def _send_asr_metrics(self, metrics: Any) -> None:
        """What every metric of the base goes through: before the first frame nobody knows whose they are."""
        if self._frame_seen or "connect_delay" in metrics.metrics:
            await super()._send_asr_metrics(metrics)
        else:
            self._held_metrics[tuple(metrics.metrics)] = metrics  # of each kind the newest: a caller may never come

    def _release_metrics(self) -> None:
        held, self._held_metrics = self._held_metrics, {}
        for metrics in held.values():
            self._put(functools.partial(super()._send_asr_metrics, metrics), self.metadata)


def _resolved(config: OpenAIASRConfig) -> SessionOptions:
    """What the session is asked for, with the turn detection decided. Raises ConfigurationError."""
    options = config.session_options()
    # Looking for the detector means looking through sys.path: only where the answer matters.
    local_vad_available = options.turn_detection.type in ("auto", "local_vad") and vad.available()
    turns = resolve_turn_detection(
        options.turn_detection,
        options.transcription.model,
        local_vad_available=local_vad_available,
        rules=config.model_rules,
    )
    return options.replace(turn_detection=turns)


@contextlib.contextmanager
def _detector_needed() -> Iterator[None]:
    """The local detector that is not there is an error of the configuration."""
    try:
        yield
    except vad.VadUnavailable as exc:
        raise ConfigurationError("params.turn_detection.type", "local_vad", str(exc)) from None


def _frames_of(config: OpenAIASRConfig) -> tuple[str, int, int]:
    return config.input_encoding, config.channels, config.sample_rate


def _dump_of(config: OpenAIASRConfig) -> tuple[bool, str, int]:
    return config.dump, config.dump_path, config.dump_max_mb


def _audio_of(frame: AudioFrame) -> memoryview:
    """The frame's audio, in memory that is ours: TEN's frames give a copy, and one copy is enough."""
    try:
        return memoryview(frame.get_buf())
    except SystemError:  # what TEN raises for a frame that never had a buffer
        return memoryview(b"")


async def _secret_key(command: str, redact: Redactor) -> str:
    key = await key_from_command(command)
    redact.add_passing(key)
    return key
