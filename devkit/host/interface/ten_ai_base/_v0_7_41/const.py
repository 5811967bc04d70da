"""Names shared with extensions."""

from .._shared.const import *  # noqa: F403
