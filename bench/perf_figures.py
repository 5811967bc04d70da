"""The arithmetic of `make bench`: what is subtracted from what, ratios within a round, targets, floors that must be.

Pure: results in, figures out.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from perf_plan import Results, slipped

Json = dict[str, Any]
FRAME_S = 0.020


class Missing(Exception):
    """A case that a figure needs was not run, or failed."""


@dataclass(frozen=True)
class Figure:
    """A median and between which values it was found."""

    value: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        """That of *values*. Raises Missing when there are none."""
        if not values:
            raise Missing
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Target:
    """One line of the table of targets. `value` is None where it was not measured."""

    name: str
    target: float
    value: float | None
    unit: str
    holds: bool


class Figures:
    """Everything the table says, computed from what was measured."""

    def __init__(self, results: Results) -> None:
        self._results = results

    def all(self, case: str) -> list[Json]:
        """What each round gave for *case*. Raises Missing."""
        if not self._results.get(case):
            raise Missing(case)
        return self._results[case]

    def has(self, case: str) -> bool:
        """Whether *case* was measured."""
        return bool(self._results.get(case))

    # CPU -----------------------------------------------------------------------------------------------------

    def live(self, name: str, subject: str) -> list[float]:
        """CPU-ms for a second of one stream's audio in each round, without the harness's own."""
        idle = "frames" if subject == "extension" else "nobody"
        own = f"live/{name}/{idle}"
        nulls = self.all(own if self.has(own) else f"live/base/{idle}")
        found = []
        for number, result in enumerate(self.all(f"live/{name}/{subject}")):
            null = nulls[min(number, len(nulls) - 1)]
            used = result["cpu_s"] - null["cpu_s"] / null["wall_s"] * result["wall_s"]
            found.append(used / result["audio_s"] * 1000)
        return found

    def flat(self, subject: str, name: str = "flat") -> list[float]:
        """CPU-µs a frame in each round, flat out."""
        return [result["cpu_s"] / result["frames"] * 1e6 for result in self.all(f"{name}/{subject}")]

    def part(self, name: str) -> list[float]:
        """CPU-ms of a part for a second of audio."""
        return [result["cpu_s"] / result["audio_s"] * 1000 for result in self.all(f"part/{name}")]

    def event(self, subject: str) -> list[float]:
        """CPU-µs a received event: what many more of them cost beside the same audio."""
        found = []
        for busy, calm in zip(self.all(f"busy/{subject}"), self.all(f"flat/{subject}"), strict=False):
            cost = busy["cpu_s"] / busy["frames"] - calm["cpu_s"] / calm["frames"]
            events = busy["events"] / busy["frames"] - calm["events"] / calm["frames"]
            found.append(cost / events * 1e6)
        return found

    def opened(self, subject: str) -> list[float]:
        """CPU-ms to open a stream."""
        return [result["cpu_s"] / result["streams"] * 1000 for result in self.all(f"open/{subject}")]

    def only(self, case: str, key: str) -> list[float]:
        """One number of *case* in each round."""
        return [result[key] for result in self.all(case)]

    def held(self) -> list[int]:
        """How many live streams were held, of the numbers tried, up to the first that was not."""
        numbers = sorted(int(name.split("/")[1]) for name in self._results if _is_count(name))
        if not numbers or max(numbers) <= 50:
            raise Missing
        found = [50] if not slipped(self.all("live/base/client")[0]) else []
        for number in numbers:
            if number > 50:
                if slipped(self.all(f"live/{number}/client")[0]):
                    break
                found.append(number)
        return found


def _is_count(name: str) -> bool:
    kind, _, rest = name.partition("/")
    count, _, subject = rest.partition("/")
    return kind == "live" and subject == "client" and count.isdigit()


def ratios(above: list[float], below: list[float]) -> list[float]:
    """Round by round; where not as many rounds were played, each against the median."""
    if len(above) == len(below):
        return [a / b for a, b in zip(above, below, strict=True)]
    return [value / statistics.median(below) for value in above]


Rule = tuple[str, float, str, bool, Callable[[Figures], float]]


def rules() -> list[Rule]:
    """Each target: name, bound, unit, whether more is better, and how its value is found."""
    found: list[Rule] = [
        ("client, 50 live streams / bare picows", 2.0, "x", False, _ratio(_live("client"), _live("picows"))),
        ("client, flat out / bare picows", 6.0, "x", False, _ratio(_flat("client"), _flat("picows"))),
        (
            "extension in its host / client, 50 live streams",
            1.5,
            "x",
            False,
            _ratio(_live("extension"), _live("client")),
        ),
    ]
    for name, streams in (("1", "1 stream"), ("base", "50 streams"), ("200", "200 streams")):
        for key, bound in (("p50", 3.0), ("p99", 15.0)):
            what = f"frame in to bytes at the server, {key}, {streams}"
            found.append((what, bound, "ms", False, _latency(name, key)))
    found += [
        (
            "live streams on one core before pacing slips",
            500,
            "streams",
            True,
            lambda f: float(max(f.held(), default=0)),
        ),
        ("CPU of a stream at that limit / at 50", 1.15, "x", False, _flatness),
    ]
    for case in ("idle", "talking", "outage"):
        value = _median(f"memory/{case}", "kb_per_stream")
        found.append((f"memory of a stream beyond its replay audio, {case}", 100, "KB", False, value))
    imports = _ratio(lambda f: f.only("import/extension", "cpu_s"), lambda f: f.only("import/libraries", "cpu_s"))
    found += [
        ("import of the extension / numpy, pydantic, websockets", 1.5, "x", False, imports),
        ("CPU to open a stream", 2.0, "ms", False, lambda f: Figure.of(f.opened("client")).value),
        ("longest call to the event loop, server turns", 5.0, "ms", False, _longest("server_vad")),
        ("longest call to the event loop, local turns", 5.0, "ms", False, _longest("local_vad")),
        ("a received event beyond the transport", 5.0, "µs", False, _event),
        (
            "VAD of a call that is half silence, 50 at a time",
            1.5,
            "ms/s",
            False,
            lambda f: Figure.of(f.part("vad")).value,
        ),
    ]
    return found


Values = Callable[[Figures], list[float]]


def _live(subject: str) -> Values:
    return lambda figures: figures.live("base", subject)


def _flat(subject: str) -> Values:
    return lambda figures: figures.flat(subject)


def _ratio(above: Values, below: Values) -> Callable[[Figures], float]:
    return lambda figures: Figure.of(ratios(above(figures), below(figures))).value


def _latency(name: str, key: str) -> Callable[[Figures], float]:
    """Latency as the caller has it: where the pacing slipped, frames were handed in late, and that counts."""

    def find(figures: Figures) -> float:
        rounds = figures.all(f"live/{name}/client")
        return Figure.of([one[f"latency_{key}_ms"] + slipped(one) * one["late_p99_ms"] for one in rounds]).value

    return find


def _median(case: str, key: str) -> Callable[[Figures], float]:
    return lambda figures: Figure.of(figures.only(case, key)).value


def _event(figures: Figures) -> float:
    client, bare = figures.event("client"), figures.event("websockets")
    return Figure.of([whole - part for whole, part in zip(client, bare, strict=False)]).value


def _longest(turns: str) -> Callable[[Figures], float]:
    """The longest call, those included that the first stream of a process needs."""
    keys = ("worst_ms", "first_worst_ms")
    return lambda figures: max(Figure.of(figures.only(f"blocked/{turns}", key)).value for key in keys)


def _flatness(figures: Figures) -> float:
    """What a stream costs where most are held, to what it costs where fifty are."""
    most = max(figures.held(), default=0)
    if most <= 50:
        raise Missing
    at_limit, at_fifty = figures.live(str(most), "client"), figures.live("base", "client")
    return Figure.of(at_limit).value / Figure.of(at_fifty).value


def targets(results: Results) -> list[Target]:
    """The table of targets. What was not measured does not hold."""
    figures, table = Figures(results), []
    for name, bound, unit, more, find in rules():
        try:
            value: float | None = find(figures)
        except Missing:
            value = None
        holds = value is not None and (value >= bound if more else value <= bound)
        table.append(Target(name, bound, value, unit, holds))
    return table


def impossible(results: Results) -> list[str]:
    """Floors that were slower than what contains them, and streams that did not arrive whole: then nothing counts."""
    figures, found = Figures(results), []
    pairs: list[tuple[str, Callable[[], list[float]], Callable[[], list[float]]]] = [
        ("live, bare picows", lambda: figures.live("base", "picows"), lambda: figures.live("base", "client")),
        ("flat out, bare picows", lambda: figures.flat("picows"), lambda: figures.flat("client")),
        ("live, resampling alone", lambda: figures.part("resample"), lambda: figures.live("base", "client")),
    ]
    if figures.has("live/base/client"):
        sent = figures.only("live/base/client", "messages_per_s")
        if min(sent) * FRAME_S > 0.99:  # a client that joins frames need not cost a message for each
            pairs.append(
                (
                    "live, bare websockets",
                    lambda: figures.live("base", "websockets"),
                    lambda: figures.live("base", "client"),
                )
            )
    for name, floor, whole in pairs:
        try:
            below, above = Figure.of(floor()).value, Figure.of(whole()).value
        except Missing:
            continue
        if below > above or below <= 0:
            found.append(f"{name}: the floor took {below:.3g} and the client {above:.3g}")
    for case, rounds in results.items():
        wrong = sum(result.get("frames_wrong", 0) for result in rounds)
        if wrong and case.startswith("live/base/"):
            found.append(f"{case}: {wrong} frames were lost, repeated or exchanged")
    return found


def as_json(table: list[Target]) -> list[Json]:
    """`targets` of the JSON file."""
    return [asdict(target) for target in table]
