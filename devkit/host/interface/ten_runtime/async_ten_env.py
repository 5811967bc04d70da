"""The environment of async extensions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from ._node import Node
from ._node_env import NodeEnv
from .audio_frame import AudioFrame
from .cmd import Cmd
from .cmd_result import CmdResult
from .data import Data
from .error import TenError
from .msg import Msg, need_int64
from .send_options import SendOptions
from .video_frame import VideoFrame

CmdResultTuple = tuple["CmdResult | None", "TenError | None"]


class AsyncSender(NodeEnv):
    """The sends, shared with the async testers. Without options they are fire-and-forget: always None."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def send_cmd(self, cmd: Cmd) -> CmdResultTuple:
        """Send and wait for the final result."""
        answer: asyncio.Future[CmdResultTuple] = asyncio.get_running_loop().create_future()

        def take(result: CmdResult | None, error: TenError | None) -> None:
            if not answer.done():
                answer.set_result((result, error))

        error = self._send_cmd(cmd, take, False)
        return (None, error) if error is not None else await answer

    async def send_cmd_ex(self, cmd: Cmd) -> AsyncGenerator[CmdResultTuple, None]:
        """Send and yield every result until the command is completed or failed."""
        answers: asyncio.Queue[CmdResultTuple] = asyncio.Queue()
        error = self._send_cmd(cmd, lambda result, error: answers.put_nowait((result, error)), True)
        if error is not None:
            yield None, error
            return
        while True:
            result, error = await answers.get()
            yield result, error
            if error is not None or (result is not None and result.is_completed()):
                return

    async def send_data(self, data: Data, options: SendOptions | None = None) -> TenError | None:
        return self._outcome(data, options)

    async def send_audio_frame(self, audio_frame: AudioFrame, options: SendOptions | None = None) -> TenError | None:
        return self._outcome(audio_frame, options)

    async def send_video_frame(self, video_frame: VideoFrame, options: SendOptions | None = None) -> TenError | None:
        return self._outcome(video_frame, options)

    async def return_result(self, result: CmdResult, options: SendOptions | None = None) -> TenError | None:
        error = self._return(result)
        return error if options is not None and options.wait_for_result else None

    def _outcome(self, msg: Msg, options: SendOptions | None) -> TenError | None:
        error = self._send(msg)
        return error if options is not None and options.wait_for_result else None


class AsyncTenEnv(AsyncSender):
    """Properties, sends and logging of one async extension.

    Property calls give other coroutines a turn, as those of TEN do.
    """

    async def get_property_to_json(self, path: str | None = None) -> tuple[str, TenError | None]:
        await asyncio.sleep(0)
        return self._get_json(path)

    async def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        await asyncio.sleep(0)
        return self._get_typed(path, int, 0)

    async def get_property_float(self, path: str) -> tuple[float, TenError | None]:
        await asyncio.sleep(0)
        return self._get_typed(path, float, 0.0)

    async def get_property_bool(self, path: str) -> tuple[bool, TenError | None]:
        await asyncio.sleep(0)
        return self._get_typed(path, bool, False)

    async def get_property_string(self, path: str) -> tuple[str, TenError | None]:
        await asyncio.sleep(0)
        return self._get_typed(path, str, "")

    async def is_property_exist(self, path: str) -> tuple[bool, TenError | None]:
        await asyncio.sleep(0)
        return self._exists(path)

    async def set_property_from_json(self, path: str | None, json_str: str) -> TenError | None:
        await asyncio.sleep(0)
        return self._set_json(path, json_str)

    async def set_property_int(self, path: str, value: int) -> TenError | None:
        await asyncio.sleep(0)
        return self._set(path, need_int64(value))

    async def set_property_float(self, path: str, value: float) -> TenError | None:
        await asyncio.sleep(0)
        return self._set(path, float(value))

    async def set_property_bool(self, path: str, value: bool) -> TenError | None:
        await asyncio.sleep(0)
        return self._set(path, bool(value))

    async def set_property_string(self, path: str, value: str) -> TenError | None:
        await asyncio.sleep(0)
        return self._set(path, str(value))

    async def init_property_from_json(self, json_str: str) -> TenError | None:
        await asyncio.sleep(0)
        return self._init_json(json_str)
