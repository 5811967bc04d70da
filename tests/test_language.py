"""The language tag of a result."""

from __future__ import annotations

import pytest
from ten_packages.extension.openai_asr_python.realtime.language import (
    USUAL_REGION,
    is_language_tag,
    primary_subtag,
    result_language,
)


@pytest.mark.parametrize(
    ("configured", "detected", "tag"),
    [
        ("en", None, "en-US"),
        ("zh", None, "zh-CN"),
        ("es", None, "es-ES"),
        ("en-GB", None, "en-GB"),
        ("en-GB", "en", "en-GB"),
        ("en", "en", "en-US"),
        ("en-US", "de", "de-DE"),
        ("en-US", "pt-PT", "pt-PT"),
        (None, "ja", "ja-JP"),
        (None, None, "und"),
        ("", "", "und"),
        ("zh_hant_tw", None, "zh-Hant-TW"),
        ("ZH-hans", None, "zh-Hans"),
        ("es-419", None, "es-419"),
        ("zh-TW", "cmn", "zh-TW"),
        (None, "cmn", "zh-CN"),
        (None, "iw", "he-IL"),
        ("cy", None, "cy"),
        ("de", "english", "de-DE"),
        ("de", "und", "de-DE"),
        ("auto", "fr", "fr-FR"),
        ("mul", None, "und"),
    ],
)
def test_detected_beats_configured_only_when_it_is_another_language(
    configured: str | None, detected: str | None, tag: str
) -> None:
    assert result_language(configured, detected) == tag


def test_every_usual_region_makes_a_tag() -> None:
    for code, region in USUAL_REGION.items():
        assert is_language_tag(code) and len(region) == 2 and region.isupper()
        assert result_language(code, None).endswith(f"-{region}")


def test_the_wire_wants_the_primary_subtag() -> None:
    assert [primary_subtag(tag) for tag in ("en-US", "ZH_Hant", " de ")] == ["en", "zh", "de"]


@pytest.mark.parametrize("text", ["english", "e", "en US", "en-", "", "12", "zh--TW"])
def test_words_are_no_tags(text: str) -> None:
    assert not is_language_tag(text)
