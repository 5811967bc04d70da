"""Where we connect, whatever the operator wrote, and what a log may show of it."""

from __future__ import annotations

import pytest
from ten_packages.extension.openai_asr_python.realtime.endpoint import (
    DEFAULT_BASE_URL,
    display_url,
    headers,
    needs_key,
    realtime_url,
    secrets_of,
)
from ten_packages.extension.openai_asr_python.realtime.errors import ConfigurationError

OPENAI = "wss://api.openai.com/v1/realtime?intent=transcription"


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (DEFAULT_BASE_URL, OPENAI),
        ("wss://api.openai.com/v1/", OPENAI),
        ("https://api.openai.com/v1", OPENAI),
        ("  HTTPS://api.openai.com/v1//\n", OPENAI),
        ("https://api.openai.com", OPENAI),
        ("wss://api.openai.com/v1/realtime", OPENAI),
        ("wss://api.openai.com/v1/realtime/", OPENAI),
        ("wss://api.openai.com/v1/realtime?intent=transcription", OPENAI),
        ("http://127.0.0.1:8765/v1", "ws://127.0.0.1:8765/v1/realtime?intent=transcription"),
        ("ws://[::1]:8765", "ws://[::1]:8765/v1/realtime?intent=transcription"),
        (
            "https://res.openai.azure.com/openai/v1/",
            "wss://res.openai.azure.com/openai/v1/realtime?intent=transcription",
        ),
        ("ws://host/api?model=tiny&x=", "ws://host/api/realtime?model=tiny&x=&intent=transcription"),
        ("ws://host/not-realtime", "ws://host/not-realtime/realtime?intent=transcription"),
    ],
)
def test_every_way_to_write_a_base_gives_the_transcription_url(base: str, url: str) -> None:
    assert realtime_url(base) == url


@pytest.mark.parametrize(
    ("base", "part"),
    [
        ("", "wss://api.openai.com/v1"),
        ("api.openai.com/v1", "use a ws, wss, http or https URL"),
        ("ftp://host/v1", "use a ws, wss, http or https URL"),
        ("wss://", "names no host"),
        ("wss:///v1", "names no host"),
        ("wss://host:port/v1", "not a valid URL"),
        ("wss://host:99999/v1", "not a valid URL"),
        ("wss://[::1/v1", "not a valid URL"),
        ("wss://host/v1#top", "remove the part after #"),
        ("wss://ho st/v1", "spaces"),
        ("wss://host/v1\x07", "control characters"),
    ],
)
def test_a_bad_base_is_named_with_its_remedy(base: str, part: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        realtime_url(base, field="params.base_url")
    assert caught.value.field == "params.base_url"
    assert part in caught.value.remedy


@pytest.mark.parametrize(
    "base",
    [
        "sk-canary-key",
        "canary0123456789",
        "ftp://user:canary@host/v1",
        "wss://user:canary@host:port/v1",
        "wss://user:canary@[::1/v1",
        "wss://host:port/v1?api_key=canary",
        "wss://host/v1?api_key=canary#x",
        "user:canary@host/v1",
        "host:8765/v1?api_key=canary",
    ],
)
def test_a_bad_base_never_gives_a_secret_away(base: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        realtime_url(base)
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value.__cause__)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (OPENAI, OPENAI),
        ("wss://user:pw@host:1/v1", "wss://host:1/v1"),
        ("wss://host/v1?api_key=canary&model=tiny", "wss://host/v1?api_key=***&model=tiny"),
        ("canary", "(not a URL)"),
        ("wss://[canary", "(not a URL)"),
        # A password with a character that ends the host part: what is behind it is the rest of the password.
        ("http://user:canary/word@proxy:8080", "(not a URL)"),
        ("http://user:12345/canary@proxy:8080", "http://***"),
        ("http://user:12345?canary@proxy:8080", "http://***"),
        ("http://12345#canary@proxy:8080", "http://***"),
        ("http://me:pw@123456/canary@proxy:8080", "http://***"),
    ],
)
def test_a_log_shows_where_but_not_who(url: str, shown: str) -> None:
    assert display_url(url) == shown


def test_everything_secret_in_a_url_is_known() -> None:
    secrets = secrets_of("wss://user:pass%21word@host/v1?key=ab%2Fcdef+12&model=tiny")
    assert {"user", "pass%21word", "pass!word", "ab%2Fcdef+12", "ab/cdef 12"} <= secrets
    assert not {"tiny", "host", "wss"} & secrets
    for url in ("http://me:one/two@proxy:1", "http://me:one?two@proxy:1", "http://me:one#two@proxy:1"):
        assert {"one", "two", url[10:17]} <= secrets_of(url)
    assert "password" in secrets_of("user:password@proxy:3128"), "without a scheme, too"
    assert secrets_of("wss://[canary") == {"wss://[canary"}


@pytest.mark.parametrize(
    ("url", "needed"),
    [
        (DEFAULT_BASE_URL, True),
        ("https://eu.api.openai.com/v1", True),
        ("https://res.openai.azure.com/openai/v1", True),
        ("ws://127.0.0.1:8765/v1", False),
        ("wss://notopenai.com/v1", False),
        ("wss://[broken", False),
    ],
)
def test_the_providers_hosts_want_a_key(url: str, needed: bool) -> None:
    assert needs_key(url) is needed


class TestHeaders:
    def test_bearer_organization_and_project(self) -> None:
        assert headers(" sk-1\n", "org-1", "proj-1") == {
            "Authorization": "Bearer sk-1",
            "OpenAI-Organization": "org-1",
            "OpenAI-Project": "proj-1",
        }

    def test_without_a_key_there_is_no_authorization(self) -> None:
        assert headers(None) == {}
        assert headers("  ") == {}

    def test_no_beta_header(self) -> None:
        assert "openai-beta" not in {name.lower() for name in headers("sk-1", "o", "p", {"X-A": "b"})}

    def test_the_users_own_header_wins_whatever_its_case(self) -> None:
        assert headers("sk-1", extra={"authorization": "Bearer other", "api-key": "az"}) == {
            "authorization": "Bearer other",
            "api-key": "az",
        }

    @pytest.mark.parametrize(
        ("arguments", "field"),
        [
            ({"api_key": "canary\r\nX-Evil: 1"}, "api_key"),
            ({"api_key": "canary key"}, "api_key"),
            ({"api_key": "canaryü"}, "api_key"),
            ({"api_key": None, "organization": "canary\n1"}, "organization"),
            ({"api_key": None, "extra": {"X-A": "canary\nb"}}, "headers.X-A"),
            ({"api_key": None, "extra": {"X A": "canary"}}, "headers"),
            ({"api_key": None, "extra": {"": "canary"}}, "headers"),
        ],
    )
    def test_what_cannot_be_a_header_is_refused_without_quoting_it(
        self, arguments: dict[str, object], field: str
    ) -> None:
        with pytest.raises(ConfigurationError) as caught:
            headers(**arguments)  # type: ignore[arg-type]
        assert caught.value.field == field
        assert "canary" not in str(caught.value)
