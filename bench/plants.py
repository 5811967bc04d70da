"""Bugs planted on purpose, one at a time, to see that the tests find them: prints the table of docs/plants.md.

    .venv/bin/python bench/plants.py                     all of them
    .venv/bin/python bench/plants.py --only lost-span    one, or several

Each plant is put into a copy of the tree. There the property tests run first, without shrinking what they find, and
only if they see nothing the unit tests of the session; each for a minute at most. A plant whose text is no longer in
its file exactly once is an error, so the list cannot rot (tests/test_plants.py). The tree as it is comes first: in it
the same tests must find nothing.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
LIMIT_S = 60
NOT_COPIED = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "out", "docs")
PROPERTIES = tuple(("tests/test_invariants.py", "-k", name) for name in ("any_history", "nothing_is_lost"))
UNITS = (
    tuple(
        f"tests/test_{name}.py"
        for name in ("session_turns", "session_connect", "session_histories", "quiet_hours", "errors", "halves")
    ),
)


class Plant(NamedTuple):
    """A bug: in `file` the text `old`, which is there once, becomes `new`. `breaks`: what a user would notice."""

    name: str
    file: str
    old: str
    new: str
    breaks: str


PLANTS = (
    # The four that the property tests themselves must find
    Plant(
        "dedupe-skipped",
        "realtime/stream.py",
        "            if fate.turn and fate.turn in in_hand:\n                continue\n",
        "",
        "de-duplication skipped: audio of a text in hand is sent again",
    ),
    Plant(
        "position-off-by-one",
        "realtime/writing.py",
        "        conn.map.add(count, position)\n",
        "        conn.map.add(count, None if position is None else position + 1)\n",
        "the map says that audio on the wire was the caller's one sample later",
    ),
    Plant(
        "span-lost",
        "realtime/stream.py",
        "            ledger.move(max(first, keep_from), end, {fate.state}, PENDING)\n",
        "            ledger.move(max(first, keep_from), end - 1, {fate.state}, PENDING)\n",
        "the last sample of what was not answered is not sent again after a drop",
    ),
    Plant(
        "fence-early",
        "realtime/client_turns.py",
        "        fence = stream.ledger.accepted\n        stream.ledger.judge()\n",
        "        fence = max(0, stream.ledger.accepted - stream.samples(20))\n        stream.ledger.judge()\n",
        "a finalize commits all but the last 20 ms before it",
    ),
    # Exactly once
    Plant(
        "fence-reported-early",
        "realtime/finalizing.py",
        "        fence = stream.ledger.accepted\n        request = ",
        "        fence = max(0, stream.ledger.accepted - stream.samples(20))\n        request = ",
        "a request waits for all but the last 20 ms before it",
    ),
    Plant(
        "requeue-skipped",
        "realtime/session.py",
        "        self._stream.requeue(conn.id)\n",
        "",
        "what a lost connection did not answer is never sent again",
    ),
    Plant(
        "cursor-not-rewound",
        "realtime/sending.py",
        '        """Audio that was sent is pending again."""\n        self._cursor = 0\n',
        '        """Audio that was sent is pending again."""\n',
        "with server-owned turns a replay begins where the last connection stopped",
    ),
    Plant(
        "lead-in-floor-forgotten",
        "realtime/sending.py",
        "            floor = max(ledger.kept_from, ledger.final_until, stream.book.told_until(first))\n",
        "            floor = ledger.kept_from\n",
        "a replay's lead-in reaches into audio that is final",
    ),
    Plant(
        "claim-forgotten",
        "realtime/transcript.py",
        "        turn.ready_at = now\n        self._claim(turn)\n",
        "        turn.ready_at = now\n",
        "audio of a text that came before its commit was answered can be sent again",
    ),
    Plant(
        "repair-sends-live-audio",
        "realtime/repair.py",
        "        last = self._pace.limit(self._cursor, turn.span_end)\n",
        "        last = self._pace.limit(self._cursor, self._stream.ledger.accepted)\n",
        "a repair sends what was said behind its turn, too",
    ),
    Plant(
        "repair-starts-late",
        "realtime/repair.py",
        "            turn.connection, self._cursor = conn.id, max(begin, self._stream.ledger.kept_from)\n",
        "            turn.connection, self._cursor = conn.id, turn.start + 1\n",
        "a repair leaves out the first sample of its turn",
    ),
    Plant(
        "rollover-one-late",
        "realtime/rollover.py",
        "        stream.requeue(old.id, start=boundary)\n",
        "        stream.requeue(old.id, start=boundary + 1)\n",
        "one sample at the change-over goes to neither connection",
    ),
    Plant(
        "rollover-one-early",
        "realtime/rollover.py",
        "        stream.requeue(old.id, start=boundary)\n",
        "        stream.requeue(old.id, start=boundary - 1)\n",
        "one sample at the change-over goes to both connections",
    ),
    Plant(
        "rollover-forgets-waiting",
        "realtime/rollover.py",
        "        boundary = min([behind, *(turn.span_start for turn in stream.book.waiting())])\n",
        "        boundary = behind\n",
        "what was sent again and not yet heard is lost in a change-over, and holds up all that follows",
    ),
    Plant(
        "echo-counts",
        "realtime/receiving.py",
        "        if done_with or self._book.superseded(conn.id, message.item_id):  # an echo\n",
        "        if done_with:\n",
        "a repeated `committed` of an item under repair takes the live audio for that item's",
    ),
    Plant(
        "retired-items-count",
        "realtime/receiving.py",
        "        if conn.role is not Role.MAIN:\n            return  # the audio",
        "        if conn.role is Role.REPAIR:\n            return  # the audio",
        "items that a retired connection makes of audio that went to the next one count",
    ),
    # Order, ids, texts
    Plant(
        "finals-out-of-order",
        "realtime/transcript.py",
        "                if blocking is None:\n                    self._emit_final(turn)\n",
        "                if True:\n                    self._emit_final(turn)\n",
        "a final leaves as soon as it is there, before earlier ones",
    ),
    Plant(
        "repeats-count",
        "realtime/transcript.py",
        "            self._remember(turn.connection, turn.item_id)\n",
        "            pass\n",
        "a repeated text is taken for news",
    ),
    Plant(
        "promoted-twice",
        "realtime/transcript.py",
        "        rest = rest_of(turn.promoted, turn.text)\n",
        "        rest = turn.text\n",
        "what was promoted is said again with its rest",
    ),
    Plant(
        "result-id-reused",
        "realtime/transcript.py",
        '        turn.result_id, turn.shown, turn.shown_before = self._new_id("result"), False, ""\n',
        '        turn.shown, turn.shown_before = False, ""\n',
        "the rest of a promoted text comes under an id that has had its final",
    ),
    Plant(
        "retraction-forgotten",
        "realtime/transcript.py",
        "        if turn.shown:\n            self._emit(replace(self._transcript(turn,",
        "        if False:\n            self._emit(replace(self._transcript(turn,",
        "what was shown and not said after all is not taken back",
    ),
    Plant(
        "partials-shrink",
        "realtime/turn.py",
        '        self.shown_before = self.best_partial if self.shown else ""\n',
        '        self.shown_before = ""\n',
        "a replay shows again what was shown, from the start",
    ),
    Plant(
        "late-unmarked",
        "realtime/transcript.py",
        "        turn.late = turn.start < self.answered_until\n",
        "",
        "speech that a server finds before an answered fence is not marked late",
    ),
    # Finalize
    Plant(
        "answers-out-of-order",
        "realtime/finalizing.py",
        "        self._requests.append(request)\n",
        "        self._requests.appendleft(request)\n",
        "the newest request is answered first",
    ),
    Plant(
        "answer-too-early",
        "realtime/finalizing.py",
        "        return not any(self._holds(turn, request)",
        "        return True or not any(self._holds(turn, request)",
        "a finalize is answered before its texts are there",
    ),
    Plant(
        "answer-late",
        "realtime/finalizing.py",
        "        return min([self._requests[0].deadline, *waits])\n",
        "        return min([self._requests[-1].deadline, *waits])\n",
        "only the newest request's deadline wakes the session",
    ),
    Plant(
        "boundary-forgotten",
        "realtime/client_turns.py",
        "        stream.boundary = max(stream.boundary, turn.span_end)\n",
        "        stream.boundary = max(stream.boundary, turn.span_start)\n",
        "the next turn's padding reaches back across the boundary",
    ),
    # Wire
    Plant(
        "commit-before-audio",
        "realtime/sending.py",
        "        if turn.span_end is None or self._pending(turn.span_start, turn.span_end):\n",
        "        if turn.span_end is None:\n",
        "a turn is committed as soon as some of its audio was sent, while the rest waits for its pace",
    ),
    Plant(
        "pace-stuck",
        "realtime/writing.py",
        "        self._free_at = max(self._free_at, now) + (last - first) / stream.rate / self.speed\n",
        "        self._free_at = math.inf\n",
        "catching up stops after its first message",
    ),
    Plant(
        "padding-not-silent",
        "realtime/writing.py",
        "        wire = conn.encoder.silence(count)\n",
        "        wire = bytes([0, 1]) * count\n",
        "padding is a sound",
    ),
    # Time, back-off, bounds
    Plant(
        "timer-in-the-past",
        "realtime/session.py",
        "        self._stream.book.advance(now)\n",
        "",
        "the timer is due again and again for a text that was waited for long enough",
    ),
    Plant(
        "slow-is-overdue",
        "realtime/stream.py",
        "        return min(self.options.item_timeout_ms / 1000 + length_s / 2, MOST_S)\n",
        "        return length_s\n",
        "a server that takes five seconds for each text is hung up on",
    ),
    Plant(
        "slow-for-ever-overdue",
        "realtime/answer_time.py",
        "        self._factor = min(2 * self._factor, MOST_S)\n",
        "",
        "a server that takes eight seconds for each text is hung up on each time, and all is lost",
    ),
    Plant(
        "slow-for-good",
        "realtime/answer_time.py",
        "            self._factor = max(self._factor / 2, 1.0)\n",
        "            pass\n",
        "a server that was slow once is never found mute as early as before",
    ),
    Plant(
        "window-not-enforced",
        "realtime/stream.py",
        "        ledger.forget_audio(limit)\n",
        "",
        "audio older than the window is kept",
    ),
    Plant(
        "age-gates-speech",
        "realtime/ledger.py",
        "            if not speech\n        ]\n",
        "        ]\n",
        "speech is gated by its age",
    ),
    Plant(
        "loss-not-told",
        "realtime/stream.py",
        "            self.book.losses.report_loss(start, end, cause, lost)\n",
        "            pass\n",
        "audio that leaves the window, or is left at the end, is lost without a word",
    ),
    Plant(
        "backoff-zero",
        "realtime/backoff.py",
        "            delay = min(CAP_S, BASE_S * 2.0**self.useless) * random\n",
        "            delay = 0.0\n",
        "a dead server is dialled without a pause",
    ),
    Plant(
        "backoff-forgets",
        "realtime/backoff.py",
        "            self.useless = min(self.useless + 1, 16)\n",
        "",
        "the delay does not grow",
    ),
    Plant(
        "folding-drops-the-count",
        "realtime/reporting.py",
        "        self.count += 1\n        before",
        "        before",
        "errors that were folded are told with a wrong count",
    ),
)


def planted(plant: Plant, root: Path = ROOT) -> str:
    """The whole text of the plant's file, with the bug. Raises ValueError if its place is not there exactly once."""
    text = (root / plant.file).read_text(encoding="utf-8")
    found = text.count(plant.old)
    if found != 1:
        raise ValueError(f"plant {plant.name}: its text is {found} times in {plant.file}, it must be there once")
    return text.replace(plant.old, plant.new)


def fails(tree: Path, runs: tuple[tuple[str, ...], ...]) -> bool:
    """Whether one of *runs* (what pytest is told), side by side, fails in *tree* within the time limit."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile=plants"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = [subprocess.Popen([*command, *run], cwd=tree, **quiet) for run in runs]
    until = time.monotonic() + LIMIT_S
    try:
        while time.monotonic() < until:
            codes = [process.poll() for process in running]
            if any(code not in (None, 0, 1) for code in codes):
                raise RuntimeError(f"the tests did not run: pytest ended with {codes}")
            if 1 in codes or None not in codes:
                return 1 in codes
            time.sleep(0.1)
        return False
    finally:
        for process in running:
            process.kill()
            process.wait()


def try_plant(plant: Plant | None) -> tuple[str, float]:
    """Who found *plant* (nobody: an empty string), and in how many seconds. None: the tree as it is."""
    with tempfile.TemporaryDirectory(prefix="plant-") as place:
        tree = Path(place) / ROOT.name
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        if plant is not None:
            (tree / plant.file).write_text(planted(plant), encoding="utf-8")
        for finder, tests in (("properties", PROPERTIES), ("unit tests", UNITS)):
            began = time.monotonic()
            if fails(tree, tests):
                return finder, time.monotonic() - began
    return "", 0.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="NAME", choices=[plant.name for plant in PLANTS])
    chosen = parser.parse_args().only
    for plant in PLANTS:
        planted(plant)
    finder, _ = try_plant(None)
    if finder:
        print(f"the {finder} fail without any plant: make them pass first", file=sys.stderr)
        return 1
    missed = 0
    print("| plant | what it breaks | found by | seconds |\n| --- | --- | --- | --- |")
    for plant in PLANTS:
        if chosen and plant.name not in chosen:
            continue
        finder, seconds = try_plant(plant)
        missed += not finder
        print(f"| `{plant.name}` | {plant.breaks} | {finder or '**nobody**'} | {seconds:.0f} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
