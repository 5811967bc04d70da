"""What the doctor finds more rarely: set-ups whose healthy twin is one of `doctor_cases`, or needs no test."""

from __future__ import annotations

import socket
import ssl
import sys
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from doctor_cases import CANARY, HERE, KEY, SENTENCE, Lab, Make, plain
from ten_packages.extension.openai_asr_python.devkit.cli.doctor import DoctorRequest
from ten_packages.extension.openai_asr_python.devkit.doctor import network, session_checks, speech
from ten_packages.extension.openai_asr_python.devkit.server.scripted_recognizer import Line, ScriptedRecognizer
from wire_servers import FakeServer, Peer


@dataclass(frozen=True)
class Alone:
    """One thing that is wrong."""

    trouble: str
    broken: Make


def _look_up_fails(lab: Lab) -> DoctorRequest:
    lab.names["asr.test"] = "again"
    return lab.ask("ws://asr.test:9/v1")


def _full(lab: Lab) -> DoctorRequest:
    """A port that takes no more connections."""
    listener = lab.stack.enter_context(socket.socket())
    listener.bind((HERE, 0))
    listener.listen(0)
    for _ in range(4):
        waiting = lab.stack.enter_context(socket.socket())
        waiting.setblocking(False)
        waiting.connect_ex(listener.getsockname())
    return lab.soon(f"ws://{HERE}:{listener.getsockname()[1]}/v1")


def _nowhere(lab: Lab) -> DoctorRequest:
    lab.names["asr.test"] = "255.255.255.255"
    return lab.ask("ws://asr.test:9/v1")


def _without_socks(lab: Lab) -> DoctorRequest:
    lab.patch.setitem(sys.modules, "python_socks", None)
    return lab.params(proxy=f"socks5://me:{CANARY}@{HERE}:{lab.server().split(':')[2].split('/')[0]}")


def _too_young(lab: Lab) -> DoctorRequest:
    async def refuse(*_: Any) -> None:
        error = ssl.SSLCertVerificationError()
        error.verify_code, error.verify_message = 9, "certificate is not yet valid"
        raise error

    lab.patch.setattr(network, "_tls_and_leave", refuse)
    return lab.tls()


def _no_certificates(lab: Lab) -> DoctorRequest:
    (lab.folder / "empty.pem").write_text("nothing\n")
    return lab.params(base_url="wss" + lab.server()[2:], ca_file=str(lab.folder / "empty.pem"))


def _tls_in_tls(lab: Lab) -> DoctorRequest:
    lab.patch.setattr(network, "TLS_IN_TLS", False)
    return lab.https_proxy(lab.tls())


async def _too_far(peer: Peer) -> None:
    error = {"type": "request_forbidden", "code": "unsupported_country_region_territory", "message": "not supported"}
    await peer.say({"type": "error", "error": error})
    await peer.close(4000, "")


async def _takes_no_model(peer: Peer) -> None:
    await peer.say({"type": "session.created", "session": {"type": "transcription"}})
    update = await peer.heard("session.update")
    details = {"type": "invalid_request_error", "code": "model_not_found", "message": f"no model for {KEY}"}
    await peer.say({"type": "error", "error": {**details, "event_id": update["event_id"]}})


def _measured(module: Any, name: str, limit: float, make: Make) -> Make:
    """With *limit* as what is too slow."""

    def made(lab: Lab) -> DoctorRequest:
        lab.patch.setattr(module, name, limit)
        return make(lab)

    return made


def _late(lab: Lab) -> DoctorRequest:
    recognizer = ScriptedRecognizer([Line(SENTENCE, delay_s=0.5)] * 9)
    request = lab.params(base_url=lab.server(recognizer=recognizer), finalize_timeout_ms=100)
    return replace(request, speech=True)


def _breaks(lab: Lab) -> DoctorRequest:
    def fail() -> date:
        raise ValueError(f"what {KEY} says")

    lab.where(today=fail)
    return lab.ask(lab.server())


def _of_another_kind(lab: Lab) -> DoctorRequest:
    params = {"turn_detection": "server_vad", "input_audio_transcription": {"model": "gpt-4o-transcribe"}}
    return lab.graph({"base_url": lab.server(dialect="vllm"), **params})


ALONE: tuple[Alone, ...] = (
    Alone("name_late", _look_up_fails),
    Alone("port_silent", _full),
    Alone("no_route", _nowhere),
    Alone("proxy_package", _without_socks),
    Alone("certificate_early", _too_young),
    Alone("ca_file_unusable", _no_certificates),
    Alone("tls_in_tls", _tls_in_tls),
    Alone("config_refused", lambda lab: lab.ask(lab.stack.enter_context(FakeServer(_takes_no_model)).url)),
    Alone("region", lambda lab: lab.ask(lab.stack.enter_context(FakeServer(_too_far)).url)),
    Alone("unfit", _of_another_kind),
    Alone("far_away", _measured(session_checks, "FAR_MS", 0.0, plain)),
    Alone("slow_text", _measured(speech, "SLOW_S", 0.0, lambda lab: lab.speak())),
    Alone("finalize_short", _late),
    Alone("check_failed", _breaks),
)
