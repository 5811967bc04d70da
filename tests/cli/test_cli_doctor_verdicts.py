"""What the doctor makes of a provider's refusals, in the words services use."""

from __future__ import annotations

import json

import pytest
from ten_packages.extension.openai_asr_python.devkit.doctor.probe import UPGRADED, Seen
from ten_packages.extension.openai_asr_python.devkit.doctor.verdicts import quoted, verdict
from ten_packages.extension.openai_asr_python.realtime import events as ev

LIMIT = "Rate limit reached for gpt-transcribe in organization org-AbCdEf012345 on requests per min. Limit: 3 / min."
LINK = "Visit https://platform.openai.com/account/billing to raise it."
REGION = "Country, region, or territory not supported"


def by_http(status: int, code: str | None, message: str) -> Seen:
    error = {"type": "invalid_request_error", "code": code, "message": message}
    return Seen(key_sent=True, status=status, body=json.dumps({"error": error}).encode())


def behind(code: str, message: str, closed: str = "1000") -> Seen:
    return Seen(
        key_sent=True,
        status=UPGRADED,
        errors=[ev.ServerError(code, message)],
        ended=ev.Disconnected(connection=1, code=closed, reason="", retry_in_ms=None),
    )


@pytest.mark.parametrize(
    ("seen", "trouble"),
    [
        (by_http(429, "rate_limit_exceeded", LIMIT), "overloaded"),
        (by_http(429, "rate_limit_exceeded", f"{LIMIT} {LINK}"), "overloaded"),
        (by_http(429, None, f"{LIMIT} {LINK}"), "overloaded"),
        (by_http(429, "insufficient_quota", "You exceeded your current quota"), "no_credit"),
        (by_http(403, "model_not_found", "Project `proj_x123` does not have access to model `m`"), "config_refused"),
        (by_http(403, "unsupported_country_region_territory", REGION), "region"),
        (by_http(403, None, REGION), "region"),
        (by_http(401, "mismatched_project", "OpenAI-Project header should match project for API key"), "wrong_account"),
        (by_http(401, None, "You must be a member of an organization to use the API"), "wrong_account"),
        (by_http(401, "invalid_api_key", "Incorrect API key for this project"), "key_refused"),
        (by_http(403, None, "Invalid token gateway-token-123"), "key_refused"),
        (by_http(403, None, "no such page"), "forbidden"),
        (behind("rate_limit_exceeded", LIMIT), "overloaded"),
        (behind("model_not_found", "Project `proj_x123` does not have access to model `m`"), "config_refused"),
        (behind("unsupported_country_region_territory", REGION), "region"),
        (behind("invalid_request_error", "max tokens must be below 4096"), "thrown_out"),
        (behind("context_length", "the token limit is 4096"), "thrown_out"),
        (behind("unauthorized", "the token has expired"), "key_refused"),
        (behind("invalid_value", "max_tokens: an invalid token count", "4000"), "config_refused"),
        (behind("server_error", "The server had an error while authenticating"), "service_down"),
        (behind("denied", "go away", "1008"), "key_refused"),
    ],
)
def test_a_refusal_is_named_by_its_code_before_its_words(seen: Seen, trouble: str) -> None:
    found = verdict(seen, "OPENAI_API_KEY")
    assert found is not None and found.trouble == trouble, found
    assert "AbCdEf" not in found.detail and "proj_x123" not in found.detail


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Received API Key = sk-...1234, Key Hash", "Received API Key = *** Key Hash"),
        ("wrong key sk-pr****90ab.", "wrong key ***"),
        ("the key abcd…wxyz is wrong", "the key *** is wrong"),
        ("no access for org-AbC123456 and proj_AbC123456", "no access for *** and ***"),
        ("Please wait ... and try again", "Please wait ... and try again"),
    ],
)
def test_parts_of_keys_and_names_of_accounts_are_not_quoted(said: str, shown: str) -> None:
    assert quoted(said) == shown
