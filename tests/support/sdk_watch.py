"""Every frame our client and our server make, in every test there is, is walked along the provider's types.

The fixture is used by all tests (tests/conftest.py). It looks at the two places through which everything goes: the
actions of the client's session, and the events of the server's session before any fault is made of them. A frame the
types do not know fails the test during which it was made.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sdk_types import Json, Problem, client_problems, is_listed, server_problems

_AUDIO = re.compile(rb'"audio":"[A-Za-z0-9+/]*={0,2}"')


class Watch:
    """What was found, and how much was looked at."""

    def __init__(self) -> None:
        self.found: list[Problem] = []
        self.client_frames = 0
        self.server_events = 0

    def client_frame(self, frame: bytes, allowed: frozenset[str] = frozenset()) -> None:
        """A frame of the client. *allowed*: paths of fields the test's own configuration passes through."""
        self.client_frames += 1
        problems = _of_frame(_AUDIO.sub(b'"audio":"AAAA"', frame))
        self._keep(one for one in problems if one.path not in allowed)

    def server_event(self, event: Json) -> None:
        """An event of the server."""
        self.server_events += 1
        self._keep(server_problems(event))

    def _keep(self, problems: Any) -> None:
        if len(self.found) < 100:
            self.found += [problem for problem in problems if not is_listed(problem)]

    def take(self) -> list[Problem]:
        """What was found since the last time."""
        found, self.found = self.found, []
        return found


@functools.lru_cache(maxsize=4096)
def _of_frame(frame: bytes) -> tuple[Problem, ...]:
    return tuple(client_problems(json.loads(frame)))


def passed_through(options: Any) -> frozenset[str]:
    """Where a session's own configuration has fields that nobody knows: what the user writes there is sent as it is."""
    base = "session.audio.input"
    paths = {f"{base}.transcription.{name}" for name in options.transcription.extra}
    paths |= {f"{base}.turn_detection.{name}" for name in options.turn_detection.extra}
    known = {"item.input_audio_transcription.logprobs"}
    return frozenset(paths | ({"session.include[]"} if set(options.include) - known else set()))


def speaks_ga(session: Any) -> bool:
    """Whether what this session sends is the provider's protocol: some servers are spoken to otherwise."""
    place = getattr(session, "_place", None)
    return place is None or place.kind.name not in ("beta", "speaches", "vllm")


def speaks_as_provider(session: Any) -> bool:
    """The same of a server's session."""
    voice = getattr(session, "_voice", None)
    return voice is None or type(voice).__name__ == "Voice"


def watch_client(watch: Watch, actions: Callable[[Any], list[Any]], send: type) -> Callable[[Any], list[Any]]:
    """`Session.actions` that shows what it sends to *watch*."""

    @functools.wraps(actions)
    def watched(session: Any) -> list[Any]:
        made = actions(session)
        for action in made if speaks_ga(session) else ():
            if isinstance(action, send):
                watch.client_frame(action.data, passed_through(session.options))  # type: ignore[attr-defined]
        return made

    return watched


def watch_server(watch: Watch, pass_on: Callable[..., None]) -> Callable[..., None]:
    """`ServerSession._pass_on` that shows events to *watch* before the first layer."""

    @functools.wraps(pass_on)
    def watched(session: Any, entry: Any, layer: int) -> None:
        # Behind another voice than the provider's are other words; what is before it is nobody's.
        if layer == 0 and isinstance(entry, dict) and speaks_as_provider(session):
            watch.server_event(entry)
        pass_on(session, entry, layer)

    return watched


@pytest.fixture(scope="session")
def sdk_watch() -> Iterator[Watch]:
    """The one watch of the run."""
    from ten_packages.extension.openai_asr_python.devkit.server.server_session import ServerSession
    from ten_packages.extension.openai_asr_python.realtime.actions import Send
    from ten_packages.extension.openai_asr_python.realtime.session import Session

    watch = Watch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "actions", watch_client(watch, Session.actions, Send))
        patch.setattr(ServerSession, "_pass_on", watch_server(watch, ServerSession._pass_on))
        yield watch


@pytest.fixture(autouse=True)
def frames_are_the_providers(sdk_watch: Watch) -> Iterator[None]:
    """Nothing was sent in this test that the provider's types do not know."""
    sdk_watch.take()
    yield
    found = sdk_watch.take()
    assert not found, "the provider's types do not know: " + "; ".join(sorted({str(one) for one in found}))
