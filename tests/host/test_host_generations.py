"""Three generations of ten_ai_base: what differs between them, how one is chosen, and that a real one is left alone."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from ten_ai_base._shared import masking
from ten_ai_base._shared.asr_status import ASRBaseWithStatus
from ten_ai_base._shared.later_message import ModuleConnectionStatus as Status
from ten_ai_base._shared.status import ConnectionMachine

ROOT = Path(__file__).resolve().parent.parent.parent
LOADER = ROOT / "devkit" / "host" / "loader.py"
GENERATIONS = ("0.7.41", "0.7.48", "0.7.53")

LOAD = f"""
    import importlib.util, sys
    spec = importlib.util.spec_from_file_location("loader", {str(LOADER)!r})
    loader = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loader)
"""


def python(code: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "TEN_AI_BASE_GENERATION")}
    command = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(
        command, cwd=cwd, env=env | environment, capture_output=True, text=True, timeout=60, check=False
    )


def module(generation: str, name: str) -> ModuleType:
    return importlib.import_module(f"ten_ai_base._v{generation.replace('.', '_')}.{name}")


REFUSED = (
    LOAD
    + """
    loader.load_extension(ten_ai_base=sys.argv[1])
    import json
    from ten_runtime import AsyncExtensionTester

    class Tester(AsyncExtensionTester):
        def __init__(self):
            super().__init__()
            self.got = []
            self.seen = False

        async def on_data(self, ten_env, data):
            if self.seen:  # the next attempt may follow at once
                return
            payload = json.loads(data.get_property_to_json()[0])
            payload.pop("id", None)
            self.got.append([data.get_name(), payload])
            if data.get_name() == ("error" if sys.argv[1] == "0.7.41" else "connection_status_changed"):
                if payload.get("current") != "connecting":
                    self.seen = True
                    ten_env.stop_test()

    tester = Tester()
    params = {"api_key": "sk-0123456789abcdefghijklmnop", "base_url": "ws://127.0.0.1:9/v1"}
    tester.set_test_mode_single("openai_asr_python", json.dumps({"params": params}))
    assert tester.run() is None
    assert not [drop for drop in tester.dropped_messages if drop.invalid_schema], tester.dropped_messages
    print(json.dumps(tester.got))
"""
)


def refused(generation: str, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """What the extension says when nobody listens at the address, up to the first that says so."""
    script = folder / "refused.py"
    script.write_text(textwrap.dedent(REFUSED))
    done = subprocess.run(
        [sys.executable, str(script), generation], cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return [(name, payload) for name, payload in json.loads(done.stdout)]


def test_the_same_refusal_is_told_in_three_ways(tmp_path: Path) -> None:
    oldest, middle, newest = (refused(generation, tmp_path) for generation in GENERATIONS)
    assert [name for name, _ in oldest] == ["error"]
    assert [name for name, _ in middle] == ["connection_status_changed", "error", "connection_status_changed"]
    assert [name for name, _ in newest] == ["provide_features", *(name for name, _ in middle)]
    assert newest[0][1] == {"features": {"asr.vendor": "openai", "asr.model": "gpt-live-transcribe"}}

    (_, error_1), (_, error_2), (_, error_3) = oldest[0], middle[1], newest[2]
    assert error_1["metadata"] == {}
    assert set(error_2["metadata"]) == set(error_3["metadata"]) == {"vendor_metadata"}

    status_2, status_3 = middle[-1][1], newest[-1][1]
    assert (status_2["vendor"], status_2["code"]) == ("openai", "1000")
    assert (status_3["vendor_info"]["vendor"], status_3["code"]) == ("openai", 1000)
    assert "vendor" not in status_3 and "vendor_info" not in status_2
    for status in (status_2, status_3):
        assert (status["last"], status["current"]) == ("connecting", "disconnected")
        vendor = status["metadata"]["vendor_metadata"]
        assert vendor["model"] == "gpt-live-transcribe" and vendor["url"].startswith("ws://127.0.0.1:9/")
    everything = json.dumps([oldest, middle, newest])
    assert "0123456789" not in everything and "klmnop" not in everything, "nothing of the key is shown"


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_generation_has_the_names_it_had_and_no_others(generation: str) -> None:
    asr, message, const = (module(generation, name) for name in ("asr", "message", "const"))
    utils, struct = module(generation, "utils"), module(generation, "struct")
    base = asr.AsyncASRBaseExtension
    later, newest = generation != "0.7.41", generation == "0.7.53"
    assert hasattr(base, "on_connected") is hasattr(base, "on_disconnected") is later
    assert hasattr(base, "vendor_metadata") is hasattr(base, "connection_status") is later
    assert hasattr(message, "ModuleConnectionStatusChanged") is hasattr(message, "VENDOR_METADATA_KEY") is later
    assert hasattr(message, "ProvideFeaturesPayload") is newest and hasattr(struct, "ASRResults") is newest
    assert hasattr(const, "DATA_OUT_CONNECTION_STATUS_CHANGED") is later
    assert hasattr(const, "DATA_OUT_PROVIDE_FEATURES") is newest
    assert hasattr(utils, "mask_secret") is hasattr(utils, "redact_json") is later
    declared = {
        m["name"]: m for m in module(generation, "interface_files").INTERFACES["asr-interface.json"]["data_out"]
    }
    status = declared.get("connection_status_changed", {}).get("property", {}).get("properties", {})
    assert status.get("code") == {"0.7.41": None, "0.7.48": {"type": "string"}, "0.7.53": {"type": "int64"}}[generation]
    assert {"asr_result", "asr_finalize_end", "error", "metrics"} <= set(declared)


def test_the_trees_share_no_class_that_an_extension_builds_on() -> None:
    bases = [module(generation, "asr").AsyncASRBaseExtension for generation in GENERATIONS]
    assert len(set(bases)) == 3
    for base in bases:
        assert not [other for other in bases if other is not base and issubclass(base, other)]


def test_steps_of_the_status() -> None:
    machine = ConnectionMachine()
    assert machine.enter(Status.DISCONNECTED) is None
    steps = [
        (Status.CONNECTED, False), (Status.DISCONNECTED, True), (Status.CONNECTING, True), (Status.DISCONNECTED, True),
        (Status.CONNECTING, True), (Status.CONNECTED, True), (Status.CONNECTING, True), (Status.CONNECTED, True),
    ]  # fmt: skip
    for status, valid in steps:
        step = machine.enter(status)
        assert step is not None and step.current is status and step.valid is valid
        assert machine.enter(status) is None


class Env:
    """Takes what an extension sends; logs nothing."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.warnings: list[str] = []

    async def send_data(self, data: Any) -> None:
        self.sent.append({"name": data.get_name(), **json.loads(data.get_property_to_json()[0])})

    def log_warn(self, message: str, **_: Any) -> None:
        self.warnings.append(message)

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def make(generation: str) -> Any:
    """A recogniser of that generation that connects at once, and its child, which inherits the connecting."""

    class Parent(module(generation, "asr").AsyncASRBaseExtension):  # type: ignore[misc]
        connects = 0

        def vendor(self) -> str:
            return "acme"

        def vendor_metadata(self) -> dict[str, Any]:
            return {
                "key": "k" * 30,
                "url": "wss://x",
                "headers": {"X-API-Key": "y" * 25, "a": "b"},
                "list": [{"token": "t"}],
            }

        async def start_connection(self) -> None:
            self.connects += 1

    class Child(Parent):
        pass

    extension = Child("stt")
    extension.ten_env = Env()
    return extension


@pytest.mark.parametrize("generation", ["0.7.48", "0.7.53"])
async def test_connecting_is_announced_once_before_each_attempt(generation: str) -> None:
    extension = make(generation)
    sent = extension.ten_env.sent
    await extension.start_connection()
    await extension.start_connection()
    assert extension.connects == 2 and [m["current"] for m in sent] == ["connecting"]
    await extension.on_connected()
    await extension.start_connection()
    await extension.on_disconnected()
    await extension.on_connected()
    assert [m["current"] for m in sent] == ["connecting", "connected", "connecting", "disconnected", "connected"]
    assert [m["last"] for m in sent] == ["disconnected", "connecting", "connected", "connecting", "disconnected"]
    assert extension.connection_status.value == "connected"
    (warning,) = extension.ten_env.warnings
    assert "disconnected to connected" in warning, "an invalid step is made, and warned of"


@pytest.mark.parametrize("generation", ["0.7.48", "0.7.53"])
async def test_secrets_of_the_vendor_are_masked_by_their_names(generation: str) -> None:
    extension = make(generation)
    extension.metadata, extension.session_id = {"session_id": "old", "more": 1}, "new"
    await extension.on_connected()
    metadata = extension.ten_env.sent[0]["metadata"]
    vendor = metadata.pop("vendor_metadata")
    assert metadata == {"session_id": "new", "more": 1}, "the newest session's id wins"
    assert vendor["url"] == "wss://x" and vendor["headers"]["a"] == "b"
    assert vendor["key"].startswith("kkkkk...kkkkk#") and len(vendor["key"]) == 22
    assert vendor["headers"]["X-API-Key"].startswith("yyyyy...yyyyy#")
    assert vendor["list"][0]["token"].startswith("t#")


def test_urls_and_headers_are_masked() -> None:
    url = masking.redact_url("wss://user:pass@host/v1?model=m&api_key=" + "z" * 30)
    assert url.startswith("wss://host/v1?model=m&api_key=zzzzz...zzzzz#")
    assert masking.redact_headers({"Authorization": "", "X": "y"}) == {"Authorization": "", "X": "y"}


async def test_a_disconnect_carries_the_vendors_words_where_it_can() -> None:
    extension = make("0.7.53")
    await extension.start_connection()
    info = module("0.7.53", "message").ModuleErrorVendorInfo(vendor="acme", code="401", message="no")
    await extension.on_disconnected(code=7, message="refused", vendor_info=info)
    sent = extension.ten_env.sent
    assert sent[0]["vendor_info"] == {"vendor": "acme", "code": "", "message": ""}
    assert sent[1]["vendor_info"] == {"vendor": "acme", "code": "401", "message": "no"}
    assert (sent[1]["code"], sent[1]["message"]) == (7, "refused")


def test_a_class_that_defines_no_start_is_not_wrapped_again() -> None:
    parent = type(make("0.7.53")).__mro__[1]
    assert issubclass(parent, ASRBaseWithStatus)
    assert parent.start_connection.__wrapped__.__qualname__.endswith("Parent.start_connection")
    assert not hasattr(parent.start_connection.__wrapped__, "__wrapped__")


# Choosing ---------------------------------------------------------------------------------------------------

SAY = f"""{LOAD}
    loader.load_extension()
    import ten_ai_base.asr as asr
    print(asr.AsyncASRBaseExtension.__module__)
"""


@pytest.mark.parametrize(
    ("value", "tree"),
    [("0.7.41", "_v0_7_41"), ("0.7.48", "_v0_7_48"), ("0.7.53", "_v0_7_53"), ("", "_v0_7_53")],
)
def test_the_environment_chooses(value: str, tree: str, tmp_path: Path) -> None:
    done = python(SAY, tmp_path, TEN_AI_BASE_GENERATION=value)
    assert (done.stdout, done.stderr) == (f"ten_ai_base.{tree}.asr\n", "")


def test_an_unknown_generation_names_those_there_are(tmp_path: Path) -> None:
    done = python(SAY, tmp_path, TEN_AI_BASE_GENERATION="0.8")
    assert (
        done.returncode and "TEN_AI_BASE_GENERATION: '0.8' given, must be one of 0.7.41, 0.7.48, 0.7.53" in done.stderr
    )


def test_the_argument_chooses_for_this_process_and_its_children(tmp_path: Path) -> None:
    code = f"""{LOAD}
    import os
    try:
        loader.load_extension(ten_ai_base="0.7.1")
    except ImportError as error:
        print(error)
    print(os.environ.get("TEN_AI_BASE_GENERATION"))
    loader.load_extension(ten_ai_base="0.7.48")
    loader.load_extension(ten_ai_base="0.7.48")
    import ten_ai_base.asr as asr
    print(asr.AsyncASRBaseExtension.__module__, os.environ["TEN_AI_BASE_GENERATION"])
    try:
        loader.load_extension(ten_ai_base="0.7.41")
    except ImportError as error:
        print(error)
    """
    done = python(code, tmp_path)
    unknown, unset, chosen, second = done.stdout.splitlines()
    assert "'0.7.1' given, must be one of" in unknown and unset == "None"
    assert chosen == "ten_ai_base._v0_7_48.asr 0.7.48"
    assert "this process has 0.7.48 already" in second


def test_a_real_base_is_never_shadowed_and_cannot_be_chosen(tmp_path: Path) -> None:
    for name in ("ten_runtime", "ten_ai_base"):
        (tmp_path / "real" / name).mkdir(parents=True)
        (tmp_path / "real" / name / "__init__.py").write_text("")
    code = f"""{LOAD}
    loader.ensure_runtime()
    import ten_ai_base
    print(ten_ai_base.__file__)
    try:
        loader.ensure_runtime("0.7.48")
    except ImportError as error:
        print(error)
    """
    done = python(code, tmp_path, PYTHONPATH=str(tmp_path / "real"), TEN_AI_BASE_GENERATION="0.7.41")
    real = str(tmp_path / "real" / "ten_ai_base" / "__init__.py")
    file, refusal = done.stdout.splitlines()
    assert file == real and f"{real} is real" in refusal
