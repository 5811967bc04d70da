"""Errors and metrics that every kind of module reports."""

from __future__ import annotations

from enum import Enum

from .._shared.message import *  # noqa: F403


class MetadataKey(str, Enum):
    SESSION_ID = "session_id"
    TURN_ID = "turn_id"


class ModuleMetricKey(str, Enum):
    ASR_TTFW = "ttfw"
    ASR_TTLW = "ttlw"
    ASR_CONNECT_DELAY = "connect_delay"
    ASR_ACTUAL_SEND = "actual_send"
    ASR_ACTUAL_SEND_DELTA = "actual_send_delta"
    ASR_VENDOR_METRICS = "vendor_metrics"
