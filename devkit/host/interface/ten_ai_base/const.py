"""Names that ten_ai_base shares with the extensions built on it, of the generation this process has."""

from typing import TYPE_CHECKING

from ._generation import GENERATION

if TYPE_CHECKING or GENERATION == "0.7.53":
    from ._v0_7_53.const import *  # noqa: F403
elif GENERATION == "0.7.48":
    from ._v0_7_48.const import *  # noqa: F403
else:
    from ._v0_7_41.const import *  # noqa: F403
