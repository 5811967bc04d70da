"""A spoken sentence through a real graph, the extension and the server: words out, and how long they took."""

from __future__ import annotations

import copy
import io
import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import soundfile

from ...realtime.errors import OTHER, Where, row_of
from ...realtime.language import primary_subtag
from ..transcription.audio_input import AudioInput
from ..transcription.graphs import TranscriptionGraph
from ..transcription.job import Job
from ..transcription.pacing import Pacer, block_ms
from ..transcription.runner import run_job
from ..transcription.transcript import Transcript, vendor_code
from .case import Case
from .probe import Seen
from .report import Finding, ok, skipped
from .session_checks import key_place
from .troubles import trouble
from .verdicts import named, quoted

SAMPLES = Path(__file__).resolve().parent.parent / "samples"
SAMPLE = "weather"
PAUSE_S = 1.1
"Behind the sentence: a turn ends in it."
PATIENCE = 2.0
"Times --timeout that is waited for the next word."
ENOUGH_WORDS = 0.6
SLOW_S = 3.0
"From the end of speech to the text."
_LANGUAGE = "en"


@dataclass(frozen=True)
class Sample:
    """What is played, and what is said in it."""

    audio: AudioInput
    text: str
    spoken_ms: int
    "Where the speech ends."


def first_sentence() -> Sample:
    """The first sentence of a recording of ours, and the pause behind it."""
    label = json.loads((SAMPLES / f"{SAMPLE}.json").read_text(encoding="utf-8"))[0]
    with soundfile.SoundFile(SAMPLES / f"{SAMPLE}.flac") as file:
        rate = file.samplerate
        samples = file.read(int((label["end_ms"] / 1000 + PAUSE_S) * rate), dtype="int16")
    content = io.BytesIO()
    soundfile.write(content, samples, rate, format="WAV", subtype="PCM_16")
    return Sample(AudioInput("the sample", rate, 1, len(samples), content.getvalue()), label["text"], label["end_ms"])


def check_speech(case: Case) -> Finding:
    """The sentence, through the extension."""
    if not case.speech:
        return skipped("as asked by --no-speech")
    sample = first_sentence()
    watch = _Watch(sample, case.world.speed)
    job = Job(sample.audio, watch, block_ms(case.world.speed))
    timeout_s = case.wait_s * PATIENCE
    graph = _for_the_sample(case.graph, timeout_s)
    transcript, interrupted = run_job(graph, job, timeout_s=timeout_s, watcher=watch)
    if interrupted:
        raise KeyboardInterrupt
    return judge(case, sample, transcript, watch)


def judge(case: Case, sample: Sample, transcript: Transcript, watch: _Watch) -> Finding:
    """What came of it."""
    if transcript.problem is not None:
        return _failed(case, "not_transcribed", transcript.problem, transcript)
    said, heard = _words(sample.text), _words(transcript.text)
    right = sum((Counter(said) & Counter(heard)).values())
    english = primary_subtag(case.settings.language or _LANGUAGE) == _LANGUAGE
    if not heard and english:
        return _failed(case, "no_text", f"{sample.audio.duration_ms / 1000:.1f} s of speech, and no word", transcript)
    text = f'"{transcript.text}", {right} of {len(said)} words'
    if transcript.language != "und":
        text += f", {transcript.language}"
    if right < ENOUGH_WORDS * len(said):
        return trouble("few_words", text, setting="params.input_audio_transcription.language")
    if watch.late_s is None:
        return ok(text)
    turns = case.options.turn_detection if case.options is not None else None
    waits = turns.effective_silence_ms if turns is not None and turns.type in ("server_vad", "local_vad") else 0
    silence = f" ({turns.type} waits {waits} ms)" if turns is not None and waits else ""
    detail = f"{text}; {watch.late_s:.2f} s after the end of speech{silence}"
    answer_ms = round((watch.answer_s or 0.0) * 1000)
    if answer_ms > case.settings.finalize_timeout_ms:
        more = f", a finalize is answered after {case.settings.finalize_timeout_ms} ms"
        return trouble("finalize_short", detail + more, needed=answer_ms)
    if watch.late_s > SLOW_S:
        return trouble("slow_text", detail)
    return ok(detail, ms=watch.late_s * 1000)


def _failed(case: Case, name: str, what: str, transcript: Transcript) -> Finding:
    """*what* went wrong, with the first and the last that the service said; it is *name* unless that says more."""
    told = transcript.causes
    said = dict.fromkeys(str(error.get("message", "")) for error in (*told[:1], *told[-1:]))
    detail = quoted("; ".join([what, *said]))
    for error in told:
        found = named(vendor_code(error), case.seen or Seen(), detail, key_place(case))
        if found is not None:
            return found
    return trouble(name, detail, advice=_advice(vendor_code(told[-1]) if told else ""))


def _advice(code: str) -> str:
    """What to do after *code* was all that the service said; it may have said nothing."""
    if not code:
        return "-v shows what the extension says; --timeout gives a server that is only slow more time."
    row = row_of(Where.CLOSE, code)
    known = OTHER not in row.codes and row.remedy != "Nothing."
    more = row.remedy.replace("`", "") + " " if known else ""
    return f"{more}The server's own log may say more; -v shows what the extension says."


def _for_the_sample(graph: TranscriptionGraph, timeout_s: float) -> TranscriptionGraph:
    """*graph*, connecting at once, without a recording of ours, and patient: how late it is, is to be measured."""
    changed = TranscriptionGraph(copy.deepcopy(graph.graph), graph.recogniser)
    property = changed.node.setdefault("property", {})
    for place in (property, property.get("params", {})):
        for name in ("auto_connect", "dump"):
            place.pop(name, None)
    changed.set_param("finalize_timeout_ms", round(timeout_s * 1000))
    return changed


class _Watch(Pacer):
    """Plays at the speed of speech, and notes when what was said, heard and answered."""

    def __init__(self, sample: Sample, speed: float) -> None:
        super().__init__(speed)
        self._spoken_ms = sample.spoken_ms
        self._spoken_at: float | None = None
        self._sent_at: float | None = None
        self._heard_at: float | None = None
        self._answered_at: float | None = None

    def sent(self, duration_ms: float, now: float) -> None:
        """See `Pacer`."""
        super().sent(duration_ms, now)
        self._sent_at = time.monotonic()
        if self._spoken_at is None and self.sent_ms >= self._spoken_ms:
            self._spoken_at = self._sent_at

    def update(self, transcript: Transcript) -> None:
        """See `runner.Watcher`."""
        if self._heard_at is None and transcript.finals:
            self._heard_at = time.monotonic()
        if self._answered_at is None and transcript.finalized:
            self._answered_at = time.monotonic()

    def setback(self, message: str) -> None:
        """See `runner.Watcher`. The transcript keeps all of them, for the end."""

    @property
    def late_s(self) -> float | None:
        """From the end of speech to its text."""
        return None if self._heard_at is None or self._spoken_at is None else self._heard_at - self._spoken_at

    @property
    def answer_s(self) -> float | None:
        """From the finalize, behind the last audio, to its answer."""
        return None if self._answered_at is None or self._sent_at is None else self._answered_at - self._sent_at


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())
