"""The dialects that the local server speaks, one file each.

Every dialect is put around the same session, which speaks the provider's current (GA) protocol, and around the same
faults. A new one is a subclass of `base.Dialect` in a file of its own, an entry in `DIALECTS` and a trace in
`tests/server/golden/dialects`. It says, where it differs from the provider:

- `name`, `base_path` (what `LocalServer.url` ends with) and `session_seconds` (how long its sessions live);
- `serves`, `nowhere`: which paths are its endpoint, and the answer on others;
- `answer_upgrade`: what it refuses by an HTTP status, before there is a socket;
- `refuse`: what it refuses on the open socket, by an error and a CLOSE frame;
- `config`: what a session begins with, which the URL may have a part in;
- `voice`: how one connection speaks (`voice.Voice`): frames of the client into GA messages, GA events into its own;
- `mints`, `answer_mint`: whether there are client secrets, and who gets one.

Rules of a voice: it has no clock and no task; state is that of one connection; an event it does not understand (faults
make such) goes out as it is; what it refuses itself it returns as `ErrorDetails`, never by raising, so that the answer
passes the faults like everything else.
"""

from __future__ import annotations

from collections.abc import Callable

from .azure import Azure, AzureEphemeral
from .base import Dialect
from .beta import Beta
from .openai import OpenAI
from .speaches import Speaches
from .vllm import Vllm

DIALECTS: dict[str, Callable[[], Dialect]] = {
    "openai": OpenAI,
    "azure": Azure,
    "azure_ephemeral": AzureEphemeral,
    "beta": Beta,
    "speaches": Speaches,
    "vllm": Vllm,
}


def make_dialect(name: str) -> Dialect:
    """The dialect called *name*. Raises ValueError for a name that does not exist."""
    try:
        return DIALECTS[name]()
    except KeyError:
        raise ValueError(f"dialect: {name!r} given, must be one of: {', '.join(DIALECTS)}") from None
