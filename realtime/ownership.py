"""Another rule for turns takes over at a position: what the rule before it left unfinished is handed on.

Behind that position the new rule holds. Before it nothing is lost: audio that is not on its way belongs to a turn
of the new rule, or waits for one; what is on its way (committed, or on a connection that has handed over) is finished
under the old rule, where it is.
"""

from __future__ import annotations

from collections.abc import Sequence

from .client_turns import ClientTurns
from .ledger import State
from .reconfigure import SERVER_TYPES
from .stream import Stream
from .turn import Phase, Turn
from .writing import tail_padding

_PENDING = frozenset({State.PENDING})


def change_owner(stream: Stream, turns: ClientTurns, old: str, fences: Sequence[int], now: float) -> None:
    """The stream's turn detection was *old*; its options say already what it is now.

    *fences*: positions at which somebody asked for everything before them; no turn of ours is to span one.
    """
    new = stream.detection
    if old == new:
        return
    turns.forget_detector()
    if new in SERVER_TYPES:
        if old not in SERVER_TYPES:
            _give_to_server(stream)
    elif old in SERVER_TYPES:
        _take_from_server(stream, fences)
        for fence in fences:
            _close_unclaimed(stream, fence)
            stream.boundary = max(stream.boundary, fence)
        if new == "local_vad":
            _close_unclaimed(stream, stream.ledger.accepted)
    elif new == "local_vad":
        _close_open(stream, turns)
    if new == "none":
        turns.audio_accepted()  # what no turn has yet is the first one's
    stream.book.advance(now)


def _unsent(stream: Stream) -> list[Turn]:
    """Turns of our own that no commit has ended yet."""
    phases = (Phase.OPEN, Phase.CLOSED)
    return [t for t in stream.book.turns if t.client_owned and t.phase in phases and t.commit_sent_at is None]


def _give_to_server(stream: Stream) -> None:
    """The server hears the audio of our turns and finds its own in it. What was shown keeps its id, to be finished."""
    for turn in _unsent(stream):
        if not turn.shown and not turn.shown_before and not turn.promoted:
            stream.book.disclaim(turn)
            continue
        replayed = turn.replayed or turn.connection != 0
        turn.restart(Phase.WAITING)
        turn.client_owned, turn.replayed = False, replayed


def _take_from_server(stream: Stream, fences: Sequence[int]) -> None:
    """Turns whose audio was to go to a server's detector again are committed by us, as far as they are known."""
    waiting = list(stream.book.waiting())
    starts = [*(turn.start for turn in waiting), stream.ledger.accepted][1:]
    for turn, limit in zip(waiting, starts, strict=True):
        end = min(turn.end if turn.end is not None else stream.speech_ends(turn.start), max(limit, turn.start))
        turn.client_owned, turn.phase = True, Phase.OPEN
        rest: Turn | None = turn
        for fence in fences:
            if rest is not None and rest.span_start < fence < end:
                _close(stream, rest, fence, fence)
                bounds = stream.ledger.speech_bounds(fence, end)
                rest = stream.new_turn(bounds[0], fence, client_owned=True) if bounds else None
        if rest is not None:
            _close(stream, rest, end, end)
    stream.boundary = max(stream.boundary, stream.book.last_end)


def _close_unclaimed(stream: Stream, end: int) -> None:
    """Speech before *end* that the server had not taken, and no detector of ours has heard: a turn that ends there."""
    begin = stream.boundary
    bounds = stream.ledger.speech_bounds(begin, end)
    if bounds is None or not stream.ledger.unsettled_speech(begin, end, _PENDING):
        return
    _close(stream, stream.new_turn(bounds[0], begin, client_owned=True), bounds[1], end)
    stream.boundary = end


def _close(stream: Stream, turn: Turn, end: int, span_end: int) -> None:
    stream.book.close(turn, end, span_end)
    assert turn.end is not None and turn.span_end is not None
    turn.synthetic = tail_padding(stream, turn.end, turn.span_end)


def _close_open(stream: Stream, turns: ClientTurns) -> None:
    """Without a detector a turn is open all the time: it ends here, if anything was said in it."""
    turn = turns.open_turn()
    if turn is None:
        return
    if stream.ledger.has_speech(turn.span_start, stream.ledger.accepted):
        turns.cut(turn)
    else:
        stream.book.disclaim(turn)
