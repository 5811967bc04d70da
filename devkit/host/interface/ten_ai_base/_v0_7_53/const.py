"""Names shared with extensions."""

from .._v0_7_48.const import *  # noqa: F403

DATA_OUT_PROVIDE_FEATURES = "provide_features"
