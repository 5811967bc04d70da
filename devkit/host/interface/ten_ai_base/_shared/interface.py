"""What asr-interface.json declares in every generation; each adds what is its own."""

from __future__ import annotations

from typing import Any


def object_of(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def message(name: str, required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    # ``required`` stands beside the name, where ten_ai_base has it and the runtime does not look.
    entry: dict[str, Any] = {"name": name, "property": {"properties": properties}}
    if required:
        entry["required"] = list(required)
    return entry


BOOL, INT64, STRING, OBJECT = ({"type": "bool"}, {"type": "int64"}, {"type": "string"}, object_of())
METADATA = object_of(session_id=STRING)
WORD = object_of(word=STRING, start_ms=INT64, duration_ms=INT64, stable=BOOL)


def asr_interface(properties: dict[str, Any], data_out: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the interface of speech recognisers, with *properties* and messages out that only some generations have.

    Long because it is one table.
    """
    return {
        "property": {
            "properties": {
                "url": STRING,
                "headers": OBJECT,
                "dump": BOOL,
                "dump_path": STRING,
                "auto_connect": BOOL,
                **properties,
            }
        },
        "cmd_in": [
            {
                **message("update_configs", url=STRING, headers=OBJECT, params=OBJECT, dump=BOOL),
                "result": {"property": {"properties": {"code": INT64, "message": STRING}}},
            }
        ],
        "audio_frame_in": [message("pcm_frame", metadata=METADATA)],
        "data_in": [
            message("asr_finalize", finalize_id=STRING, metadata=METADATA),
            message("trigger_connect"),
        ],
        "data_out": [
            message(
                "asr_result",
                ("id", "text", "final", "start_ms", "duration_ms", "language"),
                id=STRING,
                text=STRING,
                final=BOOL,
                start_ms=INT64,
                duration_ms=INT64,
                language=STRING,
                words={"type": "array", "items": WORD},
                metadata=object_of(session_id=STRING, asr_info=OBJECT),
            ),
            message("asr_finalize_end", finalize_id=STRING, metadata=METADATA),
            message(
                "error",
                ("module", "code", "message"),
                id=STRING,
                module=STRING,
                code=INT64,
                message=STRING,
                vendor_info=object_of(vendor=STRING, code=STRING, message=STRING),
                metadata=METADATA,
            ),
            message(
                "metrics",
                ("module", "vendor", "metrics"),
                id=STRING,
                module=STRING,
                vendor=STRING,
                metrics=OBJECT,
                metadata=METADATA,
            ),
            message("connected", id=STRING, module=STRING, vendor=STRING, metadata=METADATA),
            message("disconnected", id=STRING, module=STRING, vendor=STRING, metadata=METADATA),
            *data_out,
        ],
    }
