"""What the base of speech-to-text extensions does in every generation of ten_ai_base.

Its weaknesses are kept where an extension can run into them: metadata is learnt only from frames that arrive while
connected, buffered audio waits for the next live frame, discarded bytes are booked as milliseconds, results are
logged with their text, a finalize answer without a request carries a null that no schema lets through.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from abc import abstractmethod
from typing import Any, final

from ten_runtime import AsyncExtension, AsyncTenEnv, AudioFrame, Cmd, CmdResult, Data, StatusCode

from ..timeline import AudioTimeline
from ..types import ASRBufferConfig, ASRBufferConfigModeDiscard, ASRBufferConfigModeKeep
from .const import (
    DATA_IN_ASR_FINALIZE,
    DATA_IN_TRIGGER_CONNECT,
    DATA_OUT_ASR_FINALIZE_END,
    DATA_OUT_METRICS,
    LOG_CATEGORY_KEY_POINT,
    PROPERTY_KEY_METADATA,
    PROPERTY_KEY_SESSION_ID,
)
from .message import ModuleError, ModuleErrorVendorInfo, ModuleMetrics, ModuleType
from .struct import ASRResult


class ASRBase(AsyncExtension):
    """Queues frames, keeps or discards them while not connected, and sends results, errors and metrics."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.stopped = False
        self.ten_env: AsyncTenEnv = None  # type: ignore[assignment]  # known from on_init, as in ten_ai_base
        self.session_id: str | None = None
        self.metadata: dict[str, Any] | None = None
        self.finalize_id: str | None = None
        self.sent_buffer_length = 0
        self.buffered_frames: asyncio.Queue[AudioFrame] = asyncio.Queue()
        self.buffered_frames_size = 0
        self.audio_frames_queue: asyncio.Queue[AudioFrame] = asyncio.Queue()
        self.audio_timeline = AudioTimeline(self._on_timeline_error)
        self.audio_actual_send_metrics_task: asyncio.Task[None] | None = None
        self.uuid = uuid.uuid4().hex
        self.last_reported_audio_duration = 0
        self.first_audio_time: float | None = None
        self.ttfw_sent = False
        self.last_finalize_time: float | None = None
        self.auto_connect = True
        self._connection_lock = asyncio.Lock()
        self._consumer_task: asyncio.Task[None] | None = None

    @abstractmethod
    def vendor(self) -> str:
        """Return a short, stable vendor name."""
        raise _undefined(self, "vendor")

    @abstractmethod
    async def start_connection(self) -> None:
        """Connect, or begin to; called again for every reconnect."""
        raise _undefined(self, "start_connection")

    @abstractmethod
    def is_connected(self) -> bool:
        """True only while audio may be sent."""
        raise _undefined(self, "is_connected")

    @abstractmethod
    async def stop_connection(self) -> None:
        """Close."""
        raise _undefined(self, "stop_connection")

    @abstractmethod
    def input_audio_sample_rate(self) -> int:
        """Return the sample rate of the frames in hertz."""
        raise _undefined(self, "input_audio_sample_rate")

    @abstractmethod
    async def send_audio(self, frame: AudioFrame, session_id: str | None) -> bool:
        """Send one frame; True when it was accepted. A frame that is not accepted is lost."""
        raise _undefined(self, "send_audio")

    @abstractmethod
    async def finalize(self, session_id: str | None) -> None:
        """Make the vendor finish; one ``send_asr_finalize_end`` is due some time after."""
        raise _undefined(self, "finalize")

    def input_audio_channels(self) -> int:
        return 1

    def input_audio_sample_width(self) -> int:
        return 2

    def buffer_strategy(self) -> ASRBufferConfig:
        return ASRBufferConfigModeDiscard()

    def audio_actual_send_metrics_interval(self) -> int:
        """Return the seconds between two metrics of what was sent; at least 1 counts."""
        return 5

    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        self.ten_env = ten_env
        value, error = await ten_env.get_property_bool("auto_connect")
        self.auto_connect = True if error is not None else value
        self._consumer_task = asyncio.create_task(self._consume_frames())

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        ten_env.log_info("on_start")
        self.audio_actual_send_metrics_task = asyncio.create_task(self._report_sent_periodically())
        if self.auto_connect:
            await self._ensure_connection()

    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        ten_env.log_info("on_stop")
        self.stopped = True
        await self.stop_connection()
        await self._on_connection_stopped()
        if self.audio_actual_send_metrics_task is not None:
            self.audio_actual_send_metrics_task.cancel()
            self.audio_actual_send_metrics_task = None
        await self._report_sent()

    async def on_deinit(self, ten_env: AsyncTenEnv) -> None:
        """End what waits for frames. In ten_ai_base it waits until its process ends; here processes outlive graphs."""
        if self._consumer_task is not None:
            self._consumer_task.cancel()

    async def on_audio_frame(self, ten_env: AsyncTenEnv, audio_frame: AudioFrame) -> None:
        await self.audio_frames_queue.put(audio_frame)

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        name = data.get_name()
        ten_env.log_debug(f"on_data name: {name}")
        if name == DATA_IN_ASR_FINALIZE:
            await self._on_finalize(ten_env, data)
        elif name == DATA_IN_TRIGGER_CONNECT:
            ten_env.log_info("trigger_connect: connecting", category=LOG_CATEGORY_KEY_POINT)
            await self._ensure_connection()

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        ten_env.log_info(f"on_cmd name: {cmd.get_name()}")
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    @final
    async def send_asr_result(self, asr_result: ASRResult) -> None:
        """Send a result under the current turn's id; after a final the next turn has a new one."""
        asr_result.id = self.uuid
        if self.metadata is not None:
            if asr_result.metadata:
                asr_result.metadata.update(self.metadata)
            else:
                asr_result.metadata = self.metadata
        now = asyncio.get_running_loop().time()
        if not self.ttfw_sent and self.first_audio_time is not None:
            await self._send_metrics({"ttfw": int((now - self.first_audio_time) * 1000)})
            self.ttfw_sent = True
        if asr_result.final and self.last_finalize_time is not None:
            await self._send_metrics({"ttlw": int((now - self.last_finalize_time) * 1000)})
            self.last_finalize_time = None
        payload = asr_result.model_dump()
        await self._send("asr_result", payload)
        self.ten_env.log_info(f"send_asr_result: {payload}", category=LOG_CATEGORY_KEY_POINT)
        if asr_result.final:
            self.uuid = uuid.uuid4().hex

    @final
    async def send_asr_error(self, error: ModuleError, vendor_info: ModuleErrorVendorInfo | None = None) -> None:
        """Send an error, with the metadata this generation gives it."""
        vendor = vendor_info or error.vendor_info
        payload = {
            "id": self.uuid,
            "module": ModuleType.ASR.value,
            "code": error.code,
            "message": error.message,
            "vendor_info": {} if vendor is None else vendor.model_dump(),
            "metadata": self._report_metadata(error.metadata),
        }
        await self._send("error", payload)
        self.ten_env.log_info(f"send asr_error: {payload}", category=LOG_CATEGORY_KEY_POINT)

    @final
    async def send_asr_finalize_end(self) -> None:
        """Answer the last asr_finalize received."""
        await self._send(DATA_OUT_ASR_FINALIZE_END, {"finalize_id": self.finalize_id, "metadata": self.metadata or {}})
        self.ten_env.log_info(
            f"send asr_finalize_end, finalize_id: {self.finalize_id}", category=LOG_CATEGORY_KEY_POINT
        )

    @final
    async def send_connect_delay_metrics(self, connect_delay: int) -> None:
        """Report how long connecting took, in milliseconds."""
        await self._send_metrics({"connect_delay": connect_delay})

    @final
    async def send_vendor_metrics(self, vendor_metrics: dict[str, Any]) -> None:
        """Report what only this vendor counts."""
        await self._send_metrics({"vendor_metrics": vendor_metrics})

    async def _on_finalize(self, ten_env: AsyncTenEnv, data: Data) -> None:
        if not self._safe_is_connected():
            ten_env.log_warn("asr_finalize: service not connected.", category=LOG_CATEGORY_KEY_POINT)
        finalize_id, error = data.get_property_string("finalize_id")
        if error is not None:
            ten_env.log_error(f"asr_finalize: no finalize_id: {error}", category=LOG_CATEGORY_KEY_POINT)
            return
        self.finalize_id = finalize_id
        self.last_finalize_time = asyncio.get_running_loop().time()
        ten_env.log_info(f"asr_finalize: finalize_id: {finalize_id}", category=LOG_CATEGORY_KEY_POINT)
        await self.finalize(self.session_id)

    async def _on_connection_stopped(self) -> None:
        """For generations that have something to say about it."""

    async def _ensure_connection(self) -> None:
        async with self._connection_lock:
            if not self._safe_is_connected():
                await self.start_connection()

    def _safe_is_connected(self) -> bool:
        try:
            return self.is_connected()
        except Exception as error:
            if self.ten_env is not None:
                self.ten_env.log_warn(f"is_connected failed: {error}")
            return False

    async def _consume_frames(self) -> None:
        while not self.stopped:
            try:
                await self._handle_frame(await self.audio_frames_queue.get())
            except asyncio.CancelledError:
                break
            except Exception as error:
                self.ten_env.log_error(f"Error consuming audio frame: {error}")

    async def _handle_frame(self, frame: AudioFrame) -> None:
        size = len(frame.get_buf())
        if not size:
            self.ten_env.log_warn("send_frame: empty pcm_frame detected.")
            return
        if not self._safe_is_connected():
            self.ten_env.log_debug("send_frame: service not connected.")
            self._keep_or_discard(frame, size)
            return
        self._learn_metadata(frame)
        while not self.buffered_frames.empty():
            await self.send_audio(self.buffered_frames.get_nowait(), self.session_id)
        self.buffered_frames_size = 0
        if await self.send_audio(frame, self.session_id):
            self.sent_buffer_length += size
            if self.first_audio_time is None:
                self.first_audio_time = asyncio.get_running_loop().time()

    def _keep_or_discard(self, frame: AudioFrame, size: int) -> None:
        strategy = self.buffer_strategy()
        if not isinstance(strategy, ASRBufferConfigModeKeep):
            self.audio_timeline.add_dropped_audio(size)
            return
        while self.buffered_frames_size + size > strategy.byte_limit and not self.buffered_frames.empty():
            self.buffered_frames_size -= len(self.buffered_frames.get_nowait().get_buf())
        self.buffered_frames.put_nowait(frame)
        self.buffered_frames_size += size

    def _learn_metadata(self, frame: AudioFrame) -> None:
        text, _ = frame.get_property_to_json(PROPERTY_KEY_METADATA)
        if text:
            metadata = json.loads(text)
            self.metadata = metadata
            self.session_id = metadata.get(PROPERTY_KEY_SESSION_ID, self.session_id)

    async def _report_sent_periodically(self) -> None:
        interval = max(1, self.audio_actual_send_metrics_interval())
        while not self.stopped:
            await asyncio.sleep(interval)
            await self._report_sent()

    async def _report_sent(self) -> None:
        timeline = self.audio_timeline
        sent = timeline.total_user_audio_duration + timeline.total_silence_audio_duration
        delta = sent - self.last_reported_audio_duration
        self.last_reported_audio_duration = sent
        await self._send_metrics({"actual_send": sent, "actual_send_delta": delta})

    async def _send_metrics(self, metrics: dict[str, Any]) -> None:
        told = ModuleMetrics(module=ModuleType.ASR, vendor=self.vendor(), metrics=metrics, metadata={})
        await self._send_asr_metrics(told)

    async def _send_asr_metrics(self, metrics: ModuleMetrics) -> None:
        """All metrics go through here, in every generation; a subclass may hold them back."""
        payload = {
            "id": self.uuid,
            "module": ModuleType.ASR.value,
            "vendor": metrics.vendor,
            "metrics": metrics.metrics,
            "metadata": self._report_metadata(metrics.metadata),
        }
        await self._send(DATA_OUT_METRICS, payload)
        self.ten_env.log_info(f"send asr_metrics: {payload}", category=LOG_CATEGORY_KEY_POINT)

    def _report_metadata(self, extra: dict[str, Any]) -> dict[str, Any]:
        """Return the metadata of an error or a metric: what the caller's frames carried. *extra* is left out."""
        return self.metadata or {}

    async def _send(self, name: str, payload: dict[str, Any]) -> None:
        data = Data.create(name)
        data.set_property_from_json(None, json.dumps(payload))
        await self.ten_env.send_data(data)

    def _on_timeline_error(self, message: str) -> None:
        if self.ten_env is not None:
            self.ten_env.log_error(message)


def _undefined(extension: ASRBase, hook: str) -> TypeError:
    return TypeError(f"{type(extension).__name__} must define {hook}()")
