"""What is printed, read back by other people's readers."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pysubs2
import pytest
from ten_packages.extension.openai_asr_python.devkit.transcription.formats import FORMATS
from ten_packages.extension.openai_asr_python.devkit.transcription.transcript import Segment, Transcript

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "docs" / "transcript.schema.json").read_text())


def segment(start_ms: int, duration_ms: int, text: str, language: str = "en-US") -> Segment:
    word = {"word": text.split()[0], "start_ms": start_ms, "duration_ms": 10, "stable": True}
    return Segment(f"id{start_ms}", start_ms, duration_ms, text, language, (word,), {"vendor": "openai"})


@pytest.fixture
def transcript() -> Transcript:
    # The second was late: it is printed where it was said.
    finals = [segment(3_661_001, 999, "two <b> & {c} \\N"), segment(420, 1500, "one → eins")]
    return Transcript("a b.wav", 3_700_000, finals, metrics={"ttfw": 3})


def test_text_has_a_line_for_each_segment(transcript: Transcript) -> None:
    assert FORMATS["text"](transcript) == "one → eins\ntwo <b> & {c} \\N\n"
    assert FORMATS["text"](Transcript("x", 1)) == ""


@pytest.mark.parametrize("name", ["json", "verbose_json"])
def test_json_is_one_line_that_fits_the_schema(transcript: Transcript, name: str) -> None:
    for each in (transcript, Transcript("-", 1)):
        line = FORMATS[name](each)
        assert line.endswith("}\n") and line.count("\n") == 1
        jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(line))


def test_json_holds_what_was_heard(transcript: Transcript) -> None:
    result = json.loads(FORMATS["json"](transcript))
    assert list(result) == ["file", "text", "duration_ms", "language", "segments"]
    assert (result["file"], result["duration_ms"], result["language"]) == ("a b.wav", 3_700_000, "en-US")
    assert result["text"] == "one → eins two <b> & {c} \\N"
    first = result["segments"][0]
    assert list(first) == ["id", "start_ms", "duration_ms", "text", "language", "asr_info"]
    assert (first["start_ms"], first["duration_ms"], first["asr_info"]) == (420, 1500, {"vendor": "openai"})


def test_verbose_json_adds_words_and_metrics(transcript: Transcript) -> None:
    result = json.loads(FORMATS["verbose_json"](transcript))
    assert result["segments"][0]["words"][0]["word"] == "one"
    assert result["metrics"]["ttfw"] == 3
    assert result["problem"] is None


def test_the_schema_refuses_what_is_not_a_transcript(transcript: Transcript) -> None:
    result = json.loads(FORMATS["json"](transcript))
    result["segments"][0]["start_ms"] = 0.42
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(result)


def test_subtitles_are_read_back_with_their_times(transcript: Transcript) -> None:
    srt = FORMATS["srt"](transcript)
    assert srt.startswith("1\n00:00:00,420 --> 00:00:01,920\none → eins\n\n2\n01:01:01,001 --> 01:01:02,000\n")
    for name in ("srt", "vtt"):
        read = pysubs2.SSAFile.from_string(FORMATS[name](transcript), format_=name)
        assert [(event.start, event.end) for event in read] == [(420, 1920), (3_661_001, 3_662_000)]
        assert read[0].plaintext == "one → eins"


def test_webvtt_escapes_what_would_be_markup(transcript: Transcript) -> None:
    vtt = FORMATS["vtt"](transcript)
    assert vtt.startswith("WEBVTT\n\n00:00:00.420 --> 00:00:01.920\n")
    assert "two &lt;b&gt; &amp; {c} \\N\n" in vtt


def test_no_speech_is_no_cue() -> None:
    assert FORMATS["srt"](Transcript("x", 1)) == ""
    assert FORMATS["vtt"](Transcript("x", 1)) == "WEBVTT\n"


def test_languages_without_spaces_are_joined_without(transcript: Transcript) -> None:
    finals = [segment(0, 10, "你好。", "zh-CN"), segment(20, 10, "再见。", "zh-CN")]
    assert Transcript("x", 1, finals).text == "你好。再见。"
