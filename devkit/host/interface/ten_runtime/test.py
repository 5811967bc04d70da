"""Testing one extension from outside, with plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._actors import DoneEvents, ExtensionActor
from ._node import Node
from ._test_run import TesterBase
from .audio_frame import AudioFrame
from .cmd import Cmd
from .data import Data
from .error import TenError
from .ten_env import TenEnv
from .video_frame import VideoFrame


class TenEnvTester(TenEnv):
    """Sends to the extension under test, ends the test, logs."""

    _stop: Callable[[TenError | None], None]

    def stop_test(self, error: TenError | None = None) -> None:
        """End the test; the first error ever passed is the test's result. From any thread."""
        self._stop(error)


class ExtensionTester(TesterBase):
    """The synchronous twin of AsyncExtensionTester: stages end with ``on_*_done()``."""

    def on_init(self, ten_env_tester: TenEnvTester) -> None:
        ten_env_tester.on_init_done()

    def on_start(self, ten_env_tester: TenEnvTester) -> None:
        ten_env_tester.on_start_done()

    def on_stop(self, ten_env_tester: TenEnvTester) -> None:
        ten_env_tester.on_stop_done()

    def on_deinit(self, ten_env_tester: TenEnvTester) -> None:
        ten_env_tester.on_deinit_done()

    def on_cmd(self, ten_env_tester: TenEnvTester, cmd: Cmd) -> None:
        """Take a command of the extension under test."""

    def on_data(self, ten_env_tester: TenEnvTester, data: Data) -> None:
        """Take a data message of the extension under test."""

    def on_audio_frame(self, ten_env_tester: TenEnvTester, audio_frame: AudioFrame) -> None:
        """Take an audio frame of the extension under test."""

    def on_video_frame(self, ten_env_tester: TenEnvTester, video_frame: VideoFrame) -> None:
        """Take a video frame of the extension under test."""

    def _make_actor(self) -> _TesterActor:
        return _TesterActor(self)


class _TesterActor(ExtensionActor):
    overlapping = True

    def __init__(self, tester: ExtensionTester) -> None:
        self._tester = tester
        self._target: Any = tester

    def _make_env(self, node: Node, done: DoneEvents) -> Any:
        env = TenEnvTester()
        env._node = node
        env._done = done
        env._stop = self._tester._stop_test
        return env

    async def hook(self, name: str) -> None:
        if name != "configure":
            await super().hook(name)
