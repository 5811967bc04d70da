"""The interface files that manifests import from ten_ai_base, as data instead of files."""

from typing import TYPE_CHECKING

from ._generation import GENERATION

if TYPE_CHECKING or GENERATION == "0.7.53":
    from ._v0_7_53.interface_files import *  # noqa: F403
elif GENERATION == "0.7.48":
    from ._v0_7_48.interface_files import *  # noqa: F403
else:
    from ._v0_7_41.interface_files import *  # noqa: F403
