"""Makes TEN's names importable, loads the extension as TEN would, and runs the app that TEN's tests expect."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

# Before anything imports numpy: on busy cores the threads of one small product wait for each other ten times as long
# as the product takes. What the tests start inherits it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

_TESTS = Path(__file__).resolve().parent
_LOADER = _TESTS.parent / "devkit" / "host" / "loader.py"
_spec = importlib.util.spec_from_file_location("devkit_host_loader", _LOADER)
assert _spec is not None and _spec.loader is not None
_loader = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_loader)
_loader.load_extension()

import ten_ai_base  # noqa: E402  (importable only once the loader has run)
import ten_runtime  # noqa: E402
from sdk_watch import frames_are_the_providers, sdk_watch  # noqa: E402, F401  (fixtures of every test)
from ten_runtime import App, TenEnv  # noqa: E402
from ten_watch import messages_are_tens, ten_watch  # noqa: E402, F401

# A shell that starts us in the background has us ignore Ctrl-C, and with us every process a test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# How long it takes to make an example says nothing about what it shows.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# Planted bugs (bench/plants.py) are to be found, not explained.
hypothesis.settings.register_profile(
    "plants",
    hypothesis.settings.get_profile("unhurried"),
    database=None,
    derandomize=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
)
# A change is judged by its own doing: the same examples each time. HYPOTHESIS_PROFILE=unhurried tries new ones.
hypothesis.settings.register_profile(
    "same", hypothesis.settings.get_profile("unhurried"), database=None, derandomize=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

_LOG_CONFIG = {
    "ten": {
        "log": {
            "handlers": [
                {
                    "matchers": [{"level": "debug"}],
                    "formatter": {"type": "plain", "colored": True},
                    "emitter": {"type": "console", "config": {"stream": "stdout"}},
                }
            ]
        }
    }
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """What tests/acceptance understands; named as in TEN's own acceptance suite."""
    group = parser.getgroup("acceptance")
    group.addoption("--extension_name", default="openai_asr_python", help="the extension that is to be accepted")
    group.addoption("--config_dir", default=str(_TESTS / "configs"), help="where its property_*.json are")
    group.addoption(
        "--live", action="store_true", help="ask the service that OPENAI_API_KEY is for, not a local server"
    )


def pytest_report_header() -> str:
    """Which runtime, and which ten_ai_base."""
    embedded = Path(ten_ai_base.__file__ or "").parent.parent == _loader.INTERFACE
    which = f"embedded, generation {ten_ai_base.GENERATION}" if embedded else ten_ai_base.__file__
    return f"ten_runtime: {ten_runtime.__file__}\nten_ai_base: {which}"


class FakeApp(App):
    """An app without graphs: on a real runtime it is what makes addons known to the testers."""

    def __init__(self) -> None:
        super().__init__()
        self.initialised = threading.Event()

    def on_configure(self, ten_env: TenEnv) -> None:
        ten_env.init_property_from_json(json.dumps(_LOG_CONFIG))
        ten_env.on_configure_done()

    def on_init(self, ten_env: TenEnv) -> None:
        self.initialised.set()
        ten_env.on_init_done()


@pytest.fixture(scope="session", autouse=True)
def fake_app() -> Iterator[FakeApp]:
    app = FakeApp()
    thread = threading.Thread(target=app.run, args=(False,), name="fake-app")
    thread.start()
    assert app.initialised.wait(30), "the app did not come up"
    yield app
    app.close()
    thread.join(30)
    assert not thread.is_alive(), "the app did not end"
