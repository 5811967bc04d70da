"""Base of all messages: name, addresses, properties."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar, cast

from ._content import Content
from ._values import INT64_MAX, INT64_MIN, dump_json, get_at, parse_json, set_at
from .error import VALUE_NOT_FOUND, TenError, TenErrorCode
from .loc import Loc

MsgT = TypeVar("MsgT", bound="Msg")


class _Gone:
    """Takes the place of what was sent, so that no call has to look whether it was."""

    def __getattr__(self, name: str) -> NoReturn:
        raise ValueError("this message is invalidated: it was sent; clone() it before sending to keep a copy")

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        self.__getattr__(name)


_GONE = cast(Content, _Gone())


class Msg:
    """A message in the hands of one extension. Sending it empties this object: ``clone()`` first to keep a copy."""

    _content: Content
    "Any use of it raises ValueError once the message was sent."

    def __init__(self) -> None:
        raise NotImplementedError(f"use {type(self).__name__}.create(...)")

    @classmethod
    def _wrap(cls: type[MsgT], content: Content) -> MsgT:
        msg = cls.__new__(cls)
        msg._content = content
        return msg

    def _take(self) -> Content:
        """Move the content out; this object is empty from here on. Raises ValueError if it is already."""
        content = self._content
        if content is _GONE:
            content.name  # noqa: B018  (raises)
        self._content = _GONE
        return content

    def get_name(self) -> str:
        return self._content.name

    def set_name(self, name: str) -> None:
        self._content.name = need(name, str, "name")

    def get_source(self) -> Loc:
        source = self._content.source
        return Loc(source.app_uri, source.graph_id, source.extension_name)

    def set_dests(self, dests: list[Loc]) -> TenError | None:
        """Send to *dests* instead of along the graph; an empty list goes back to the graph."""
        for dest in dests:
            need(dest, Loc, "dests")
        self._content.dests = list(dests)
        return None

    def set_property_from_json(self, path: str | None, json_str: str) -> TenError | None:
        """Store a JSON text at *path*; without a path it replaces all properties and must be an object."""
        content = self._content
        try:
            value = parse_json(need(json_str, str, "json_str"))
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, f"not JSON: {error}")
        if path:
            return self._set(path, value)
        if not isinstance(value, dict):
            return TenError.create(TenErrorCode.ErrorCodeInvalidJSON, "all properties together must be a JSON object")
        content.props = value
        return None

    def get_property_to_json(self, path: str | None = None) -> tuple[str, TenError | None]:
        value, error = self._get(path)
        if error is not None:
            return "", error
        try:
            return dump_json(value), None
        except (TypeError, ValueError) as problem:
            return "", TenError.create(TenErrorCode.ErrorCodeGeneric, f"property {path!r} has no JSON form: {problem}")

    def get_property_int(self, path: str) -> tuple[int, TenError | None]:
        return typed(self._get(path), path, int, 0)

    def get_property_float(self, path: str) -> tuple[float, TenError | None]:
        return typed(self._get(path), path, float, 0.0)

    def get_property_bool(self, path: str) -> tuple[bool, TenError | None]:
        return typed(self._get(path), path, bool, False)

    def get_property_string(self, path: str) -> tuple[str, TenError | None]:
        return typed(self._get(path), path, str, "")

    def get_property_buf(self, path: str) -> tuple[bytearray, TenError | None]:
        value, error = typed(self._get(path), path, bytes, b"")
        return bytearray(value), error

    def set_property_int(self, path: str, value: int) -> TenError | None:
        return self._set(path, need_int64(value))

    def set_property_float(self, path: str, value: float) -> TenError | None:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise TypeError(f"value must be a float, not {type(value).__name__}")
        return self._set(path, float(value))

    def set_property_bool(self, path: str, value: bool) -> TenError | None:
        return self._set(path, bool(value))

    def set_property_string(self, path: str, value: str) -> TenError | None:
        return self._set(path, need(value, str, "value"))

    def set_property_buf(self, path: str, value: bytes | bytearray) -> TenError | None:
        return self._set(path, bytes(value))

    def _get(self, path: str | None) -> tuple[Any, TenError | None]:
        content = self._content
        if path == "ten.name":
            return content.name, None
        try:
            return get_at(content.props, path), None
        except KeyError:
            return None, TenError.create(VALUE_NOT_FOUND, f"no property {path!r} in message {content.name!r}")
        except ValueError as error:
            return None, TenError.create(TenErrorCode.ErrorCodeInvalidArgument, str(error))

    def _set(self, path: str, value: Any) -> TenError | None:
        content = self._content
        if path == "ten.name" and isinstance(value, str):
            content.name = value
            return None
        try:
            set_at(content.props, path, value)
        except ValueError as error:
            return TenError.create(TenErrorCode.ErrorCodeInvalidArgument, str(error))
        return None


T = TypeVar("T")


def need(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{what} must be {kind.__name__}, not {type(value).__name__}")
    return value


def need_int64(value: int) -> int:
    """Return *value*; raises TypeError when it is no int, OverflowError when it does not fit 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"value must be an int, not {type(value).__name__}")
    if not INT64_MIN <= value <= INT64_MAX:
        raise OverflowError(f"{value} does not fit a 64-bit integer")
    return value


def typed(found: tuple[Any, TenError | None], path: str, kind: type[T], default: T) -> tuple[T, TenError | None]:
    """Check a value found at *path* against exactly one type: 1 is no float, 1.0 no int, True neither."""
    value, error = found
    if error is not None:
        return default, error
    if type(value) is kind:
        return value, None
    code = TenErrorCode.ErrorCodeInvalidArgument if kind is str else TenErrorCode.ErrorCodeGeneric
    return default, TenError.create(code, f"property {path!r} is {type(value).__name__}, not {kind.__name__}")
