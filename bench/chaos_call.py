"""One stream: labelled speech played into the extension through TEN's tester, and all that came back."""

from __future__ import annotations

import asyncio
import functools
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import chaos_load
import numpy as np
import soundfile
from chaos_score import Played, Received
from ten_packages.extension.openai_asr_python.audio.vad import SileroDetector
from ten_packages.extension.openai_asr_python.devkit.server.tones import GUARD_MS, LABELS, make_block
from ten_packages.extension.openai_asr_python.devkit.server.vad import WINDOW
from ten_runtime import AsyncExtensionTester, AsyncTenEnvTester, AudioFrame, Data

Json = dict[str, Any]

ADDON = "openai_asr_python"
RATE = 16_000
FRAME_MS = 20
FRAME_BYTES = 2 * RATE * FRAME_MS // 1000
_BYTES_PER_MS = 2 * RATE // 1000
_FIRST_PAUSE_MS = 300
_VOICE_MS = 450
# Parts of full scale. The recogniser of tones hears nothing below 0.01 (RMS of 4 ms); and a detector of speech that
# has just heard something loud takes soft voice for silence, so tones beside voice are softer, too.
_VOICE_RMS, _BESIDE_VOICE = 0.0085, 0.3
# Silence between the end of an utterance and its finalize, and what the extension may take to say its last words.
_BEFORE_FINALIZE_MS = 100
_LAST_WORDS_S = 0.7


@dataclass(frozen=True)
class Speech:
    """What the speech of a stream is made of. Lengths are drawn from the ranges, evenly."""

    seconds: float = 60.0
    blocks: tuple[int, int] = (2, 5)
    "Blocks in an utterance."
    lengths_ms: tuple[int, ...] = (200, 250, 300, 400, 500)
    pause_ms: tuple[int, int] = (850, 1200)
    "Silence after an utterance."
    utterances: int = 0
    "So many, whatever the length; 0: as *seconds* say."
    voiced: bool = False
    """With soft voice before, between and after the blocks.

    No detector of speech takes tones for it, so it is voice that opens and holds a turn; the blocks lie in its pauses.
    The voice is below what the recogniser of tones hears.
    """


@dataclass(frozen=True)
class Play:
    """How a stream is played and when it is over."""

    speed: float = 1.0
    "Times real time; 0: as fast as the extension takes it."
    finalize: str = "utterances"
    "After each of the `utterances`, or at the `end` only."
    wait: bool = False
    "Wait for each answer before playing on."
    patience_s: float = 12.0
    "At the end, the longest time without text or answer after which nothing more is expected."


@dataclass
class Utterance:
    """Audio up to a boundary, and the blocks in it."""

    pcm: bytes
    after: bytes
    "The silence behind it."
    blocks: list[Played] = field(default_factory=list)


@functools.lru_cache(maxsize=1)
def _voice() -> bytes:
    """The most clearly voiced part of a sample, made soft."""
    samples, rate = soundfile.read(chaos_load.ROOT / "devkit" / "samples" / "family.flac", dtype="int16")
    assert rate == RATE
    detector = SileroDetector()
    heard = [detector.probability(samples[at : at + WINDOW]) for at in range(0, len(samples) - WINDOW + 1, WINDOW)]
    length = _VOICE_MS * RATE // 1000 // WINDOW
    best = int(np.argmax(np.convolve(heard, np.ones(length), mode="valid"))) * WINDOW
    piece = samples[best : best + length * WINDOW].astype(np.float64)
    loudest = float(np.sqrt(np.convolve(np.square(piece), np.full(64, 1 / 64), mode="same").max())) / 32768
    return np.rint(piece * (_VOICE_RMS / loudest)).astype("<i2").tobytes()


def _softer(pcm: bytes) -> bytes:
    return np.rint(np.frombuffer(pcm, dtype="<i2") * _BESIDE_VOICE).astype("<i2").tobytes()


def write(speech: Speech, rng: random.Random) -> Iterator[Utterance]:
    """Make the audio of a stream, utterance by utterance; labels count up from 0."""
    label, at_ms, count = 0, 0.0, 0
    voice = _voice() if speech.voiced else b""
    voice_ms = len(voice) / _BYTES_PER_MS
    while (count < speech.utterances) if speech.utterances else (at_ms < speech.seconds * 1000):
        lead = bytes(_FIRST_PAUSE_MS * _BYTES_PER_MS) if not count else b""
        pieces = [lead, voice]
        here = at_ms + len(lead) / _BYTES_PER_MS + voice_ms
        begins = here - voice_ms
        blocks = []
        for _ in range(rng.randint(*speech.blocks)):
            if label == LABELS:
                return
            ms = rng.choice(speech.lengths_ms)
            block = make_block(label, ms, RATE)
            pieces += (_softer(block), voice) if speech.voiced else (block,)
            sound = Played(label, here + GUARD_MS, here + ms - GUARD_MS, (here - begins) if speech.voiced else 0.0)
            blocks.append(sound)
            here += ms + voice_ms
            label += 1
        pause = rng.randint(*speech.pause_ms) // FRAME_MS * FRAME_MS
        yield Utterance(b"".join(pieces), bytes(pause * _BYTES_PER_MS), blocks)
        at_ms = here + pause
        count += 1


class Stream(AsyncExtensionTester):
    """Plays one stream and keeps the record. `run_stream` in a thread of its own does all of it."""

    def __init__(self, name: str, speech: Speech, play: Play, seed: int) -> None:
        super().__init__()
        self.name = name
        self.played: list[Played] = []
        self.received = Received()
        self._utterances = list(write(speech, random.Random(f"{seed}/{name}")))
        self._play = play
        self._news = asyncio.Event()
        self._env: AsyncTenEnvTester | None = None
        self._due = 0.0
        self._metadata = json.dumps({"session_id": name})
        self._last_news = 0.0

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        """Play everything, then wait until it is all there or nothing more is to be expected."""
        self._env = ten_env
        try:
            self._due = time.monotonic()
            await self._play_all()
        except Exception as error:
            self.received.failure = f"{type(error).__name__}: {error}"
        ten_env.stop_test()

    async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
        """Note what came and when."""
        now = time.monotonic()
        text, _ = data.get_property_to_json(None)
        payload, kind = json.loads(text or "{}"), data.get_name()
        if kind == "asr_result":
            self.received.results.append((now, payload))
        elif kind == "error":
            self.received.errors.append((now, payload))
            return  # a server that fails for ever must not keep us here
        elif kind == "asr_finalize_end":
            self.received.answers.append((now, payload.get("finalize_id", "")))
        else:
            return
        self._last_news = now
        self._news.set()

    async def on_stop(self, ten_env: AsyncTenEnvTester) -> None:
        """Leave the extension the time for what it says when it stops."""
        await asyncio.sleep(_LAST_WORDS_S)

    async def _play_all(self) -> None:
        play, number = self._play, 0
        for utterance in self._utterances:
            before = min(len(utterance.after), _BEFORE_FINALIZE_MS * _BYTES_PER_MS)
            await self._send(utterance.pcm + utterance.after[:before])
            self.played += utterance.blocks
            if play.finalize == "utterances":
                number += 1
                await self._finalize(f"{self.name}-{number}", play.wait)
            await self._send(utterance.after[before:])
        if play.finalize != "utterances":
            await self._finalize(f"{self.name}-end", False)
        await self._settle()

    async def _send(self, pcm: bytes) -> None:
        assert self._env is not None
        for at in range(0, len(pcm), FRAME_BYTES):
            piece = pcm[at : at + FRAME_BYTES]
            frame = AudioFrame.create("pcm_frame")
            frame.set_property_from_json("metadata", self._metadata)
            frame.set_sample_rate(RATE)
            frame.set_number_of_channels(1)
            frame.set_bytes_per_sample(2)
            frame.alloc_buf(len(piece))
            view = frame.lock_buf()
            view[:] = piece
            frame.unlock_buf(view)
            if self._play.speed:
                self._due += len(piece) / _BYTES_PER_MS / 1000 / self._play.speed
                wait = self._due - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
            await self._env.send_audio_frame(frame)

    async def _finalize(self, name: str, wait: bool) -> None:
        assert self._env is not None
        data = Data.create("asr_finalize")
        request = {"finalize_id": name, "metadata": {"session_id": self.name}}
        data.set_property_from_json(None, json.dumps(request))
        self.received.asked[name] = time.monotonic()
        await self._env.send_data(data)
        if wait:
            await self._until(lambda: any(answer == name for _, answer in self.received.answers[-3:]), 10.0)
            self._due = max(self._due, time.monotonic())

    async def _settle(self) -> None:
        """Wait for all blocks and answers; give up once nothing has come for as long as patience lasts."""
        labels = {block.label for block in self.played}
        self._last_news = time.monotonic()

        def complete() -> bool:
            return labels <= self.received.labels().keys() and len(self.received.answers) >= len(self.received.asked)

        while not complete() and (left := self._last_news + self._play.patience_s - time.monotonic()) > 0:
            await self._until(complete, left)
        await asyncio.sleep(_LAST_WORDS_S)  # what is doubled comes after all is there

    async def _until(self, ready: Any, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready() and (left := deadline - time.monotonic()) > 0:
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), left)
            except asyncio.TimeoutError:
                return


def run_stream(name: str, properties: Json, speech: Speech, play: Play, seed: int) -> Stream:
    """Play one stream through an extension of its own, and return its record. Blocks; never raises."""
    stream = Stream(name, speech, play, seed)
    stream.set_timeout(0)
    stream.set_test_mode_single(ADDON, json.dumps(properties))
    try:
        error = stream.run()
        if error is not None:
            stream.received.failure = error.error_message()
    except Exception as error:  # an extension that brings the host down is a figure of the table, too
        stream.received.failure = f"{type(error).__name__}: {error}"
    stream.received.dropped = sum(drop.invalid_schema for drop in stream.dropped_messages)
    return stream
