"""Typed values, as log fields take them."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Any

from ._values import parse_json
from .error import TenError, TenErrorCode


class ValueType(IntEnum):
    INVALID = 0
    BOOL = 1
    INT = 2
    FLOAT = 3
    STRING = 4
    BUF = 5
    ARRAY = 6
    OBJECT = 7
    JSON_STRING = 8


class Value:
    """A value with its type; getters answer ``(value, error)`` like every other getter of TEN."""

    def __init__(self, value_type: ValueType, data: Any) -> None:
        self._type = value_type
        self._data = data

    @classmethod
    def from_bool(cls, value: bool) -> Value:
        return cls(ValueType.BOOL, bool(value))

    @classmethod
    def from_int(cls, value: int) -> Value:
        return cls(ValueType.INT, value)

    @classmethod
    def from_float(cls, value: float) -> Value:
        return cls(ValueType.FLOAT, float(value))

    @classmethod
    def from_string(cls, value: str) -> Value:
        return cls(ValueType.STRING, value)

    @classmethod
    def from_buf(cls, value: bytes | bytearray) -> Value:
        return cls(ValueType.BUF, bytes(value))

    @classmethod
    def from_array(cls, value: list[Value]) -> Value:
        return cls(ValueType.ARRAY, list(value))

    @classmethod
    def from_object(cls, value: dict[str, Value]) -> Value:
        return cls(ValueType.OBJECT, dict(value))

    @classmethod
    def from_json_string(cls, value: str) -> Value:
        return cls(ValueType.JSON_STRING, value)

    @classmethod
    def from_python(cls, value: Any) -> Value:
        """Wrap a plain Python value; what TEN has no type for becomes its text."""
        if isinstance(value, Value):
            return value
        if isinstance(value, bool):
            return cls.from_bool(value)
        if isinstance(value, int):
            return cls.from_int(value)
        if isinstance(value, float):
            return cls.from_float(value)
        if isinstance(value, (bytes, bytearray)):
            return cls.from_buf(value)
        if isinstance(value, (list, tuple)):
            return cls.from_array([cls.from_python(item) for item in value])
        if isinstance(value, dict):
            return cls.from_object({str(key): cls.from_python(item) for key, item in value.items()})
        return cls.from_string(str(value))

    def to_python(self) -> Any:
        """Return the plain Python value."""
        if self._type is ValueType.ARRAY:
            return [item.to_python() for item in self._data]
        if self._type is ValueType.OBJECT:
            return {key: item.to_python() for key, item in self._data.items()}
        if self._type is ValueType.JSON_STRING:
            return parse_json(self._data)
        return self._data

    def get_type(self) -> ValueType:
        return self._type

    def get_bool(self) -> tuple[bool, TenError | None]:
        return self._expect(ValueType.BOOL, False)

    def get_int(self) -> tuple[int, TenError | None]:
        return self._expect(ValueType.INT, 0)

    def get_float(self) -> tuple[float, TenError | None]:
        return self._expect(ValueType.FLOAT, 0.0)

    def get_string(self) -> tuple[str, TenError | None]:
        return self._expect(ValueType.STRING, "")

    def get_buf(self) -> tuple[bytes, TenError | None]:
        return self._expect(ValueType.BUF, b"")

    def get_array(self) -> tuple[list[Value], TenError | None]:
        return self._expect(ValueType.ARRAY, [])

    def get_object(self) -> tuple[dict[str, Value], TenError | None]:
        return self._expect(ValueType.OBJECT, {})

    def get_json_string(self) -> tuple[str, TenError | None]:
        return self._expect(ValueType.JSON_STRING, "")

    def _expect(self, wanted: ValueType, default: Any) -> tuple[Any, TenError | None]:
        if self._type is wanted:
            return self._data, None
        message = f"value is {self._type.name}, not {wanted.name}"
        return default, TenError.create(TenErrorCode.ErrorCodeInvalidType, message)

    def __str__(self) -> str:
        value = self.to_python()
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
