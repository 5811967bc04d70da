"""What the doctor says of the way to the server: whom it blames, in words, with what to change."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from doctor_cases import CANARY, HERE, KEY, Examined, Lab, Make
from doctor_lab import NO_PROXIES, TAKES_PROXIES, beside, hanging_up
from raw_serving import answering
from wire_servers import dead_port

pytestmark = pytest.mark.socket
proxies_are_taken = pytest.mark.skipif(not TAKES_PROXIES, reason=NO_PROXIES)


def file_of_certificates(kind: str, folder: Path) -> Path:
    path = folder / kind
    if kind == "directory":
        path.mkdir()
    elif kind == "no-certificate":
        path.write_text("nothing\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("kind", ["missing", "directory", "no-certificate"])
def test_a_file_of_authorities_that_the_environment_names_in_vain_is_named(
    kind: str, lab: Lab, examine: Callable[[Make], Examined]
) -> None:
    path = file_of_certificates(kind, lab.folder)
    lab.patch.setenv("SSL_CERT_FILE", str(path))
    found = examine(lambda lab: lab.tls(trusted=False)).checks["tls"]
    assert found["trouble"] == "ca_file_unusable"
    assert f"SSL_CERT_FILE={path}: " in found["detail"] and "SSL_CERT_FILE" in found["remedy"]


def test_a_folder_of_authorities_that_the_environment_names_in_vain_is_named(
    lab: Lab, examine: Callable[[Make], Examined]
) -> None:
    lab.patch.delenv("SSL_CERT_FILE", raising=False)
    lab.patch.setenv("SSL_CERT_DIR", str(lab.folder))
    found = examine(lambda lab: lab.tls(trusted=False)).checks["tls"]
    assert found["trouble"] == "ca_file_unusable"
    assert f"SSL_CERT_DIR={lab.folder}: " in found["detail"] and "openssl rehash" in found["detail"]


def test_a_file_of_authorities_of_the_environment_is_enough(lab: Lab, examine: Callable[[Make], Examined]) -> None:
    lab.patch.setenv("SSL_CERT_FILE", str(lab.authority().file))
    lab.patch.setenv("SSL_CERT_DIR", str(lab.folder / "missing"))
    assert examine(lambda lab: lab.tls(trusted=False)).report["verdict"] == "It would work."


@proxies_are_taken
def test_authorities_of_the_environment_are_looked_at_for_a_proxy_too(
    lab: Lab, examine: Callable[[Make], Examined]
) -> None:
    def make(lab: Lab) -> Any:
        request = lab.https_proxy(lab.params())
        lab.patch.setenv("SSL_CERT_FILE", str(lab.folder / "missing"))
        return request

    found = examine(make).checks["proxy"]
    assert (found["trouble"], "SSL_CERT_FILE=" in found["detail"]) == ("ca_file_unusable", True)


@proxies_are_taken
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_is_not_there_is_named_and_the_server_is_not(
    variable: str, lab: Lab, examine: Callable[[Make], Examined]
) -> None:
    port = lab.stack.enter_context(dead_port()).split(":")[2].split("/")[0]
    lab.patch.setenv(variable, f"http://{HERE}:{port}")
    found = examine(lambda lab: lab.ask("ws://asr.test:9/v1")).checks["tcp"]
    assert (found["trouble"], variable in found["remedy"]) == ("port_closed", True)
    assert "Start the proxy" in found["remedy"] and "server" not in found["remedy"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [(b"", "the server hung up"), (b"220 mail.test ESMTP\r\n\r\n", "its answer is not HTTP")],
    ids=["hangs up", "mail"],
)
def test_a_handshake_that_fails_is_told_without_names_of_classes(
    answer: bytes, said: str, examine: Callable[[Make], Examined]
) -> None:
    def make(lab: Lab) -> Any:
        port = lab.stack.enter_context(beside(functools.partial(answering, answer)))
        return lab.ask(f"ws://{HERE}:{port}/v1")

    found = examine(make).checks["handshake"]
    assert (found["trouble"], said in found["detail"]) == ("no_http", True)


def test_tls_that_is_broken_off_is_told_without_names_of_classes(examine: Callable[[Make], Examined]) -> None:
    def make(lab: Lab) -> Any:
        port = lab.stack.enter_context(beside(hanging_up))
        return lab.params(base_url=f"wss://{HERE}:{port}/v1")

    found = examine(make).checks["tls"]
    assert (found["trouble"], found["detail"]) == ("no_tls", "it hung up")


@proxies_are_taken
def test_a_proxy_that_hangs_up_is_told_without_names_of_classes(examine: Callable[[Make], Examined]) -> None:
    def make(lab: Lab) -> Any:
        port = lab.stack.enter_context(beside(functools.partial(answering, b"")))
        return lab.params(proxy=f"http://{HERE}:{port}")

    found = examine(make).checks["proxy"]
    assert (found["trouble"], found["detail"].rpartition(": ")[2]) == ("proxy_failed", "it hung up")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("HTTP/1.1 301 Moved", "names no address"),
        ("HTTP/1.1 301 Moved\r\nLocation: mailto:me@x.test", "names no address"),
        ("HTTP/1.1 302 Found\r\nLocation: /v1/realtime", "again and again"),
    ],
    ids=["nowhere", "no URL", "in a circle"],
)
def test_a_redirect_that_leads_nowhere_is_about_the_path(
    answer: str, said: str, examine: Callable[[Make], Examined]
) -> None:
    found = examine(lambda lab: lab.ask(lab.answering(answer))).checks["handshake"]
    assert (found["trouble"], said in found["detail"]) == ("redirected", True), found
    assert "the path in params.base_url" in found["remedy"] and "(not a URL)" not in found["detail"] + found["remedy"]


@pytest.mark.parametrize("key", ["api_key", "api_key_command", "header"])
def test_a_login_in_the_url_beside_a_key_is_doubted(key: str, lab: Lab, examine: Callable[[Make], Examined]) -> None:
    """Both become an `Authorization` header, and servers take one."""
    lab.patch.delenv("OPENAI_API_KEY")
    keys = {"api_key": KEY, "api_key_command": f"echo {KEY}", "header": {"authorization": f"Bearer {KEY}"}}
    params = {"headers" if key == "header" else key: keys[key]}
    url = lab.server().replace("//", f"//me:{CANARY}@")
    found = examine(lambda lab: lab.params(base_url=url, **params)).checks["configuration"]
    assert (found["status"], found.get("trouble")) == ("warning", "property_doubtful")
    assert "two Authorization headers" in found["detail"] and "params.base_url: " in found["remedy"]


def test_a_login_in_the_url_without_a_key_is_not_doubted(lab: Lab, examine: Callable[[Make], Examined]) -> None:
    lab.patch.setenv("OPENAI_API_KEY", "")
    url = lab.server().replace("//", f"//me:{CANARY}@")
    assert examine(lambda lab: lab.params(base_url=url)).report["verdict"] == "It would work."
