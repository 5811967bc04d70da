"""Recognisers: stable text, noise kept out, and pocketsphinx on speech made by flite."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from server_peers import speech, word_errors
from ten_packages.extension.openai_asr_python.devkit.server import pocketsphinx_recognizer
from ten_packages.extension.openai_asr_python.devkit.server.pocketsphinx_recognizer import PocketsphinxRecognizer
from ten_packages.extension.openai_asr_python.devkit.server.recognizers import (
    RECOGNIZERS,
    Recognition,
    RecognitionRequest,
    RecognizerUnavailable,
    make_recognizer,
)
from ten_packages.extension.openai_asr_python.devkit.server.speech_gate import SpeechGate
from ten_packages.extension.openai_asr_python.devkit.server.stable_text import StableText
from ten_packages.extension.openai_asr_python.devkit.server.vad import EnergyDetector, detector_factory

Samples = npt.NDArray[np.int16]
SENTENCES = [
    "the meeting starts at ten o'clock tomorrow morning",
    "they have been living in the same house for thirty years",
    "he opened the door and looked into the dark room",
]


def said(text: StableText, *hypotheses: str) -> list[str | None]:
    return [text.update(hypothesis) for hypothesis in hypotheses]


def test_a_word_is_said_once_hypotheses_agree_and_another_follows() -> None:
    text = StableText(2)
    assert said(text, "the", "the cat", "the cat sat", "the cat sat on") == [None, None, "the", "the cat"]


def test_nothing_is_said_while_hypotheses_disagree() -> None:
    assert said(StableText(3), "a b c d", "x b c d", "a b c d", "a b c d") == [None] * 4


def test_what_was_said_stays_and_the_rest_goes_on_behind_it() -> None:
    text = StableText(1)
    assert said(text, "the meat ings", "the meeting starts at", "") == ["the meat", "the meat starts", None]


@pytest.mark.parametrize(("delay", "first"), [("minimal", 1), ("low", 2), ("medium", 3), ("high", 5), ("xhigh", 8)])
def test_more_delay_waits_for_more_agreement(delay: str, first: int) -> None:
    text = StableText(pocketsphinx_recognizer._AGREEMENT[delay])
    answers = said(text, *["one two three"] * 8)
    assert answers.index("one two") == first - 1


def gate(*pieces: bytes) -> tuple[SpeechGate, bytes]:
    made = SpeechGate(EnergyDetector())
    return made, b"".join(made.pass_on(piece) for piece in pieces)


def test_the_gate_lets_nothing_through_before_speech() -> None:
    made, passed = gate(*[bytes(640)] * 200)
    assert passed == b"" and not made.open


def test_the_gate_keeps_half_a_second_before_speech_and_all_behind_it() -> None:
    tone = speech(700, 16000)
    made, passed = gate(*[bytes(640)] * 150, *(tone[at : at + 640] for at in range(0, len(tone), 640)), bytes(3200))
    assert passed.endswith(tone + bytes(3200))
    lead = len(passed) - len(tone) - 3200
    assert lead / 32 == pytest.approx(500, abs=33)
    assert made.skipped_ms == pytest.approx(3000 - lead / 32, abs=1)


def test_the_gate_does_not_open_for_a_click() -> None:
    assert gate(bytes(32000), speech(40, 16000), bytes(32000))[1] == b""


def test_the_detector_is_found_by_name() -> None:
    assert detector_factory("energy")().probability(np.zeros(512, dtype=np.int16)) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="vad: 'webrtc' given"):
        detector_factory("webrtc")  # type: ignore[arg-type]


def test_a_recogniser_nobody_knows_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'whisper' given, must be one of: faster-whisper, pocketsphinx, scripted"):
        make_recognizer("whisper")
    assert set(RECOGNIZERS) == {"faster-whisper", "pocketsphinx", "scripted"}


async def test_a_missing_library_is_one_sentence_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocketsphinx_recognizer.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecognizerUnavailable, match="not installed; install it with: pip install"):
        await PocketsphinxRecognizer().start()


# pocketsphinx itself ------------------------------------------------------------------------------------------


async def recognise(
    recognizer: PocketsphinxRecognizer, samples: Samples, request: RecognitionRequest | None = None
) -> tuple[Recognition, list[str]]:
    """The final result and every partial, from audio in frames of 100 ms."""
    session = recognizer.session(request or RecognitionRequest("any", partials=True))
    partials = []
    for at in range(0, len(samples), 1600):
        text = await session.accept(samples[at : at + 1600].tobytes())
        partials += [text] if text else []
    return await session.finish(), partials


def padded(samples: Samples, before: int = 300, after: int = 500) -> Samples:
    return np.concatenate((np.zeros(before * 16, np.int16), samples, np.zeros(after * 16, np.int16)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def recognizer() -> AsyncIterator[PocketsphinxRecognizer]:
    """One worker for all tests: it takes a second to start."""
    made = PocketsphinxRecognizer(workers=1)
    await made.start()
    yield made
    await made.stop()


@pytest.mark.asyncio(loop_scope="module")
async def test_speech_is_read_while_it_is_spoken_and_when_it_is_over(
    recognizer: PocketsphinxRecognizer, voice, capfd
) -> None:
    errors = words = 0
    memory: dict[str, object] = {}
    for sentence in SENTENCES:
        request = RecognitionRequest("any", partials=True, memory=memory)
        result, partials = await recognise(recognizer, padded(voice.say(sentence)), request)
        errors += word_errors(sentence, result.text)
        words += len(sentence.split())
        assert len(partials) >= 3, "text comes while the speaker speaks"
        assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(partials))
        assert [word.text for word in result.words] == result.text.split()
        assert result.language == "en" and result.confidence is not None and 0 < result.confidence <= 1
    assert errors / words <= 0.1
    assert capfd.readouterr() == ("", "")


@pytest.mark.asyncio(loop_scope="module")
async def test_words_have_the_times_at_which_they_are_spoken(recognizer: PocketsphinxRecognizer, voice) -> None:
    """Two words with a second of silence between them, so that the truth needs no recogniser."""
    first, second = voice.say("seventeen"), voice.say("newspaper")
    samples = padded(np.concatenate((first, np.zeros(16000, np.int16), second)), before=2000)
    result, _ = await recognise(recognizer, samples)
    second_begins = 2000 + len(first) / 16 + 1000
    early = [word for word in result.words if word.start_ms < second_begins - 500]
    late = [word for word in result.words if word.start_ms >= second_begins - 500]
    assert early and late
    assert early[0].start_ms == pytest.approx(2000, abs=250)
    assert late[0].start_ms == pytest.approx(second_begins, abs=250)
    for word in result.words:
        assert 0 < word.duration_ms < 1500


@pytest.mark.asyncio(loop_scope="module")
async def test_many_speakers_at_once_get_their_own_words(recognizer: PocketsphinxRecognizer, voice) -> None:
    """More than there are decoders."""
    audio = [padded(voice.say(sentence)) for sentence in SENTENCES]
    results = await asyncio.gather(*(recognise(recognizer, audio[i % 3]) for i in range(5)))
    for index, (result, _) in enumerate(results):
        assert word_errors(SENTENCES[index % 3], result.text) <= 2, result.text


@pytest.mark.asyncio(loop_scope="module")
async def test_the_event_loop_turns_while_a_sentence_is_decoded(recognizer: PocketsphinxRecognizer, voice) -> None:
    """A decoder in this process would hold the interpreter lock, in a thread as well."""
    session = recognizer.session(RecognitionRequest("any"))
    turns = 0
    await session.accept(padded(voice.say(SENTENCES[0])).tobytes())
    finish = asyncio.create_task(session.finish())
    while not finish.done():
        turns += 1
        await asyncio.sleep(0)
    assert len((await finish).words) > 5
    assert turns > 100


@pytest.mark.asyncio(loop_scope="module")
async def test_noise_and_silence_say_nothing(recognizer: PocketsphinxRecognizer) -> None:
    noise = np.random.default_rng(3).normal(0, 800, 48000).astype(np.int16)
    for samples in (noise, np.zeros(48000, np.int16), np.zeros(0, np.int16)):
        result, partials = await recognise(recognizer, samples)
        assert (result, partials) == (Recognition(""), [])


@pytest.mark.asyncio(loop_scope="module")
async def test_an_abandoned_utterance_gives_its_decoder_back(recognizer: PocketsphinxRecognizer, voice) -> None:
    samples = padded(voice.say(SENTENCES[0]))
    for _ in range(6):
        session = recognizer.session(RecognitionRequest("any"))
        await session.accept(samples[:24000].tobytes())
        await session.abandon()
    result, partials = await recognise(recognizer, samples)
    assert partials, "a decoder was free"
    assert word_errors(SENTENCES[0], result.text) <= 1


async def test_a_dead_worker_fails_its_utterance_and_is_replaced(voice) -> None:
    recognizer = PocketsphinxRecognizer(workers=1)
    await recognizer.start()
    samples = padded(voice.say(SENTENCES[0]))
    try:
        session = recognizer.session(RecognitionRequest("any"))
        await session.accept(samples.tobytes())
        recognizer._workers[0]._process.kill()
        with pytest.raises(RuntimeError):
            await session.finish()
        result, _ = await recognise(recognizer, samples)
    finally:
        await recognizer.stop()
    assert word_errors(SENTENCES[0], result.text) <= 1
