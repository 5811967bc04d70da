"""Testing one extension from outside, with coroutines."""

from __future__ import annotations

from collections.abc import Callable

from ._actors import AsyncExtensionActor
from ._node import Node
from ._test_run import TesterBase
from .async_ten_env import AsyncSender
from .audio_frame import AudioFrame
from .cmd import Cmd
from .data import Data
from .error import TenError
from .video_frame import VideoFrame


class AsyncTenEnvTester(AsyncSender):
    """Sends to the extension under test, ends the test, logs. It has no properties."""

    def __init__(self, node: Node, stop: Callable[[TenError | None], None]) -> None:
        super().__init__(node)
        self._stop = stop

    def stop_test(self, error: TenError | None = None) -> None:
        """End the test; the first error ever passed is the test's result. From any thread."""
        self._stop(error)


class AsyncExtensionTester(TesterBase):
    """Subclass it, override hooks, call :meth:`run`.

    The hooks run on a loop and thread of the tester's own and interleave: messages arrive while on_start waits.
    """

    async def on_init(self, ten_env: AsyncTenEnvTester) -> None:
        """Prepare; messages wait until this is over."""

    async def on_start(self, ten_env: AsyncTenEnvTester) -> None:
        """Send what the test sends."""

    async def on_stop(self, ten_env: AsyncTenEnvTester) -> None:
        """The test is ending; an error can still be passed to ``stop_test``."""

    async def on_deinit(self, ten_env: AsyncTenEnvTester) -> None:
        """The test has ended."""

    async def on_cmd(self, ten_env: AsyncTenEnvTester, cmd: Cmd) -> None:
        """Take a command of the extension under test."""

    async def on_data(self, ten_env: AsyncTenEnvTester, data: Data) -> None:
        """Take a data message of the extension under test."""

    async def on_audio_frame(self, ten_env: AsyncTenEnvTester, audio_frame: AudioFrame) -> None:
        """Take an audio frame of the extension under test."""

    async def on_video_frame(self, ten_env: AsyncTenEnvTester, video_frame: VideoFrame) -> None:
        """Take a video frame of the extension under test."""

    def _make_actor(self) -> _AsyncTesterActor:
        return _AsyncTesterActor(self)


class _AsyncTesterActor(AsyncExtensionActor):
    overlapping = True

    def __init__(self, tester: AsyncExtensionTester) -> None:
        self._tester = tester
        self._target = tester

    def attach(self, node: Node) -> None:
        self._env = AsyncTenEnvTester(node, self._tester._stop_test)

    async def hook(self, name: str) -> None:
        if name != "configure":
            await super().hook(name)
