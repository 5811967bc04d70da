"""What `make bench` prints: Markdown tables, one section a question."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from perf_figures import Figure, Figures, Missing, Target, ratios

LIVE = (
    ("base", "16 kHz, frames of 20 ms, server turns", "50"),
    ("10 ms", "frames of 10 ms", "50"),
    ("100 ms", "frames of 100 ms", "50"),
    ("24 kHz", "24 kHz in", "50"),
    ("8 kHz G.711", "8 kHz G.711 in", "50"),
    ("local", "local turns, half silence", "50"),
    ("1", "as the first", "1"),
    *((str(count), "as the first", str(count)) for count in (100, 200, 350, 500, 750, 1_000)),
)
SUBJECTS = {
    "picows": "floor: bare picows",
    "websockets": "floor: bare websockets",
    "client": "client",
    "extension": "extension in its host",
}

LOOP_FIGURES = (
    ("p99_ms", "p99"),
    ("worst_ms", "worst"),
    ("worst_without_gc_ms", "worst, less the garbage collection in it"),
    ("worst_wall_ms", "worst by the clock"),
    ("first_worst_ms", "worst while the first stream of a process opens"),
    ("first_worst_without_gc_ms", "worst while the first stream opens, less the garbage collection in it"),
)


def table(figures: Figures, targets: list[Target], streams: int) -> Iterator[str]:
    """All lines."""
    yield from _live(figures, streams)
    yield from _flat(figures)
    yield from _parts(figures)
    yield from _targets(targets)


def spread(values: list[float], digits: int = 2) -> str:
    """The median, and from where to where when there was more than one round."""
    figure = Figure.of(values)
    text = f"{figure.value:.{digits}f}"
    return text if len(values) == 1 else f"{text} ({figure.least:.{digits}f} to {figure.most:.{digits}f})"


def _live(figures: Figures, streams: int) -> Iterator[str]:
    yield "### At the pace of callers"
    yield ""
    columns = "| streams | what | who | CPU-ms per s of audio | x picows | p50 ms | p99 ms "
    yield columns + "| core needed | late, p99 ms | messages/s |"
    yield "| ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, what, count in LIVE:
        for subject, who in SUBJECTS.items():
            case = f"live/{name}/{subject}"
            if figures.has(case):
                count = str(streams) if count == "50" else count
                cost, floor = figures.live(name, subject), f"live/{name}/picows"
                under = figures.live(name if figures.has(floor) else "base", "picows")
                seen = figures.only(case, "frames_seen")
                late = [
                    spread(figures.only(case, f"latency_{key}_ms"), 1) if min(seen) else "" for key in ("p50", "p99")
                ]
                over = spread(ratios(cost, under), 1) if name != "1" else ""  # one stream is all waking up
                needed = [100 * part for part in figures.only(case, "core_needed")]
                cells = [count, what, who, spread(cost), over, *late, f"{spread(needed, 0)} %"]
                cells.append(spread(figures.only(case, "late_p99_ms"), 0))
                cells.append(spread(figures.only(case, "messages_per_s"), 0))
                yield _row(cells)
    yield ""


def _flat(figures: Figures) -> Iterator[str]:
    yield "### Flat out, ten streams, 16 kHz, frames of 20 ms"
    yield ""
    yield "| who | frames/s per core | µs a frame | x picows |"
    yield "| --- | ---: | ---: | ---: |"
    for subject, who in SUBJECTS.items():
        if figures.has(f"flat/{subject}"):
            cost = figures.flat(subject)
            rate = f"{1e6 / Figure.of(cost).value:,.0f}"
            yield _row([who, rate, spread(cost, 1), spread(ratios(cost, figures.flat("picows")), 1)])
    yield ""


def _parts(figures: Figures) -> Iterator[str]:
    only = figures.only
    lines: list[tuple[str, str, Callable[[], list[float]]]] = [
        ("floor: resampling alone, 16 to 24 kHz", "CPU-ms per s of audio", lambda: figures.part("resample")),
        ("floor: the VAD's model alone, every window", "CPU-ms per s of audio", lambda: figures.part("vad model")),
        ("VAD of local turns, half silence, 50 calls", "CPU-ms per s of audio", lambda: figures.part("vad")),
        ("a received event, bare websockets", "CPU-µs", lambda: figures.event("websockets")),
        ("a received event, client", "CPU-µs", lambda: figures.event("client")),
        ("open a connection, bare websockets", "CPU-ms", lambda: figures.opened("websockets")),
        ("open a stream, client", "CPU-ms", lambda: figures.opened("client")),
        ("start to first byte at the server, p50", "ms", lambda: only("open/client", "first_byte_p50_ms")),
        ("start to first byte at the server, worst", "ms", lambda: only("open/client", "first_byte_worst_ms")),
        ("import numpy, pydantic, websockets", "CPU-s", lambda: only("import/libraries", "cpu_s")),
        ("import the extension, its host included", "CPU-s", lambda: only("import/extension", "cpu_s")),
        ("compile the extension, where no byte code is kept", "CPU-s", lambda: only("import/extension", "compile_s")),
    ]
    for turns, name in (("server_vad", "server turns"), ("local_vad", "local turns")):
        for key, which in LOOP_FIGURES:
            what = f"a call to the event loop, {name}, {which}"
            lines.append((what, "ms", lambda turns=turns, key=key: only(f"blocked/{turns}", key)))  # type: ignore[misc]
        for case, how in ((turns, ""), (f"{turns}, frozen", ", what is loaded frozen")):
            what = f"garbage collection, {name}, worst{how}"
            lines.append((what, "ms", lambda case=case: only(f"blocked/{case}", "worst_gc_ms")))  # type: ignore[misc]
    for case in ("idle", "talking", "outage"):
        beyond = f"memory of a stream beyond its audio, {case}"
        lines.append((beyond, "KB", lambda case=case: only(f"memory/{case}", "kb_per_stream")))  # type: ignore[misc]
        audio = f"audio a stream keeps, {case}"
        lines.append((audio, "KB", lambda case=case: only(f"memory/{case}", "audio_kb_per_stream")))  # type: ignore[misc]
    yield "### Parts"
    yield ""
    yield "| what | unit | median (spread) |"
    yield "| --- | --- | ---: |"
    for what, unit, find in lines:
        try:
            yield _row([what, unit, spread(find())])
        except Missing:
            continue
    yield ""


def _targets(targets: list[Target]) -> Iterator[str]:
    yield "### Targets"
    yield ""
    yield "| target | bound | found | holds |"
    yield "| --- | ---: | ---: | --- |"
    for target in targets:
        found = "not measured" if target.value is None else f"{target.value:.3g} {target.unit}"
        if target.value is not None and target.value >= 1000:
            found = f"{target.value:.0f} {target.unit}"
        yield _row([target.name, f"{target.target:g} {target.unit}", found, "yes" if target.holds else "**no**"])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
