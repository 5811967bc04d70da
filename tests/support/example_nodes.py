"""Stand-ins for the extensions of others in examples/, and a recogniser that knows one sample."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import Recognition, RecognitionRequest
from ten_runtime import AsyncExtension, AudioFrame, Cmd, CmdResult, Data, Loc, StatusCode

SENTENCE = "the weather is beautiful this morning and the sun is shining"
"What the beginning of the sample says."
Json = dict[str, Any]


class Knows:
    """A recogniser that knows one sample when it hears it, at once: a busy machine changes nothing."""

    vad = "energy"

    def __init__(self, sample: npt.NDArray[np.int16]) -> None:
        self.sample = sample.astype(np.float64)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def knows_language(self, language: str) -> bool:
        return True

    def session(self, request: RecognitionRequest) -> Hears:
        return Hears(self.sample)


class Hears:
    def __init__(self, sample: npt.NDArray[np.float64]) -> None:
        self.sample = sample
        self.audio = bytearray()

    async def accept(self, pcm: bytes) -> None:
        self.audio += pcm

    async def finish(self) -> Recognition:
        heard = np.frombuffer(self.audio, "<i2").astype(np.float64)
        size = len(heard) + len(self.sample)
        both = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(self.sample, size)), size)
        likeness = both.max() / (np.linalg.norm(heard) * np.linalg.norm(self.sample) + 1)
        return Recognition(SENTENCE if likeness > 0.9 else f"noise {likeness:.2f}", language="en")

    async def abandon(self) -> None: ...


@dataclass
class Call:
    """What the stand-ins of one run send and saw."""

    frames: list[bytes]
    rate: int
    width: int
    "Bytes of a sample."
    silence: bytes
    "A frame of it, sent for as long as the call lasts."
    got: list[tuple[str, str, Json]] = field(default_factory=list)
    "(node, name of the message, its properties)."
    over: threading.Event = field(default_factory=threading.Event)

    def of(self, node: str, name: str) -> list[Json]:
        return [payload for at, message, payload in self.got if (at, message) == (node, name)]

    @property
    def finals(self) -> str:
        return " ".join(result["text"] for result in self.of("main_control", "asr_result") if result["final"])


class StandIn(AsyncExtension):
    """Keeps what comes."""

    call: Call

    @classmethod
    def of_call(cls, call: Call) -> Any:
        def make(name: str) -> StandIn:
            made = cls(name)
            made.call = call
            return made

        return make

    async def on_data(self, ten_env: Any, data: Data) -> None:
        payload = json.loads(data.get_property_to_json(None)[0] or "{}")
        self.call.got.append((self.name, data.get_name(), payload))
        await self.heard(ten_env, data.get_name(), payload)

    async def on_audio_frame(self, ten_env: Any, audio_frame: AudioFrame) -> None:
        self.call.got.append((self.name, audio_frame.get_name(), {"bytes": len(audio_frame.get_buf())}))
        await self.heard(ten_env, audio_frame.get_name(), {})

    async def on_cmd(self, ten_env: Any, cmd: Cmd) -> None:
        self.call.got.append((self.name, cmd.get_name(), {}))
        await ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))
        await self.heard(ten_env, cmd.get_name(), {})

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        """Something came."""


class Caller(StandIn):
    """Agora's part, or the gateway's: plays the sample at the speed of speech, then silence; ends with an answer."""

    async def on_start(self, ten_env: Any) -> None:
        self.task = asyncio.get_running_loop().create_task(self.play(ten_env))

    async def on_stop(self, ten_env: Any) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task

    async def play(self, ten_env: Any) -> None:
        loop = asyncio.get_running_loop()
        begun, call = loop.time(), self.call
        number = 0
        while not call.over.is_set():
            await asyncio.sleep(max(0.0, begun + 0.02 * number - loop.time()))
            await ten_env.send_audio_frame(frame_of(call, number))
            number += 1
            if number == len(call.frames):
                await ten_env.send_cmd(Cmd.create("on_user_left"))  # he lets go of the button
        close = Cmd.create("ten:close_app")
        close.set_dests([Loc("")])
        await ten_env.send_cmd(close)

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        self.call.over.set()  # the voice of the assistant


def frame_of(call: Call, number: int) -> AudioFrame:
    content = call.frames[number] if number < len(call.frames) else call.silence
    frame = AudioFrame.create("pcm_frame")
    frame.set_sample_rate(call.rate)
    frame.set_number_of_channels(1)
    frame.set_bytes_per_sample(call.width)
    frame.set_samples_per_channel(len(content) // call.width)
    frame.set_property_int("stream_id", 123)
    fill(frame, content)
    return frame


def fill(frame: AudioFrame, content: bytes) -> None:
    frame.alloc_buf(len(content))
    view = frame.lock_buf()
    view[:] = content
    frame.unlock_buf(view)


class StreamIdAdapter(StandIn):
    """A stream's number becomes the session's name."""

    async def on_audio_frame(self, ten_env: Any, audio_frame: AudioFrame) -> None:
        stream, _ = audio_frame.get_property_int("stream_id")
        frame = AudioFrame.create("pcm_frame")
        frame.set_property_from_json("metadata", json.dumps({"session_id": str(stream)}))
        fill(frame, bytes(audio_frame.get_buf()))
        await ten_env.send_audio_frame(frame)


class Controller(StandIn):
    """Finalizes when told that the speaker has finished, and hands on what was said once that is answered."""

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        if name == "on_user_left":
            finalize = Data.create("asr_finalize")
            finalize.set_property_from_json(None, json.dumps({"finalize_id": "f1", "metadata": {"session_id": "123"}}))
            await ten_env.send_data(finalize)
        if name == "asr_finalize_end":
            question = Data.create("text_data")
            question.set_property_string("text", self.call.finals)
            question.set_dests([Loc("", "", "llm")])
            await ten_env.send_data(question)


class PhoneController(StandIn):
    """Waits until the silence behind the speech is told to be gated."""

    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        vendor = payload.get("metrics", {}).get("vendor_metrics", {})
        if self.call.finals and vendor.get("gated_ms", 0) >= 500:
            self.call.over.set()


class Llm(StandIn):
    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        answer = Data.create("tts_text_input")
        answer.set_property_string("text", f"You said: {payload['text']}")
        answer.set_dests([Loc("", "", "tts")])
        await ten_env.send_data(answer)


class Tts(StandIn):
    async def heard(self, ten_env: Any, name: str, payload: Json) -> None:
        frame = AudioFrame.create("pcm_frame")
        fill(frame, bytes(320))
        await ten_env.send_audio_frame(frame)
