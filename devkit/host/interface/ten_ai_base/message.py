"""What modules report: errors, metrics, and the connection's status in generations that have one."""

from typing import TYPE_CHECKING

from ._generation import GENERATION

if TYPE_CHECKING or GENERATION == "0.7.53":
    from ._v0_7_53.message import *  # noqa: F403
elif GENERATION == "0.7.48":
    from ._v0_7_48.message import *  # noqa: F403
else:
    from ._v0_7_41.message import *  # noqa: F403
