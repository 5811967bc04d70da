"""One measurement of `make bench`, in a process of its own: `perf_child.py '{"measure": "live", ...}'` prints JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

Json = dict[str, Any]


def pin(core: int | None) -> None:
    """Stay on one core, where the system lets a process choose."""
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})


def measure(asked: Json) -> Json:
    """Do what *asked* names. Imports are late: what is not measured is not loaded."""
    what, url = asked.pop("measure"), asked.pop("url", "")
    if what == "imports":
        import perf_imports

        return perf_imports.imports(**asked)
    if what in ("live", "flat"):
        return streams(what, url, asked)
    import asyncio

    import perf_parts as parts
    from perf_audio import Sound

    if what in ("resample", "detector"):
        part: Json = getattr(parts, what)(**asked)
        return part
    if what == "blocked":
        return asyncio.run(parts.blocked(url, Sound(**asked.pop("sound")), **asked))
    work: Json = asyncio.run(getattr(parts, what)(url, **asked))
    return work


def streams(what: str, url: str, asked: Json) -> Json:
    """Paced or flat out, for any of the subjects."""
    import asyncio

    import perf_streams
    import perf_subjects
    from perf_audio import Sound

    subject_name, count, turns = asked["subject"], asked["streams"], asked.get("turns", "server_vad")
    sound = Sound(**asked.get("sound", {}))
    subject: Any
    if subject_name in ("extension", "frames"):
        import perf_graph

        graph = subject_name == "extension"
        subject = perf_graph.Graph(url, count, sound, turns) if graph else perf_graph.FrameMaker(sound)
    elif subject_name == "client":
        subject = perf_subjects.Client(url, count, sound, turns)
    elif subject_name == "nobody":
        subject = perf_subjects.Nobody()
    else:
        floors = {"picows": perf_subjects.Picows, "websockets": perf_subjects.Websockets}
        subject = floors[subject_name](url, count, sound)
    server = "" if subject_name in ("nobody", "frames") else url

    async def work() -> Json:
        if what == "live":
            return await perf_streams.live(subject, server, sound, count, asked["seconds"], asked.get("watch", []))
        profile = asked.get("profile", False)
        return await perf_streams.flat_out(subject, server, sound, count, asked["seconds"], profile=profile)

    run = getattr(subject, "run", None)
    result: Json = run(work) if run else asyncio.run(work())
    return result


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    pin(given.pop("core", None))
    found = measure(given)
    print("\n" + json.dumps(found), flush=True)
    os._exit(0)  # what is measured is measured; an end in good order costs time
