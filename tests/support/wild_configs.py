"""Properties that people have given the earlier `openai_asr_python`, as data: what was written, where it was seen, and
what it must mean now.

A property here is what stands in the graph's node (or in the file a tester reads); TEN merges it over our own
`property.json` and resolves placeholders before we see it. Prompts are shortened; nothing else was changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

OPENAI = "wss://api.openai.com/v1/realtime?intent=transcription"
ENVIRONMENT = {"OPENAI_API_KEY": "sk-environment"}
PACKAGE = "ai_agents/agents/ten_packages/extension/openai_asr_python"
EXAMPLES = "ai_agents/agents/examples"

_KEY = "${env:OPENAI_API_KEY}"
_VAD: Json = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
_MODE = {"mode": "server_vad", **{name: value for name, value in _VAD.items() if name != "type"}}
LOGPROBS = "item.input_audio_transcription.logprobs"


@dataclass(frozen=True)
class Wild:
    """One property and its meaning. The default meaning is that of a node that says nothing."""

    name: str
    seen: str
    "Repository and path; or the defect of docs/defects.md that the property is about."
    property: Json
    transcription: Json = field(default_factory=lambda: {"model": "gpt-live-transcribe"})
    "On the wire."
    turns: str = "local_vad"
    wire_turns: Json | None = None
    wire_format: Json = field(default_factory=lambda: {"type": "audio/pcm", "rate": 24000})
    noise: str | None = None
    include: list[str] | None = None
    url: str = OPENAI
    key: str | None = "sk-environment"
    organization: str | None = None
    sample_rate: int = 16_000
    dump: bool = False
    result_language: str = "und"
    "Of a result whose server does not say what it heard."
    warned: tuple[str, ...] = ()
    "One word or more of each warning, aside from that of a model's end."
    refused: tuple[str, ...] = ()
    "What the one configuration error says: place, value and remedy. No session then."
    environment: Json = field(default_factory=lambda: dict(ENVIRONMENT))


def _whisper(language: str = "en", prompt: str | None = None) -> Json:
    return {"model": "whisper-1", "language": language, **({"prompt": prompt} if prompt else {})}


def _file(key: Json, params_key: Json, prompt: str, language: str = "en") -> Json:
    """A file of the earlier package's tests: all alike but for the prompt, the language and the place of the key."""
    transcription = {"model": "whisper-1", "prompt": prompt, "language": language}
    return {
        **key,
        "params": {
            **params_key,
            "input_audio_format": "pcm16",
            "input_audio_transcription": transcription,
            "turn_detection": dict(_VAD),
        },
    }


def _tests_of_the_package() -> list[Wild]:
    files = (
        ("en", "en", "Output in English.", "en-US", _KEY, "sk-environment", ()),
        ("en_hotwords", "en", "Output in English. Hotwords: aaa, bbb", "en-US", _KEY, "sk-environment", ()),
        ("zh", "zh", "Hotwords: 山口茜", "zh-CN", _KEY, "sk-environment", ()),
        ("invalid", "invalid-language", "Hotwords: 山口茜", "und", "xxx", "xxx", ("invalid-language",)),
    )
    return [
        Wild(
            name=f"tests/configs/property_{name}.json, {place}",
            seen=f"{repository} {PACKAGE}/tests/configs/property_{name}.json",
            property=_file({"api_key": key} if top else {}, {} if top else {"api_key": key}, prompt, language),
            transcription=_whisper(language.partition("-")[0], prompt),
            turns="server_vad",
            wire_turns=_VAD,
            key=resolved,
            result_language=tag,
            warned=warned,
        )
        for name, language, prompt, tag, key, resolved, warned in files
        for top, place, repository in (
            (True, "key at the top", "ygcaicn/ten-framework"),
            (False, "key in params", "yuanoOo/ten-framework"),
        )
    ]


_PACKAGE = [
    Wild(
        "its own property.json, copied into a node",
        f"yuanoOo/ten-framework, zhaomeiniu5658/ten-framework-voice-dify {PACKAGE}/property.json",
        _file({}, {"api_key": "${env:OPENAI_API_KEY|}"}, ""),
        transcription=_whisper(),
        turns="server_vad",
        wire_turns=_VAD,
        result_language="en-US",
    ),
    Wild(
        "its test of results, which writes mode for type",
        f"TEN-framework/ten-framework, forks {PACKAGE}/tests/test_asr_result.py",
        {
            "api_key": "fake_api_key",
            "log_level": "DEBUG",
            "params": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1", "prompt": "Output in English.", "language": "en"},
                "turn_detection": dict(_MODE),
            },
        },
        transcription=_whisper(prompt="Output in English."),
        turns="server_vad",
        wire_turns=_VAD,
        key="fake_api_key",
        result_language="en-US",
    ),
    Wild(
        "its test of vendor metadata: a model alone",
        f"zhaomeiniu5658/ten-framework-voice-dify {PACKAGE}/tests/test_vendor_metadata.py",
        {"params": {"api_key": "secret-key", "input_audio_transcription": {"model": "gpt-4o-mini-transcribe"}}},
        transcription={"model": "gpt-4o-mini-transcribe"},
        turns="server_vad",
        wire_turns=_VAD,
        key="secret-key",
    ),
    *(
        Wild(
            f"its test of the update: {word}",
            f"TEN-framework/TEN-Agent {PACKAGE}/tests/test_ga_session_update.py",
            {
                "params": {
                    "api_key": _KEY,
                    "input_audio_format": word,
                    "input_audio_transcription": {"model": "whisper-1"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.5},
                    "input_audio_noise_reduction": {"type": "near_field"},
                    "include": [LOGPROBS],
                }
            },
            transcription={"model": "whisper-1"},
            turns="server_vad",
            wire_turns=_VAD,
            wire_format={"type": wire} if wire != "audio/pcm" else {"type": wire, "rate": 24000},
            noise="near_field",
            warned=("logprobs",),
        )
        for word, wire in (("pcm16", "audio/pcm"), ("g711_ulaw", "audio/pcmu"), ("g711_alaw", "audio/pcma"))
    ),
]

_GRAPHS = [
    Wild(
        "a graph that gives the key and nothing else",
        "a README of a voice assistant for a robot: tenapp/property.json, node stt",
        {"params": {"api_key": _KEY}},
    ),
    Wild(
        "the same with a default",
        "TEN-framework/ten-framework, usual node of a voice assistant",
        {"params": {"api_key": "${env:OPENAI_API_KEY|}"}},
    ),
    Wild(
        "a language alone, over what the earlier property.json filled in",
        "any graph that changes one value",
        {"params": {"api_key": _KEY, "input_audio_transcription": {"language": "de"}}},
        transcription={"model": "gpt-live-transcribe", "languages": ["de"]},
        result_language="de-DE",
    ),
    Wild(
        "a longer pause alone",
        "any graph that changes one value",
        {"params": {"api_key": _KEY, "turn_detection": {"silence_duration_ms": 900}}},
    ),
    Wild(
        "semantic turns with a model that takes them",
        "any graph that changes one value",
        {
            "params": {
                "api_key": _KEY,
                "input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "ja"},
                "turn_detection": {"type": "semantic_vad", "eagerness": "high"},
            }
        },
        transcription={"model": "gpt-4o-transcribe", "language": "ja"},
        turns="semantic_vad",
        wire_turns={"type": "semantic_vad", "eagerness": "high"},
        result_language="ja-JP",
    ),
    Wild(
        "a graph with key, model and language at the top",
        f"TEN-framework/TEN-Agent, liuhongl/recov_ten and more {EXAMPLES}/doodler/tenapp/property.json; "
        f"cyfyifanchen/ten-framework {EXAMPLES}/voice-image-kids/tenapp/property.json",
        {"api_key": _KEY, "model": "whisper-1", "language": "en"},
        transcription=_whisper(),
        turns="server_vad",
        wire_turns=_VAD,
        result_language="en-US",
    ),
]

_DOCUMENTED = [
    Wild(
        "the oldest example: everything at the top, VAD and noise reduction enabled",
        f"yuanoOo/ten-framework, liuhongl/recov_ten {PACKAGE}/docs/README.en-US.md (and four more languages)",
        {
            "api_key": "your_openai_api_key",
            "organization": "your_organization_id",
            "project": "your_project_id",
            "params": {
                "input_audio_format": "pcm16",
                "input_audio_transcription": {"model": "whisper-1"},
                "turn_detection": {"enabled": True},
                "input_audio_noise_reduction": {"enabled": True},
            },
            "dump": False,
            "log_level": "INFO",
        },
        transcription={"model": "whisper-1"},
        turns="server_vad",
        wire_turns=_VAD,
        noise="near_field",
        key="your_openai_api_key",
        organization="your_organization_id",
    ),
    Wild(
        "the example since 0.3.5",
        f"TEN-framework/TEN-Agent {PACKAGE}/docs/README.en-US.md (and four more languages)",
        {
            **_file({}, {"api_key": "your_openai_api_key"}, ""),
            "dump": False,
            "log_level": "INFO",
        },
        transcription=_whisper(),
        turns="server_vad",
        wire_turns=_VAD,
        key="your_openai_api_key",
        result_language="en-US",
    ),
    Wild(
        "the options the README lists, with the name the server's address had until 0.2",
        f"yuanoOo/ten-framework {PACKAGE}/docs/README.en-US.md and config.py",
        {
            "params": {
                "api_key": _KEY,
                "organization": "org-1",
                "websocket_base_url": "wss://proxy.example/v1/",
                "log_level": "INFO",
            },
            "dump": True,
            "dump_path": "openai_asr_in.pcm",
        },
        url="wss://proxy.example/v1/realtime?intent=transcription",
        organization="org-1",
        dump=True,
    ),
    Wild(
        "the options since 0.3: base_url and sample_rate",
        f"zhaomeiniu5658/ten-framework-voice-dify {PACKAGE}/config.py",
        {"params": {"api_key": _KEY, "base_url": "wss://proxy.example/v1/", "sample_rate": 24000}},
        url="wss://proxy.example/v1/realtime?intent=transcription",
        sample_rate=24_000,
    ),
]

_DEFECTS = [
    Wild(
        "keywords and a key of tomorrow reach the server",
        "W3",
        {
            "params": {
                "input_audio_transcription": {"model": "my-own-model", "keywords": ["Ada"], "language": "de"},
                "turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000},
            }
        },
        transcription={"model": "my-own-model", "keywords": ["Ada"], "language": "de"},
        turns="server_vad",
        wire_turns={**_VAD, "idle_timeout_ms": 6000},
        result_language="de-DE",
    ),
    Wild(
        "turn detection off",
        "W4",
        {"params": {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": {"type": "none"}}},
        transcription={"model": "whisper-1"},
        turns="none",
    ),
    Wild(
        "turn detection off, in the oldest spelling",
        "W4",
        {"params": {"input_audio_transcription": {"model": "whisper-1"}, "turn_detection": {"enabled": False}}},
        transcription={"model": "whisper-1"},
        turns="none",
    ),
    *(
        Wild(f"an address written {base}", "W6", {"params": {"base_url": base}}, url=url)
        for base, url in (
            ("wss://api.openai.com/v1", OPENAI),
            ("wss://api.openai.com/v1/", OPENAI),
            ("https://api.openai.com/v1", OPENAI),
            ("https://eu.api.openai.com/v1/", "wss://eu.api.openai.com/v1/realtime?intent=transcription"),
            ("http://127.0.0.1:8000/v1", "ws://127.0.0.1:8000/v1/realtime?intent=transcription"),
        )
    ),
    Wild(
        "an address in the environment, as other tools want it",
        "W6",
        {"params": {"api_key": _KEY}},
        environment={**ENVIRONMENT, "OPENAI_BASE_URL": "https://gateway.example/v1"},
        url="wss://gateway.example/v1/realtime?intent=transcription",
    ),
    Wild(
        "an address that cannot work",
        "W6",
        {"params": {"base_url": "ftp://example.org"}},
        refused=("params.base_url", "ftp://example.org", "wss"),
    ),
    Wild(
        "an empty prompt is no prompt, and the model is the newest",
        "W8",
        {"params": {"input_audio_transcription": {"prompt": "", "language": ""}}},
    ),
    Wild(
        "a number in a placeholder, which is a string when we see it",
        "W9",
        {"params": {"sample_rate": "${env:RATE|48000}"}},
        sample_rate=48_000,
    ),
    Wild(
        "a misspelt key",
        "W9",
        {"params": {"sampel_rate": 8000}},
        warned=("params.sample_rate",),
    ),
    Wild(
        "G.711 on the wire, of frames whose rate is given",
        "A4",
        {
            "params": {
                "input_audio_format": "g711_ulaw",
                "sample_rate": 24000,
                "input_audio_transcription": {"model": "whisper-1"},
            }
        },
        transcription={"model": "whisper-1"},
        turns="server_vad",
        wire_turns=_VAD,
        wire_format={"type": "audio/pcmu"},
        sample_rate=24_000,
    ),
    Wild(
        "server VAD and no model: what the earlier property.json filled in is no longer there",
        "docs/upgrade.md",
        {"params": {"api_key": _KEY, "turn_detection": {"type": "server_vad", "silence_duration_ms": 500}}},
        refused=("turn_detection.type", "server_vad", "gpt-live-transcribe", "local_vad", "none"),
    ),
]

WILD = [*_PACKAGE, *_tests_of_the_package(), *_GRAPHS, *_DOCUMENTED, *_DEFECTS]
