"""The interface files that manifests import from ten_ai_base, as data instead of files."""

from __future__ import annotations

from typing import Any


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _message(name: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    # ``required`` stands beside the name, where ten_ai_base has it and the runtime does not look.
    entry: dict[str, Any] = {"name": name, "property": {"properties": properties}}
    if required:
        entry["required"] = list(required)
    return entry


_BOOL, _INT64, _STRING, _OBJECT = ({"type": "bool"}, {"type": "int64"}, {"type": "string"}, _object())
_METADATA = _object(session_id=_STRING)
_WORD = _object(word=_STRING, start_ms=_INT64, duration_ms=_INT64, stable=_BOOL)

_ASR: dict[str, Any] = {
    "property": {
        "properties": {
            "url": _STRING,
            "headers": _OBJECT,
            "params": _OBJECT,
            "dump": _BOOL,
            "dump_path": _STRING,
            "auto_connect": _BOOL,
        }
    },
    "cmd_in": [
        {
            **_message("update_configs", url=_STRING, headers=_OBJECT, params=_OBJECT, dump=_BOOL),
            "result": {"property": {"properties": {"code": _INT64, "message": _STRING}}},
        }
    ],
    "audio_frame_in": [_message("pcm_frame", metadata=_METADATA)],
    "data_in": [
        _message("asr_finalize", finalize_id=_STRING, metadata=_METADATA),
        _message("trigger_connect"),
    ],
    "data_out": [
        _message(
            "asr_result",
            ("id", "text", "final", "start_ms", "duration_ms", "language"),
            id=_STRING,
            text=_STRING,
            final=_BOOL,
            start_ms=_INT64,
            duration_ms=_INT64,
            language=_STRING,
            words={"type": "array", "items": _WORD},
            metadata=_object(session_id=_STRING, asr_info=_OBJECT),
        ),
        _message("asr_finalize_end", finalize_id=_STRING, metadata=_METADATA),
        _message(
            "error",
            ("module", "code", "message"),
            id=_STRING,
            module=_STRING,
            code=_INT64,
            message=_STRING,
            vendor_info=_object(vendor=_STRING, code=_STRING, message=_STRING),
            metadata=_METADATA,
        ),
        _message(
            "metrics",
            ("module", "vendor", "metrics"),
            id=_STRING,
            module=_STRING,
            vendor=_STRING,
            metrics=_OBJECT,
            metadata=_METADATA,
        ),
        _message("connected", id=_STRING, module=_STRING, vendor=_STRING, metadata=_METADATA),
        _message("disconnected", id=_STRING, module=_STRING, vendor=_STRING, metadata=_METADATA),
    ],
}

INTERFACES: dict[str, dict[str, Any]] = {"asr-interface.json": _ASR}
