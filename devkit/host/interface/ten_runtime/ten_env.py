"""The synchronous environment of addons, apps and plain extensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._node_env import NodeEnv
from .audio_frame import AudioFrame
from .cmd import Cmd
from .cmd_result import CmdResult
from .data import Data
from .error import TenError, TenErrorCode
from .msg import Msg, need_int64
from .video_frame import VideoFrame

ResultHandler = Callable[["TenEnv", "CmdResult | None", "TenError | None"], None]
ErrorHandler = Callable[["TenEnv", "TenError | None"], None]


class TenEnv(NodeEnv):
    """Errors are returned, not raised; wrong argument types raise TypeError or ValueError."""

    _done: Callable[[str], None]

    def on_configure_done(self) -> None:
        self._done("configure")

    def on_init_done(self) -> None:
        self._done("init")

    def on_start_done(self) -> None:
        self._done("start")

    def on_stop_done(self) -> None:
        self._done("stop")

    def on_deinit_done(self) -> None:
        self._done("deinit")

    def on_create_instance_done(self, instance: Any, context: object) -> None:
        """Only addons call this. Raises RuntimeError anywhere else."""
        raise RuntimeError("on_create_instance_done belongs in Addon.on_create_instance")

    def get_property_to_json(self, path: str | None = None) -> tuple[str, TenError | None]:
        return self._get_json(path)

    def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        return self._get_typed(path, int, 0)

    def get_property_float(self, path: str) -> tuple[float, TenError | None]:
        return self._get_typed(path, float, 0.0)

    def get_property_bool(self, path: str) -> tuple[bool, TenError | None]:
        return self._get_typed(path, bool, False)

    def get_property_string(self, path: str) -> tuple[str, TenError | None]:
        return self._get_typed(path, str, "")

    def set_property_from_json(self, path: str | None, json_str: str) -> TenError | None:
        return self._set_json(path, json_str)

    def set_property_int(self, path: str, value: int) -> TenError | None:
        return self._set(path, need_int64(value))

    def set_property_float(self, path: str, value: float) -> TenError | None:
        return self._set(path, float(value))

    def set_property_bool(self, path: str, value: bool) -> TenError | None:
        return self._set(path, bool(value))

    def set_property_string(self, path: str, value: str) -> TenError | None:
        return self._set(path, str(value))

    def is_property_exist(self, path: str) -> tuple[bool, TenError | None]:
        return self._exists(path)

    def init_property_from_json(self, json_str: str) -> TenError | None:
        return self._init_json(json_str)

    def send_cmd(self, cmd: Cmd, handler: ResultHandler | None = None) -> TenError | None:
        return self._send_cmd(cmd, self._results_to(handler), False)

    def send_cmd_ex(self, cmd: Cmd, handler: ResultHandler | None = None) -> TenError | None:
        return self._send_cmd(cmd, self._results_to(handler), True)

    def send_data(self, data: Data, handler: ErrorHandler | None = None) -> TenError | None:
        return self._send_and_tell(data, handler)

    def send_audio_frame(self, audio_frame: AudioFrame, handler: ErrorHandler | None = None) -> TenError | None:
        return self._send_and_tell(audio_frame, handler)

    def send_video_frame(self, video_frame: VideoFrame, handler: ErrorHandler | None = None) -> TenError | None:
        return self._send_and_tell(video_frame, handler)

    def return_result(self, result: CmdResult, handler: ErrorHandler | None = None) -> TenError | None:
        return self._tell(self._return(result), handler)

    def _results_to(self, handler: ResultHandler | None) -> Callable[[CmdResult | None, TenError | None], None]:
        def pass_on(result: CmdResult | None, error: TenError | None) -> None:
            if handler is not None:
                handler(self, result, error)

        return pass_on

    def _send_and_tell(self, msg: Msg, handler: ErrorHandler | None) -> TenError | None:
        return self._tell(self._send(msg), handler)

    def _tell(self, error: TenError | None, handler: ErrorHandler | None) -> TenError | None:
        """Give the outcome to *handler* when there is one; without one nobody hears of it, as in TEN."""
        if handler is not None:
            self._node.thread.call(handler, self, error)
        return None


class DetachedTenEnv(TenEnv):
    """An environment outside any graph: it logs; everything else answers with an error."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._done = _ignore

    def _log_name(self) -> str | None:
        return self._name

    def _get(self, path: str | None) -> tuple[Any, TenError | None]:
        return None, _not_here()

    def _set(self, path: str, value: Any) -> TenError | None:
        return _not_here()

    def _set_json(self, path: str | None, json_str: str) -> TenError | None:
        return _not_here()

    def _init_json(self, json_str: str) -> TenError | None:
        return _not_here()

    def _send_cmd(
        self, cmd: Cmd, handler: Callable[[CmdResult | None, TenError | None], None], every: bool
    ) -> TenError | None:
        return _not_here()

    def _send_and_tell(self, msg: Msg, handler: ErrorHandler | None) -> TenError | None:
        return _not_here()

    def return_result(self, result: CmdResult, handler: ErrorHandler | None = None) -> TenError | None:
        return _not_here()


def _ignore(stage: str) -> None:
    """A stage that nobody waits for."""


def _not_here() -> TenError:
    return TenError.create(TenErrorCode.ErrorCodeGeneric, "not available in the environment of an addon or an app")


class AddonTenEnv(DetachedTenEnv):
    """What an addon gets to create one instance: logging, and the call that hands it over."""

    def __init__(self, name: str, context: object, take: Callable[[object], None]) -> None:
        super().__init__(name)
        self._context = context
        self._take_instance = take

    def on_create_instance_done(self, instance: Any, context: object) -> None:
        """Hand over the instance. Raises ValueError when *context* is not the one that was given."""
        if context is not self._context:
            raise ValueError("on_create_instance_done needs the context that on_create_instance was given")
        self._take_instance(instance)
