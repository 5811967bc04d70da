"""The doctor's spoken sample: in the encoding the node wants, and with the service's own reason where it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import QUICK, SENTENCE, Examined, Lab, Make
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.devkit.doctor import speech
from ten_packages.extension.openai_asr_python.devkit.doctor.case import Case
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from ten_packages.extension.openai_asr_python.devkit.transcription.transcript import Transcript

pytestmark = pytest.mark.socket
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SAMPLES = EXAMPLES.parent / "devkit" / "samples"


@pytest.mark.parametrize("encoding", ["pcm16", "g711_ulaw", "g711_alaw"])
def test_the_sample_comes_in_the_encoding_of_the_frames(encoding: str, examine: Callable[[Make], Examined]) -> None:
    examined = examine(lambda lab: replace(lab.params(input_encoding=encoding), speech=True))
    assert (examined.code, examined.report["verdict"]) == (0, "It would work."), examined.checks["speech"]
    assert SENTENCE in examined.checks["speech"]["detail"]


@pytest.mark.parametrize(
    ("example", "graph", "dialect", "variables"),
    [
        ("telephone", "telephone", "openai", ("OPENAI_BASE_URL", "OPENAI_ASR_MODEL")),
        ("voice_assistant", None, "openai", ("OPENAI_BASE_URL", "OPENAI_ASR_MODEL")),
        ("self_hosted", "speaches", "speaches", ("SPEACHES_BASE_URL", "SPEACHES_MODEL")),
    ],
)
def test_the_examples_are_healthy(
    example: str, graph: str | None, dialect: str, variables: tuple[str, str], examine: Callable[[Make], Examined]
) -> None:
    """Of telephone the frames are G.711. The models asked for here need not be played to at the speed of speech."""

    def make(lab: Lab) -> Any:
        lab.patch.setenv(variables[0], lab.server(dialect=dialect))
        lab.patch.setenv(variables[1], QUICK[0])
        return replace(lab.ask(speech=True), graph=str(EXAMPLES / example), graph_name=graph, model=None)

    examined = examine(make)
    assert examined.code == 0, examined.checks
    assert SENTENCE in examined.checks["speech"]["detail"]


def test_a_recording_comes_in_the_encoding_of_the_frames_too(cli: Callable[..., Any], lab: Lab) -> None:
    lab.params(input_encoding="g711_ulaw", sample_rate=8000)
    ran = cli("-q", "transcribe", "--graph", lab.folder, SAMPLES / "weather.flac")
    assert (ran.code, ran.out.splitlines()[0]) == (0, SENTENCE), ran.err


def heard_through(fault: str, examine: Callable[[Make], Examined]) -> dict[str, Any]:
    """What is said of the sample, to a server with *fault*."""
    examined = examine(lambda lab: replace(lab.speak(fault), timeout_s=0.5))
    assert examined.code == 1
    found = examined.checks["speech"]
    assert "what failed above" not in found["remedy"], "nothing did"
    return found


@pytest.mark.parametrize(
    ("fault", "trouble", "said", "remedy"),
    [
        ("fail-item:code=model_overloaded", "not_transcribed", "the server reported model_overloaded", "log"),
        ("fail-item", "service_down", "the server reported server_error", "status page"),
        ("fail-item:code=invalid_value", "config_refused", "the server reported invalid_value", "what it names"),
        ("error-event:code=insufficient_quota", "no_credit", "insufficient_quota", "Add credit"),
        ("error-event:code=invalid_api_key", "key_refused", "invalid_api_key", "Check OPENAI_API_KEY"),
    ],
)
def test_why_the_sample_failed_is_said_in_the_services_words(
    fault: str, trouble: str, said: str, remedy: str, examine: Callable[[Make], Examined]
) -> None:
    found = heard_through(fault, examine)
    assert found["trouble"] == trouble
    assert said in found["detail"] and remedy in found["remedy"]


def test_a_connection_that_was_lost_is_not_called_slow(examine: Callable[[Make], Examined]) -> None:
    found = heard_through("drop:phase=speaking", examine)
    assert found["trouble"] == "not_transcribed"
    assert "1006" in found["detail"] and "--timeout" not in found["detail"] + found["remedy"]
    assert "proxy with an idle limit" in found["remedy"]


def test_words_that_nobody_wrote_down_come_with_what_the_server_said(examine: Callable[[Make], Examined]) -> None:
    """A key or an account in a server's words stays inside, as everywhere."""
    case, sample = Case(own_graph(), config=OpenAIASRConfig()), speech.first_sentence()
    transcript = Transcript("sample", 4000, finalized=True, vendor_metrics={"accepted_ms": 4000})
    words = "org-AbCdEf012345: the model of key sk-abc***xyz is still loading"
    transcript.errors = [{"message": words, "vendor_info": {"code": "loading", "message": words}}]
    found = speech.judge(case, sample, transcript, speech._Watch(sample, 1.0))
    assert found.trouble == "no_text"
    assert found.detail.endswith("and no word; ***: the model of key *** is still loading")
