"""The doctor's spoken sample: in the encoding the node wants, and with the service's own reason where it fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import QUICK, SENTENCE, Examined, Lab, Make

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
