"""How `openai-asr doctor` shows what it found, what it leaves alone, and that it ends and keeps secrets."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from doctor_cases import CANARY, HERE, KEY, SENTENCE, Examined, Lab, Make
from doctor_lab import NO_PROXIES, TAKES_PROXIES, beside
from raw_proxies import http_proxy, socks5_proxy
from ten_packages.extension.openai_asr_python.devkit.cli.app import main
from ten_packages.extension.openai_asr_python.devkit.cli.display import Display
from ten_packages.extension.openai_asr_python.devkit.cli.doctor import doctor
from ten_packages.extension.openai_asr_python.devkit.doctor import case, network, session_checks, speech
from ten_packages.extension.openai_asr_python.devkit.doctor.case import Case, hide_secrets
from ten_packages.extension.openai_asr_python.devkit.doctor.examination import CHECKS
from ten_packages.extension.openai_asr_python.devkit.doctor.probe import Seen
from ten_packages.extension.openai_asr_python.devkit.server.errors import invalid_request
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.transcription import runner
from ten_packages.extension.openai_asr_python.devkit.transcription.destination import configuration
from ten_packages.extension.openai_asr_python.devkit.transcription.failure import CommandError
from ten_packages.extension.openai_asr_python.devkit.transcription.graphs import own_graph
from ten_packages.extension.openai_asr_python.telemetry import Redactor

pytestmark = pytest.mark.socket


def proxies_are_taken() -> None:
    if not TAKES_PROXIES:
        pytest.skip(NO_PROXIES)


def examined_case(params: dict[str, Any]) -> Case:
    """The doctor's case of a configuration that is in order."""
    graph = own_graph()
    for name, value in params.items():
        graph.set_param(name, value)
    return Case(graph, timeout_s=5.0, config=configuration(graph))


def test_a_line_a_check_and_the_verdict(cli: Callable[..., Any], lab: Lab) -> None:
    ran = cli("doctor", "--url", lab.server(), "--model", "gpt-transcribe", "--no-speech")
    *lines, empty, verdict = ran.out.splitlines()
    assert (ran.code, empty, verdict) == (0, "", "It would work.")
    titles = [check.title for check in CHECKS]
    assert [line for line, title in zip(lines, titles, strict=True) if title not in line] == []
    shown = dict(zip(titles, lines, strict=True))
    for title in ("DNS", "TLS"):
        assert shown[title].startswith("not needed"), "a plain URL of this machine"
    assert "Looking at ws://127.0.0.1" in ran.err


def test_what_is_wrong_has_its_remedy_below(cli: Callable[..., Any], lab: Lab) -> None:
    ran = cli("-q", "doctor", "--url", lab.server("quota"), "--model", "gpt-transcribe")
    lines = ran.out.splitlines()
    (at,) = (number for number, line in enumerate(lines) if line.startswith("failed"))
    assert "insufficient_quota" in lines[at] and lines[at + 1].strip().startswith("Add credit")
    assert lines[at + 1].startswith(" " * 12), "indented below what it is about"
    assert [line.split()[-2:] for line in lines if line.startswith("skipped")] == [["Account", "failed"]] * 3
    assert (ran.code, lines[-1], ran.err) == (1, "It would not work: Account failed.", "")


def test_json_is_one_object(cli: Callable[..., Any], lab: Lab) -> None:
    ran = cli("doctor", "--json", "--url", lab.server("bad-key"), "--model", "whisper-1")
    report = json.loads(ran.out)
    assert (ran.code, report["ok"], report["model"]) == (1, False, "whisper-1")
    assert report["url"].startswith("ws://127.0.0.1:") and re.fullmatch(r"\d+\.\d+\.\d+.*", report["version"])
    assert [check["id"] for check in report["checks"]] == [check.id for check in CHECKS]
    by_id = {check["id"]: check for check in report["checks"]}
    assert by_id["key"].keys() == {"id", "title", "status", "detail", "trouble", "remedy"}
    assert by_id["tcp"]["ms"] >= 0 and by_id["echo"]["status"] == "skipped"


def test_without_a_key_the_key_is_what_is_missing(cli: Callable[..., Any]) -> None:
    """The variable is missing where TEN runs: a local server that works would hide that."""
    ran = cli("doctor", "--json")
    report = json.loads(ran.out)
    (wrong,) = (check for check in report["checks"] if check["status"] == "failed")
    assert (ran.code, report["ok"], wrong["id"]) == (1, False, "configuration")
    assert "params.api_key is unset" in wrong["detail"]
    assert "OPENAI_API_KEY" in wrong["remedy"] and "--local" in wrong["remedy"]
    assert "a local server listens" not in ran.err


def test_a_local_server_can_be_looked_at_without_any_account(cli: Callable[..., Any]) -> None:
    """The one run at the speed of speech, by a real recogniser."""
    ran = cli("doctor", "--json", "--local")
    report = json.loads(ran.out)
    assert ran.code == 0, report
    heard = next(check for check in report["checks"] if check["id"] == "speech")
    right = re.search(r"(\d+) of 11 words", heard["detail"])
    assert right is not None and int(right[1]) >= 9
    assert "a local server listens" in ran.err and "Nothing leaves this machine" in ran.err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--timeout", "0"], "--timeout 0"),
        (["--name", "voice"], "--graph"),
        (["--local", "--url", "ws://127.0.0.1:9"], "--local"),
        (["--graph", "/no/such/file"], "/no/such/file"),
    ],
)
def test_wrong_use_is_told_in_a_sentence(cli: Callable[..., Any], arguments: list[str], word: str) -> None:
    ran = cli("doctor", *arguments)
    assert (ran.code, ran.out) == (2, "") and word in ran.err


def test_another_addon_is_not_looked_at(lab: Lab) -> None:
    (lab.folder / "graph.json").write_text(json.dumps({"nodes": [{"name": "stt", "addon": "deepgram_asr_python"}]}))
    with pytest.raises(CommandError, match="deepgram_asr_python"):
        doctor(replace(lab.ask(), graph=str(lab.folder / "graph.json")), Display(), lab.world)


def test_of_a_graph_only_our_node_runs(lab: Lab, examine: Callable[[Make], Examined]) -> None:
    """Its other nodes may call services that cost money, and are not what is asked about."""

    def make(lab: Lab) -> Any:
        request = lab.params(dump=True, dump_path=str(lab.folder / "dump"), auto_connect=False)
        file = lab.folder / "property.json"
        app = json.loads(file.read_text())
        app["ten"]["predefined_graphs"][0]["graph"]["nodes"].append({"name": "llm", "addon": "not_there"})
        file.write_text(json.dumps(app))
        return replace(request, speech=True)

    examined = examine(make)
    assert examined.code == 0 and SENTENCE in examined.checks["speech"]["detail"]
    (lab.folder / "property.json").unlink()
    assert [path.name for path in lab.folder.rglob("*")] == [], "nothing is recorded"


def test_a_key_that_is_missing_in_an_app_is_told(examine: Callable[[Make], Examined]) -> None:
    """Without --graph a local server would be looked at; an app is to work as it is."""

    def make(lab: Lab) -> Any:
        lab.patch.delenv("OPENAI_API_KEY")
        return lab.graph({})

    examined = examine(make)
    assert "params.api_key is unset" in examined.checks["configuration"]["detail"]
    assert examined.checks["handshake"]["detail"] == "Configuration failed"


@pytest.mark.parametrize("dialect", ["azure", "beta", "speaches", "vllm"])
def test_every_kind_of_server_can_be_looked_at(dialect: str, examine: Callable[[Make], Examined]) -> None:
    spoken = dialect != "vllm"  # it streams, and is not sent audio faster than it could hear it
    examined = examine(lambda lab: lab.ask(lab.server(dialect=dialect), dialect=dialect, speech=spoken))
    assert (examined.code, examined.report["verdict"]) == (0, "It would work.")
    assert examined.checks["echo"]["status"] == ("not needed" if dialect == "vllm" else "ok")


def test_a_secret_that_cannot_be_bought_is_the_keys_fault(examine: Callable[[Make], Examined]) -> None:
    kind = "azure_ephemeral"
    examined = examine(lambda lab: lab.ask(lab.server(dialect=kind, api_key="other"), dialect=kind))
    assert examined.checks["key"]["trouble"] == "key_refused"


# Proxies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h"])
@pytest.mark.parametrize("trusted", [True, False])
def test_tls_through_a_proxy(kind: str, trusted: bool, examine: Callable[[Make], Examined]) -> None:
    proxies_are_taken()
    asked: list[str] = []

    def make(lab: Lab) -> Any:
        request = lab.tls(trusted=trusted)
        login = f"me:{CANARY}"
        open_proxy = http_proxy if kind == "http" else socks5_proxy
        port = lab.stack.enter_context(beside(lambda: open_proxy(asked, user=login)))
        return lab.changed(request, proxy=f"{kind}://{login}@{HERE}:{port}")

    examined = examine(make)
    assert examined.checks["proxy"]["status"] == "ok", examined.checks
    assert len(asked) >= 2 and len(set(asked)) == 1
    assert (examined.code, examined.checks["tls"].get("trouble")) == (
        (0, None) if trusted else (1, "certificate_unknown")
    )


@pytest.mark.parametrize("address", [HERE, "127.0.0.9"])
def test_tls_inside_of_the_tls_of_a_proxy(address: str, examine: Callable[[Make], Examined]) -> None:
    proxies_are_taken()
    examined = examine(lambda lab: lab.https_proxy(lab.tls(address)))
    assert examined.checks["proxy"]["status"] == "ok"
    if not network.TLS_IN_TLS:
        assert examined.checks["tls"]["trouble"] == "tls_in_tls"
        return
    assert examined.checks["tls"].get("trouble") == (None if address == HERE else "certificate_other_host")
    assert examined.code == (0 if address == HERE else 1)


def test_the_environments_proxy_is_the_one_that_is_asked(examine: Callable[[Make], Examined]) -> None:
    proxies_are_taken()
    asked: list[str] = []

    def make(lab: Lab) -> Any:
        port = lab.stack.enter_context(beside(lambda: http_proxy(asked)))
        lab.patch.setenv("ws_proxy", f"http://{HERE}:{port}")
        return lab.ask(lab.server())

    examined = examine(make)
    assert examined.code == 0 and asked
    assert "(ws_proxy)" in examined.checks["proxy"]["detail"]


@pytest.mark.parametrize("end", ["/word", "?word", "#word"])
def test_a_password_that_ends_the_host_is_a_finding(
    end: str, lab: Lab, examine: Callable[[Make], Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxies_are_taken()
    for login in (f"user:{CANARY}{end}", f"me:pw@12345{end}{CANARY}"):
        monkeypatch.setenv("ws_proxy", f"http://{login}@{HERE}:1")
        examined = examine(lambda lab: lab.ask(lab.server()))
        found = examined.checks["configuration"]
        assert (found["trouble"], "%2F" in found["remedy"], "***" in found["remedy"]) == ("proxy_url", True, False)
        assert "12345" not in json.dumps(examined.report)


def test_a_url_is_shown_without_its_secrets_before_anything_else(cli: Callable[..., Any], lab: Lab) -> None:
    """The notice that names it comes before the first check, and the report has it, too."""
    for url in (f"{lab.server()}/{CANARY}/v1", f"ws://127.0.0.1:1/{CANARY}@x/v1"):
        lab.patch.setenv("OPENAI_API_KEY", CANARY)
        ran = cli("doctor", "--url", url, "--model", CANARY, "--json", "--no-speech", "--timeout", "1")
        assert "Looking at" in ran.err and CANARY not in ran.out + ran.err


# Ends, and secrets --------------------------------------------------------------------------------------------


def test_a_server_that_falls_silent_does_not_hold_the_doctor_up(
    examine: Callable[[Make], Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "ANSWER_GRACE_S", 0.2)
    begun = time.monotonic()
    examined = examine(lambda lab: replace(lab.speak("swallow-event:type=completed"), timeout_s=0.4))
    assert examined.checks["speech"]["trouble"] == "not_transcribed"
    assert "--timeout" in examined.checks["speech"]["detail"]
    assert time.monotonic() - begun < 10


def test_it_waits_as_long_as_the_extension_would(
    examine: Callable[[Make], Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that loads its model first is no broken one, if the configuration gives it the time."""
    monkeypatch.setattr(case, "LEAST_WAIT_S", 0.1)

    def make(lab: Lab) -> Any:
        request = lab.params(base_url=lab.server("late-created:ms=400"), connect_timeout_ms=3000)
        return replace(request, timeout_s=None)

    examined = examine(make)
    assert (examined.code, examined.report["verdict"]) == (0, "It would work.")


def test_a_round_trip_is_held_to_the_extensions_own_limit() -> None:
    for limit, trouble in ((100, "no_pong"), (300, "")):
        asked = examined_case({"base_url": "ws://127.0.0.1:1", "ping_timeout_ms": limit})
        asked.seen = Seen(pongs_ms=[20.0, 30.0, 200.0])
        assert session_checks.check_round_trip(asked).trouble == trouble


def test_a_name_is_asked_for_once(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """asyncio asks in threads that its end waits for, however long that takes."""
    asked: list[str] = []
    lab.names["asr.test"] = HERE
    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *_, **__: asked.append(host) or look_up(host, *_, **__))
    port = lab.stack.enter_context(beside(lambda: http_proxy([])))
    for params in ({}, {"proxy": f"http://asr.test:{port}"}):
        begun = examined_case({"base_url": lab.server().replace(HERE, "asr.test" if not params else HERE), **params})
        asked.clear()
        for check in (network.check_dns, network.check_tcp, network.check_proxy, network.check_tls):
            assert check(begun).status != "failed" or not TAKES_PROXIES
        assert asked == ["asr.test"]


def test_ctrl_c_ends_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "run_job", lambda *_, **__: (None, True))
    with pytest.raises(KeyboardInterrupt):
        doctor(lab.speak(), Display(), lab.world)


def test_logs_at_every_level_keep_the_secrets(
    lab: Lab, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Key, command, proxy, headers, URL: in a run that fails, with all that anybody logs."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    port = lab.stack.enter_context(beside(lambda: http_proxy([], user="me:right")))
    secrets = {
        "api_key_command": f"echo {KEY}",
        "headers": {"X-Password": CANARY},
        "organization": f"org-{CANARY}",
        "project": f"proj_{CANARY}",
        "strange": CANARY,
    }
    monkeypatch.delenv("OPENAI_API_KEY")

    def refuse(_: object) -> Refusal:
        return Refusal(invalid_request("model_not_found", f"sk-c***89, or {KEY}, may not use it in org-AbC9876"), 4000)

    server = lab.server(refuse=refuse)
    for more in ({}, {"proxy": f"http://me:{CANARY}@{HERE}:{port}"}):
        lab.graph({**secrets, **more, "base_url": f"{server}?key={CANARY}"})
        assert main(["-v", "-v", "doctor", "--graph", str(lab.folder), "--timeout", "2"]) == 1
        written = capfd.readouterr()
        assert CANARY not in written.out + written.err and "AbC9876" not in written.out + written.err
        assert "sk-c" not in written.out, "not even the beginning of a key, as services quote it"
        assert ("model_not_found: *** or ***, may not use it in ***" in written.out) is not bool(more)
        word = "wants another login" if TAKES_PROXIES else "takes no proxy"
        assert (word in written.out) is bool(more)


def test_no_log_line_has_an_account_a_server_names(
    lab: Lab, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)
    monkeypatch.setattr(network, "_connect_and_leave", lambda *_: logging.warning("limit of org-AbC9876"))
    lab.graph({"base_url": lab.server()})
    main(["-v", "doctor", "--graph", str(lab.folder), "--no-speech"])
    assert "limit of ***" in capfd.readouterr().err


def test_a_check_that_breaks_leaves_no_secret_in_the_log(
    lab: Lab, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging.getLogger(), "level", logging.WARNING)

    def fail(*_: object) -> None:
        raise ValueError(f"what {KEY} says")

    monkeypatch.setattr(network, "_connect_and_leave", fail)
    lab.graph({"base_url": lab.server()})
    assert main(["-v", "doctor", "--graph", str(lab.folder)]) == 1
    written = capfd.readouterr()
    assert "ValueError in the check itself" in written.out and "ValueError: what *** says" in written.err
    assert CANARY not in written.out + written.err


def test_every_place_of_a_secret_is_known() -> None:
    redact = Redactor()
    values = {
        "api_key": "sk-first-secret", "api_key_command": " print-second ", "organization": "third-org",
        "project": "fourth-project", "headers": {"x": "fifth-value"}, "proxy": "http://sixth:seven%21th@proxy:1",
        "base_url": "wss://eighth:ninth-password@host/v1?token=tenth-token&model=gpt-transcribe",
    }  # fmt: skip
    hide_secrets(redact, values, {"OPENAI_API_KEY": "sk-from-outside", "HTTPS_PROXY": "http://me:eleventh@p:1"})
    said = "sk-first-secret print-second third-org fourth-project fifth-value seven!th ninth-password tenth-token"
    assert redact(f"{said} sk-from-outside eleventh").split() == ["***"] * 10
    hide_secrets(redact, {"headers": {"Authorization": "Bearer gateway-token-123"}, "proxy": "http://u:12th/one@p"}, {})
    assert redact("Invalid token gateway-token-123, no Bearer; 12th/one") == "Invalid token ***, no Bearer; ***"
    assert redact("gpt-transcribe at wss://host/v1 proxy") == "gpt-transcribe at wss://host/v1 proxy"


def test_a_name_service_that_hangs_does_not_hold_the_doctor_up(
    examine: Callable[[Make], Examined], monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def make(lab: Lab) -> Any:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [] if release.wait(30) else None)
        return lab.soon("ws://asr.test:9/v1")

    try:
        examined = examine(make)
    finally:
        release.set()
    assert examined.checks["dns"]["trouble"] == "name_late"
