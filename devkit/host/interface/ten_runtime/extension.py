"""Synchronous extensions: every stage ends with the matching ``on_*_done()``."""

from __future__ import annotations

from .audio_frame import AudioFrame
from .cmd import Cmd
from .cmd_result import CmdResult, StatusCode
from .data import Data
from .ten_env import TenEnv
from .video_frame import VideoFrame


class Extension:
    """All hooks of one instance run in one thread of its own."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_configure(self, ten_env: TenEnv) -> None:
        ten_env.on_configure_done()

    def on_init(self, ten_env: TenEnv) -> None:
        ten_env.on_init_done()

    def on_start(self, ten_env: TenEnv) -> None:
        ten_env.on_start_done()

    def on_stop(self, ten_env: TenEnv) -> None:
        ten_env.on_stop_done()

    def on_deinit(self, ten_env: TenEnv) -> None:
        ten_env.on_deinit_done()

    def on_cmd(self, ten_env: TenEnv, cmd: Cmd) -> None:
        ten_env.return_result(CmdResult.create(StatusCode.OK, cmd))

    def on_data(self, ten_env: TenEnv, data: Data) -> None:
        """Take a data message."""

    def on_audio_frame(self, ten_env: TenEnv, audio_frame: AudioFrame) -> None:
        """Take an audio frame."""

    def on_video_frame(self, ten_env: TenEnv, video_frame: VideoFrame) -> None:
        """Take a video frame."""
