"""Async extensions: the hooks are coroutines on the loop all of them share."""

from __future__ import annotations

from .async_ten_env import AsyncTenEnv
from .audio_frame import AudioFrame
from .cmd import Cmd
from .data import Data
from .video_frame import VideoFrame


class AsyncExtension:
    """Stages run one after the other; every message is a coroutine of its own, so handlers interleave at awaits."""

    name: str

    def __new__(cls, name: str) -> AsyncExtension:
        return super().__new__(cls)

    def __init__(self, name: str) -> None:
        self.name = name

    async def on_configure(self, ten_env: AsyncTenEnv) -> None:
        """Set initial properties."""

    async def on_init(self, ten_env: AsyncTenEnv) -> None:
        """Prepare; messages wait until this is over."""

    async def on_start(self, ten_env: AsyncTenEnv) -> None:
        """Begin; messages may arrive before this is over."""

    async def on_stop(self, ten_env: AsyncTenEnv) -> None:
        """End what was begun; messages can still be sent."""

    async def on_deinit(self, ten_env: AsyncTenEnv) -> None:
        """Give back what on_init took."""

    async def on_cmd(self, ten_env: AsyncTenEnv, cmd: Cmd) -> None:
        """Take a command and answer it with ``return_result``."""

    async def on_data(self, ten_env: AsyncTenEnv, data: Data) -> None:
        """Take a data message."""

    async def on_audio_frame(self, ten_env: AsyncTenEnv, audio_frame: AudioFrame) -> None:
        """Take an audio frame."""

    async def on_video_frame(self, ten_env: AsyncTenEnv, video_frame: VideoFrame) -> None:
        """Take a video frame."""
