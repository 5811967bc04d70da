"""Who may use a playground: from this machine, from others, and pages of other origins."""

from __future__ import annotations

import http.client
import ssl
from pathlib import Path
from urllib.parse import quote

import pytest
from playground_pages import FakePage, Running, Sample, playground
from websockets.exceptions import InvalidStatus

SECRET = "canary+token/01&23=45#67"


def get(running: Running, path: str, **headers: str) -> http.client.HTTPResponse:
    host, _, port = running.origin.partition("://")[2].partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=20)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def test_the_page_is_shut_off_from_everything_else(running: Running) -> None:
    headers = get(running, "/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", "file://"])
def test_a_page_of_another_origin_is_refused(running: Running, origin: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        FakePage(running.live, origin=origin)
    assert refused.value.response.status_code == 403


def test_a_name_that_somebody_points_at_this_machine_is_refused(running: Running) -> None:
    assert get(running, "/", Host="evil.example").status == 421
    port = running.origin.rpartition(":")[2]
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    name = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
    refused = get(running, "/live", **upgrade, **name, **{"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert refused.status == 403
    for own in ("localhost", "127.0.0.1", "[::1]"):
        assert get(running, "/static/none", Host=f"{own}:{port}").status == 404


def test_from_other_machines_it_wants_its_token(weather: Sample) -> None:
    with playground(
        "--local", "--host", "0.0.0.0", "-v", "-v", env={"OPENAI_ASR_PLAYGROUND_TOKEN": SECRET}
    ) as open_one:
        assert open_one.url.endswith(f"/?token={quote(SECRET, safe='')}")
        assert get(open_one, "/").status == 401
        assert get(open_one, "/?token=wrong").status == 401
        assert get(open_one, "/static/app.js").status == 401
        with pytest.raises(InvalidStatus):
            FakePage(open_one.live)
        admitted = get(open_one, open_one.url[len(open_one.origin) :])
        assert (admitted.status, admitted.headers["Location"]) == (303, "/")
        cookie = admitted.headers["Set-Cookie"]
        assert "HttpOnly" in cookie and "samesite=lax" in cookie.lower()
        bare = cookie.partition(";")[0]
        assert get(open_one, "/", Cookie=bare).status == 200
        again = get(open_one, open_one.url[len(open_one.origin) :], Cookie=bare)
        assert (again.status, again.headers["Location"]) == (303, "/"), "the token stays in the address bar"
        with FakePage(open_one.live, additional_headers={"Cookie": bare}) as page:
            page.say("start", sample_rate=weather.rate)
            page.until_type("started")
        with pytest.raises(InvalidStatus):
            FakePage(open_one.live, additional_headers={"Cookie": bare}, origin="https://evil.example")
        assert open_one.end() == 0
    written = "".join(open_one.errors)
    assert "gives a page a microphone only over TLS" in written and SECRET not in written


def test_a_token_is_made_up_where_none_is_given() -> None:
    with playground("--local", "--recognizer", "scripted", "--host", "0.0.0.0") as one:
        token = one.url.partition("?token=")[2]
        assert len(token) > 30 and get(one, f"/?token={token}").status == 303


def test_over_tls(certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    with playground("--local", "--recognizer", "scripted", "--tls-cert", str(cert), "--tls-key", str(key)) as one:
        assert one.url.startswith("https://127.0.0.1:")
        with FakePage(one.live, ssl=ssl.create_default_context(cafile=str(cert))) as page:
            assert page.until_type("hello")["destination"]["local"]
