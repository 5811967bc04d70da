"""Makes the extension importable, and the halves of a session that the tests are played with; import it first."""

from __future__ import annotations

import sys

from chaos_load import ROOT

_SUPPORT = str(ROOT / "tests" / "support")
if _SUPPORT not in sys.path:
    sys.path.append(_SUPPORT)
