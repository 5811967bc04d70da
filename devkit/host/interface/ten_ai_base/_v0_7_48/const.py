"""Names shared with extensions."""

from .._shared.const import *  # noqa: F403

DATA_OUT_CONNECTION_STATUS_CHANGED = "connection_status_changed"
