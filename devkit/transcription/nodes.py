"""The two ends of a transcription graph, as TEN extensions: a source that plays a file, a sink that listens.

A graph of the user's own (`transcribe --graph`) may name their addons, to place them where it wants them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

from ten_runtime import AsyncExtension, AsyncTenEnv, AudioFrame, Data
from typing_extensions import Self

from ...audio.g711 import ENCODERS
from .failure import CommandError
from .job import FinalizeSent, Job, Received, SourceFailed

SOURCE_ADDON = "openai_asr_file_source"
SINK_ADDON = "openai_asr_transcript_sink"
AUDIO_FRAME = "pcm_frame"
FINALIZE = "asr_finalize"
METRICS = "metrics"
UPDATE_CONFIGS = "update_configs"
RESULTS = ("asr_result", "asr_finalize_end", "error", METRICS, "connection_status_changed")
"What the sink takes."


class FileSource(AsyncExtension):
    """Sends a job's audio as `pcm_frame`, as fast as its pacer allows, then one `asr_finalize`.

    The extension's `metrics` must be connected to it: they tell how much audio is settled.
    """

    _job: Job
    _encoding: str

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def of_job(cls, job: Job, encoding: str, name: str) -> Self:
        """The source of *job*, in a node called *name*; *encoding* of its frames as in `input_encoding`.

        (TEN constructs extensions with a name and no more.)
        """
        source = cls(name)
        source._job, source._encoding = job, encoding
        return source

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        """Begin to send; on_start itself returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._play(ten_env, self._job))

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        """Listen to the extension's own account of the audio."""
        if data.get_name() == METRICS:
            vendor = vendor_metrics(_payload(data))
            if vendor.keys() >= {"accepted_ms", "unsettled_ms", "lag_ms"}:
                settled_ms = vendor["accepted_ms"] - vendor["unsettled_ms"]
                self._job.pacer.report(settled_ms=settled_ms, lag_ms=vendor["lag_ms"])

    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        """Stop sending."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _play(self, ten_env: AsyncTenEnv, job: Job) -> None:
        try:
            await self._send_audio(ten_env, job)
        except CommandError as error:
            job.happenings.put(SourceFailed(str(error)))
        except Exception as error:  # whatever it is, the command waits for an answer
            job.happenings.put(SourceFailed(f"reading it failed: {type(error).__name__}: {error}"))
        await ten_env.send_data(finalize_message(job.finalize_id, job.session_id))
        job.happenings.put(FinalizeSent())

    async def _send_audio(self, ten_env: AsyncTenEnv, job: Job) -> None:
        loop = asyncio.get_running_loop()
        audio, pacer = job.audio, job.pacer
        metadata = json.dumps({"session_id": job.session_id})
        for block in audio.blocks(job.block_ms):
            # Also when no time is left to wait: this gives the other extensions their turn.
            await asyncio.sleep(pacer.delay(loop.time()))
            frame = audio_frame(block, audio.sample_rate, audio.channels, metadata, self._encoding)
            await ten_env.send_audio_frame(frame)
            pacer.sent(1000 * len(block) / (2 * audio.channels * audio.sample_rate), loop.time())


class TranscriptSink(AsyncExtension):
    """Hands every data message it gets to whoever waits for them, in the thread of its node."""

    _take: Callable[[Received], None]

    @classmethod
    def handing_to(cls, take: Callable[[Received], None], name: str) -> Self:
        """The sink that calls *take*, in a node called *name*."""
        sink = cls(name)
        sink._take = take
        return sink

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        """Pass the message on."""
        self._take(Received(data.get_name(), _payload(data)))


def audio_frame(pcm: bytes, sample_rate: int, channels: int, metadata: str, encoding: str = "pcm16") -> AudioFrame:
    """A `pcm_frame` of interleaved s16le with *metadata* (JSON); it goes out in *encoding*."""
    encode = ENCODERS.get(encoding)
    width = 2 if encode is None else 1
    sound = pcm if encode is None else encode(pcm)
    frame = AudioFrame.create(AUDIO_FRAME)
    frame.set_sample_rate(sample_rate)
    frame.set_number_of_channels(channels)
    frame.set_bytes_per_sample(width)
    frame.set_samples_per_channel(len(sound) // (width * channels))
    frame.set_property_from_json("metadata", metadata)
    frame.alloc_buf(len(sound))
    view = frame.lock_buf()
    view[:] = sound
    frame.unlock_buf(view)
    return frame


def finalize_message(finalize_id: str, session_id: str) -> Data:
    """An `asr_finalize`."""
    finalize = Data.create(FINALIZE)
    properties = {"finalize_id": finalize_id, "metadata": {"session_id": session_id}}
    finalize.set_property_from_json(None, json.dumps(properties))
    return finalize


def vendor_metrics(payload: dict[str, Any]) -> dict[str, Any]:
    """The extension's own numbers in a `metrics` message; empty when it holds others."""
    metrics = payload.get("metrics")
    vendor = metrics.get("vendor_metrics") if isinstance(metrics, dict) else None
    return vendor if isinstance(vendor, dict) else {}


def _payload(data: Data) -> dict[str, Any]:
    text, _ = data.get_property_to_json(None)
    payload = json.loads(text or "{}")
    return payload if isinstance(payload, dict) else {}
