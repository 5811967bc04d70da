"""docs/operations.md names what the code logs, measures and reads from the environment: all of it and nothing else."""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from client_peers import raw_server, socket_client, tidy
from halves import Halves
from sessions import COMMITTING, STREAMING, options
from ten_ai_base.message import ModuleMetricKey
from ten_packages.extension.openai_asr_python.config import OpenAIASRConfig
from ten_packages.extension.openai_asr_python.config_spelling import ENVIRONMENT
from ten_packages.extension.openai_asr_python.devkit.server.tones import make_block
from ten_packages.extension.openai_asr_python.realtime import events as ev
from ten_packages.extension.openai_asr_python.realtime.models import shutdown_notice
from ten_packages.extension.openai_asr_python.realtime.overdue import OVERDUE
from ten_packages.extension.openai_asr_python.telemetry import Telemetry

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PRODUCT = [
    *sorted(ROOT.glob("*.py")),
    *sorted((ROOT / "realtime").rglob("*.py")),
    *sorted((ROOT / "audio").glob("*.py")),
]
BASE_METRICS = {"connect_delay", "ttfw", "ttlw", "actual_send", "actual_send_delta", "vendor_metrics"}
OF_LIBRARIES = {
    "WSS_PROXY", "WS_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "ORT_DISABLE_TELEMETRY",
}  # fmt: skip
"What websockets, OpenSSL and onnxruntime read; tests below, in test_client_secrets.py and test_audio_vad.py show it."


def section(title: str) -> str:
    """The page's text under a heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def first_cells(title: str) -> list[str]:
    """What the first column of the tables under a heading has in code type."""
    rows = [line for line in section(title).splitlines() if line.startswith("| `")]
    return [code for row in rows for code in re.findall(r"`([^`]+)`", row.split(" | ")[0])]


# Log lines ----------------------------------------------------------------------------------------------------


def literal_beginnings(node: ast.expr, function: ast.AST) -> list[str]:
    """How a text begins before anything is put into it; nothing for one that another place made.

    A name stands for what the *function* assigns to it.
    """
    if isinstance(node, ast.IfExp):
        return [*literal_beginnings(node.body, function), *literal_beginnings(node.orelse, function)]
    if isinstance(node, ast.BinOp):
        return literal_beginnings(node.left, function)
    if isinstance(node, ast.JoinedStr):
        return literal_beginnings(node.values[0], function)
    if isinstance(node, ast.FormattedValue):
        return literal_beginnings(node.value, function)
    if isinstance(node, ast.Name | ast.Attribute):
        return [
            text
            for assigned in ast.walk(function)
            if isinstance(assigned, ast.Assign) and ast.unparse(assigned.targets[0]) == ast.unparse(node)
            for text in literal_beginnings(assigned.value, function)
        ]
    return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield getattr(node.func, "attr", None) or getattr(node.func, "id", ""), node


def logged(source: str) -> set[str]:
    """How the log lines that a file makes begin."""
    tree = ast.parse(source)
    found: set[str] = set()
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]:
        for name, call in calls(function):
            if name in ("key_point", "vendor", "once", "_put_error_once") and len(call.args) == 2:
                found.update(literal_beginnings(call.args[1], function))
            elif name == "note_once" and len(call.args) == 3:
                found.update(literal_beginnings(call.args[2], function))
            elif name == "ClientError" and call.args:
                found.update(f"{code}: " for code in literal_beginnings(call.args[0], function))
    return found


def all_logged() -> set[str]:
    found = {beginning for path in PRODUCT for beginning in logged(path.read_text(encoding="utf-8"))}
    # Lines whose text a function makes of more than one part.
    found |= {"property ", "model ", "the server has ", "<hook> failed: "}
    found |= {f"{OVERDUE}: "}  # a constant in the code
    found |= {"… ms of audio from … ms on will have no transcript ("}
    return found


def test_every_log_line_is_on_the_page() -> None:
    shown = first_cells("Log lines")
    missing = {one for one in all_logged() if not any(one.startswith(cell) or cell.startswith(one) for cell in shown)}
    assert missing == set()


def test_every_line_on_the_page_is_logged() -> None:
    lines = all_logged() | {str(shutdown_notice("gpt-4o-transcribe", date(2026, 12, 1)))}
    strange = {cell for cell in first_cells("Log lines") if not any(one.startswith(cell.rstrip("{")) for one in lines)}
    assert strange == set()


def test_a_new_log_line_would_be_seen() -> None:
    source = """
def f(self):
    self._telemetry.vendor("info", f"vendor_surprise: {1}")
    what = "lost" if self.x else "found"
    self.emit(ClientError(what, "text"))
    self._reports.note_once("kind", "detail", "a surprise " + x)
"""
    assert logged(source) == {"vendor_surprise: ", "lost: ", "found: ", "a surprise "}


def test_the_lines_of_a_configuration_begin_as_the_page_says() -> None:
    properties = {"params": {"apikey": 1, "input_audio_transcription": {"model": "gpt-4o-transcribe"}}}
    for warning in OpenAIASRConfig.load(properties, {"OPENAI_API_KEY": "k"}).warnings:
        assert any(warning.startswith(cell) for cell in first_cells("Log lines")), warning


# Metrics ------------------------------------------------------------------------------------------------------


def test_every_metric_is_on_the_page_and_no_other() -> None:
    call = Halves(options("none", COMMITTING)).start()
    vendor = Telemetry().vendor_metrics(call.client.stream)
    assert set(first_cells("Metrics")) == BASE_METRICS | vendor.keys()
    assert BASE_METRICS <= {key.value for key in ModuleMetricKey}


def measure(detection: str, model: str) -> dict[str, Any]:
    """A call that is mostly silence, with a finalize behind each of its turns, in numbers."""
    call = Halves(options(detection, model)).start()
    for label in range(1, 4):
        call.push(make_block(label, 800, 16_000) + bytes(5 * 32_000)).finalize(f"f{label}")
        call.run_until(call.now + 2.0)
    call.stop()
    return Telemetry().vendor_metrics(call.client.stream)


def test_what_the_page_says_of_silence() -> None:
    whole, cut = measure("none", COMMITTING), measure("server_vad", COMMITTING)
    assert whole["sent_user_ms"] == whole["accepted_ms"] == whole["final_ms"]
    assert cut["sent_user_ms"] == cut["accepted_ms"] and cut["billed_tokens"] < whole["billed_tokens"] / 2
    local = measure("local_vad", STREAMING)
    assert local["sent_user_ms"] < local["accepted_ms"] / 2
    heard = local["sent_user_ms"] + local["sent_silence_ms"] + local["replayed_ms"]
    assert 0 < local["billed_seconds"] * 1000 <= heard
    for numbers in (whole, cut, local):
        settled = numbers["final_ms"] + numbers["gated_ms"] + numbers["lost_ms"] + numbers["unsettled_ms"]
        assert abs(numbers["accepted_ms"] - settled) <= 4


# Environment --------------------------------------------------------------------------------------------------


def test_every_variable_is_on_the_page_and_no_other() -> None:
    assert set(first_cells("Environment variables")) == set(ENVIRONMENT.values()) | OF_LIBRARIES


def test_the_product_reads_no_other_variable() -> None:
    """Beyond properties: whether OpenSSL's part has changed, whether any may name a proxy, and one that is set."""
    uses = [path.name for path in PRODUCT for _ in re.findall(r"os\.environ|getenv", path.read_text(encoding="utf-8"))]
    assert [
        name for name in uses if name not in ("config.py", "config_live.py", "tls.py", "transport.py", "vad.py")
    ] == []


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("api_key", {"api_key": "written"}),
        ("base_url", {"base_url": "ws://written.test"}),
        ("base_url", {"websocket_base_url": "ws://written.test"}),
        ("base_url", {"url": "ws://written.test"}),
        ("organization", {"organization": "written"}),
        ("project", {"project": "written"}),
    ],
)
def test_what_wins_over_a_variable(key: str, written: dict[str, str]) -> None:
    environ = {
        "OPENAI_API_KEY": "k",
        ENVIRONMENT[key]: "https://environment.test" if key == "base_url" else "from-the-environment",
    }

    def loaded(params: dict[str, str]) -> str:
        return str(getattr(OpenAIASRConfig.load({"params": params}, environ).config.connection, key))

    assert "written" not in loaded({}) and "environment" in loaded({})
    assert "written" in loaded(written)
    assert loaded({name: " " for name in written}) == loaded({})
    blank = {**environ, ENVIRONMENT[key]: " "}
    if key != "api_key":
        unset = {name: value for name, value in environ.items() if name != ENVIRONMENT[key]}
        config = [OpenAIASRConfig.load({}, given).config.connection for given in (blank, unset)]
        assert config[0] == config[1]


def test_a_key_command_wins_over_the_variable() -> None:
    settings = OpenAIASRConfig.load({"params": {"api_key_command": "pass key"}}, {"OPENAI_API_KEY": "k"}).config
    assert settings.connection.api_key is None and settings.connection.api_key_command == "pass key"


@pytest.mark.parametrize(
    ("variables", "proxy", "through"),
    [
        ({}, None, False),
        ({"HTTP_PROXY": "PROXY"}, None, True),
        ({"WS_PROXY": "PROXY", "HTTP_PROXY": "http://127.0.0.1:9"}, None, True),
        ({"HTTPS_PROXY": "PROXY", "HTTP_PROXY": "http://127.0.0.1:9"}, None, True),
        ({"HTTP_PROXY": "PROXY", "NO_PROXY": "127.0.0.1"}, None, False),
        ({"HTTP_PROXY": "http://127.0.0.1:9"}, "PROXY", True),
        ({"NO_PROXY": "127.0.0.1"}, "PROXY", True),
    ],
)
async def test_which_proxy_is_used(
    variables: dict[str, str], proxy: str | None, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in OF_LIBRARIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        await writer.drain()
        writer.close()

    fake_proxy = await asyncio.start_server(refuse, "127.0.0.1", 0)
    at = f"http://127.0.0.1:{fake_proxy.sockets[0].getsockname()[1]}"
    for name, value in variables.items():
        monkeypatch.setenv(name, value.replace("PROXY", at))
    async with tidy(), raw_server(b"HTTP/1.1 418 No\r\n\r\n") as url:
        client, heard = socket_client(url, endpoint={"proxy": at} if proxy else {})
        client.start()
        gone = await heard.first(ev.Disconnected)
        await client.stop()
    fake_proxy.close()
    host = url.removeprefix("ws://").removesuffix("/v1").encode()
    assert asked[:1] == ([b"CONNECT " + host + b" HTTP/1.1\r\n"] if through else [])
    assert ("418" in gone.code) is not through, gone
