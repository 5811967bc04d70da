"""Another rule for turns takes over at a position: what the rule before it left unfinished is handed on.

Behind that position the new rule holds. Before it nothing is lost: audio that is not on its way belongs to a turn
of the new rule, or waits for one; what is on its way (committed, or on a connection that has handed over) is finished
under the old rule, where it is.
"""

from __future__ import annotations

from .client_turns import ClientTurns
from .ledger import State
from .reconfigure import SERVER_TYPES
from .stream import Stream
from .turn import Phase, Turn
from .writing import tail_padding

_PENDING = frozenset({State.PENDING})


def change_owner(stream: Stream, turns: ClientTurns, old: str, now: float) -> None:
    """The stream's turn detection was *old*; its options say already what it is now."""
    new = stream.detection
    if old == new:
        return
    turns.forget_detector()
    if new in SERVER_TYPES:
        if old not in SERVER_TYPES:
            _give_to_server(stream)
    elif old in SERVER_TYPES:
        _take_from_server(stream)
        if new == "local_vad":
            _close_unclaimed(stream)
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


def _take_from_server(stream: Stream) -> None:
    """Turns whose audio was to go to a server's detector again are committed by us, as far as they are known."""
    waiting = list(stream.book.waiting())
    starts = [*(turn.start for turn in waiting), stream.ledger.accepted][1:]
    for turn, limit in zip(waiting, starts, strict=True):
        end = min(turn.end if turn.end is not None else stream.speech_ends(turn.start), max(limit, turn.start))
        turn.client_owned, turn.phase = True, Phase.OPEN
        stream.book.close(turn, end, end)
        turn.synthetic = tail_padding(stream, turn.end or end, turn.span_end or end)
    stream.boundary = max(stream.boundary, stream.book.last_end)


def _close_unclaimed(stream: Stream) -> None:
    """Speech the server had not taken yet, and the local detector has not heard: a turn that ends here."""
    begin, end = stream.boundary, stream.ledger.accepted
    bounds = stream.ledger.speech_bounds(begin, end)
    if bounds is None or not stream.ledger.unsettled_speech(begin, end, _PENDING):
        return
    turn = stream.new_turn(bounds[0], begin, client_owned=True)
    stream.book.close(turn, bounds[1], end)
    turn.synthetic = tail_padding(stream, bounds[1], end)
    stream.boundary = end


def _close_open(stream: Stream, turns: ClientTurns) -> None:
    """Without a detector a turn is open all the time: it ends here, if anything was said in it."""
    turn = turns.open_turn()
    if turn is None:
        return
    if stream.ledger.has_speech(turn.span_start, stream.ledger.accepted):
        turns.cut(turn)
    else:
        stream.book.disclaim(turn)
