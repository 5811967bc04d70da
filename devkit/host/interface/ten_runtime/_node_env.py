"""The half of an environment that belongs to a node: its properties and its sends."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from ._content import ResultContent
from ._node import Node
from ._values import dump_json, get_at, parse_json, set_at
from .cmd_result import CmdResult
from .error import VALUE_NOT_FOUND, TenError, TenErrorCode
from .log_level import LogLevel
from .msg import Msg, need, typed
from .ten_env_base import TenEnvBase

if TYPE_CHECKING:
    from .cmd import Cmd

T = TypeVar("T")
_APP_SCOPE = "app:"
_CLOSED = "the extension has deinitialised"


class NodeEnv(TenEnvBase):
    """Base of TenEnv, AsyncTenEnv and the testers' environments. Names with an underscore are the host's own."""

    _node: Node

    def _log_name(self) -> str | None:
        return None if self._node.closed else self._node.name

    def _get(self, path: str | None) -> tuple[Any, TenError | None]:
        if self._node.closed:
            return None, TenError.create(TenErrorCode.ErrorCodeTenIsClosed, _CLOSED)
        root = self._node.properties
        name = path or ""
        if name.startswith(_APP_SCOPE):
            root, name = self._node.graph.app.properties, name[len(_APP_SCOPE) :]
        try:
            return get_at(root, name), None
        except KeyError:
            return None, TenError.create(VALUE_NOT_FOUND, f"no property {path!r} in {self._node.name!r}")
        except ValueError as error:
            return None, TenError.create(TenErrorCode.ErrorCodeInvalidArgument, str(error))

    def _get_json(self, path: str | None) -> tuple[str, TenError | None]:
        value, error = self._get(path)
        if error is not None:
            return "", error
        try:
            return dump_json(value), None
        except (TypeError, ValueError) as problem:
            return "", TenError.create(TenErrorCode.ErrorCodeGeneric, f"property {path!r}: {problem}")

    def _get_typed(self, path: str, kind: type[T], default: T) -> tuple[T, TenError | None]:
        return typed(self._get(path), path, kind, default)

    def _exists(self, path: str) -> tuple[bool, TenError | None]:
        _, error = self._get(path)
        if error is not None and error.error_code() != VALUE_NOT_FOUND:
            return False, error
        return error is None, None

    def _set(self, path: str, value: Any) -> TenError | None:
        if self._node.closed:
            return TenError.create(TenErrorCode.ErrorCodeTenIsClosed, _CLOSED)
        try:
            set_at(self._node.properties, need(path, str, "path"), value)
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidArgument, str(error))
        return None

    def _set_json(self, path: str | None, json_str: str) -> TenError | None:
        try:
            value = parse_json(need(json_str, str, "json_str"))
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, f"not JSON: {error}")
        if path:
            return self._set(path, value)
        if not isinstance(value, dict):
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, "all properties together must be an object")
        self._node.properties = value
        return None

    def _init_json(self, json_str: str) -> TenError | None:
        if self._node.phase != "configure":
            message = f"init_property_from_json has its time in on_configure, not in on_{self._node.phase}"
            return TenError.create(TenErrorCode.ErrorCodeGeneric, message)
        try:
            value = parse_json(need(json_str, str, "json_str"))
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, f"not JSON: {error}")
        if not isinstance(value, dict):
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, "properties must be a JSON object")
        self._node.initial_properties = value
        return None

    def _send(self, msg: Msg) -> TenError | None:
        return self._node.graph.send(self._node, need(msg, Msg, "message"))

    def _send_cmd(
        self, cmd: Cmd, handler: Callable[[CmdResult | None, TenError | None], None], every: bool
    ) -> TenError | None:
        return self._node.graph.send_cmd(self._node, need(cmd, Msg, "cmd"), handler, every)

    def _return(self, result: CmdResult) -> TenError | None:
        need(result, CmdResult, "result")
        content = result._take()
        assert isinstance(content, ResultContent)
        node = self._node
        if node.closed:
            return TenError.create(TenErrorCode.ErrorCodeTenIsClosed, _CLOSED)
        problem = node.schema.check_result("out", content)
        if problem is not None:
            node.log(LogLevel.WARN, f"dropped result of {content.name!r}: invalid schema: {problem}")
            return TenError.create(TenErrorCode.ErrorCodeGeneric, f"invalid schema: {problem}")
        path = content.return_path
        if path is None:
            message = f"the command {content.name!r} of this result was never delivered to anyone"
            return TenError.create(TenErrorCode.ErrorCodeInvalidArgument, message)
        if content.final:
            node.settle(path)
        content.source = node.loc
        if not path(content):
            return TenError.create(TenErrorCode.ErrorCodeGeneric, f"{content.name!r} has had its final result")
        return None
