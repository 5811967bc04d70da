"""Which ten_ai_base this process has: one of three states of it, each a class tree of its own.

Names that differ between generations live below `_v0_7_41`, `_v0_7_48` and `_v0_7_53`; the public modules (`asr`,
`message`, ...) hand out the chosen one's. What is the same in all is in `_shared` and the modules beside this one.
"""

from __future__ import annotations

import os

VARIABLE = "TEN_AI_BASE_GENERATION"
GENERATIONS = ("0.7.41", "0.7.48", "0.7.53")
"Oldest first. The last is the newest state that was read, shortly before 0.7.53; it is no release of that name."
DEFAULT = GENERATIONS[-1]


def _chosen() -> str:
    asked = os.environ.get(VARIABLE) or DEFAULT
    if asked not in GENERATIONS:
        raise ImportError(
            f"{VARIABLE}: {asked!r} given, must be one of {', '.join(GENERATIONS)} (unset means {DEFAULT})",
            name="ten_ai_base",
        )
    return asked


GENERATION = _chosen()
"What the environment said when ten_ai_base was imported first; a process has one, to its end."
