"""Names that errors, metrics and status have had since there is a connection status."""

from __future__ import annotations

from enum import Enum

from .message import *  # noqa: F403

VENDOR_METADATA_KEY = "vendor_metadata"


class MetadataKey(str, Enum):
    SESSION_ID = "session_id"
    TURN_ID = "turn_id"
    VENDOR_METADATA = VENDOR_METADATA_KEY


class ModuleMetricKey(str, Enum):
    ASR_TTFW = "ttfw"
    ASR_TTLW = "ttlw"
    ASR_CONNECT_DELAY = "connect_delay"
    ASR_ACTUAL_SEND = "actual_send"
    ASR_ACTUAL_SEND_DELTA = "actual_send_delta"
    ASR_VENDOR_METRICS = "vendor_metrics"
    REQUEST_TIME_MS = "request_time_ms"
    RESPONSE_TIME_MS = "response_time_ms"
    REQUEST_BYTES = "request_bytes"
    RESPONSE_BYTES = "response_bytes"


class ModuleConnectionStatus(str, Enum):
    """Where a module's connection to its vendor is."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
