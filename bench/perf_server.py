"""The server of `make bench`: a loopback endpoint in a process of its own that costs next to nothing.

    python bench/perf_server.py '{"cycle_ms": 2000, "watch": [0, 10, 20]}'

It takes whatever audio comes and plays fifteen events for each `cycle_ms` of it, as a server with turn detection
does; where the client commits, the events of an item come with the commit. Prints its port. Streams are told apart by
the path (`/17/...`); of those in `watch` all audio is kept with the time it came, and `/report` hands out where in it
the marks of `perf_audio` were found, so that latency is measured on the sound and not on messages.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import os
import sys
import time
from typing import Any

from perf_audio import WIRE_RATE, find_marks
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

Json = dict[str, Any]

BEGIN = b'"audio":"'
COMMIT = b"input_audio_buffer.commit"
UPDATE = b"session.update"
WORDS = ("this ", "is ", "what ", "was ", "said ", "in ", "the ", "last ", "turn")
TEXT = "conversation.item.input_audio_transcription."


class Book:
    """What is known of all streams."""

    def __init__(self, cycle_ms: float, watch: list[int]) -> None:
        self.cycle_ms = cycle_ms
        self.watch = set(watch)
        self.streams: dict[int, Stream] = {}

    def report(self) -> Json:
        """Everything a client may ask for, by stream."""
        return {str(number): stream.report() for number, stream in self.streams.items()}


class Stream(WSListener):  # type: ignore[misc]
    """One connection."""

    def __init__(self, book: Book, number: int) -> None:
        self._book = book
        self._number = number
        self._keeps = number in book.watch
        self._kept: list[tuple[int, bytes]] = []
        self._first_audio: int | None = None
        self.messages = 0
        self.appends = 0
        self.characters = 0
        self._events = 0
        self._cycle = 0
        self._plan: list[tuple[float, list[Json]]] = []
        self._due = 0.0
        self._owns_turns = True

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The upgrade is done."""
        self._transport = transport
        self._send({"type": "session.created", "session": {"id": f"sess_{self._number}", "object": "realtime.session"}})

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One message of the client."""
        if frame.msg_type is not WSMsgType.TEXT:
            if frame.msg_type is WSMsgType.CLOSE:
                transport.send_close()
                transport.disconnect()
            return
        data = frame.get_payload_as_bytes()
        self.messages += 1
        begin = data.find(BEGIN, 0, 120)
        if begin >= 0:
            self._take_audio(data, begin + len(BEGIN))
        elif UPDATE in data:
            self._configure(json.loads(data))
        elif COMMIT in data:
            self._take_commit()

    def _take_audio(self, data: bytes, begin: int) -> None:
        now = time.monotonic_ns()
        end = data.index(b'"', begin)
        self.appends += 1
        self.characters += end - begin
        if self._first_audio is None:
            self._first_audio = now
        if self._keeps:
            self._kept.append((now, data[begin:end]))
        if self._owns_turns:
            self._play(self.characters * 3 / 8 / WIRE_RATE * 1000)

    def _configure(self, update: Json) -> None:
        session = update["session"]
        self._owns_turns = (session.get("audio", {}).get("input", {}).get("turn_detection") or None) is not None
        self._send({"type": "session.updated", "session": session})

    def _play(self, received_ms: float) -> None:
        """Events that are due now that so much audio is here."""
        while received_ms >= self._due:
            if not self._plan:
                self._plan = list(reversed(self._server_turn()))
            else:
                for event in self._plan.pop()[1]:
                    self._send(event)
                self._cycle += not self._plan
            following = self._plan[-1][0] if self._plan else 0.0
            self._due = self._cycle * self._book.cycle_ms + following

    def _server_turn(self) -> list[tuple[float, list[Json]]]:
        """The fifteen events of one cycle, each with the time in the cycle it is due at."""
        begin, length = self._cycle * self._book.cycle_ms, self._book.cycle_ms
        item = self._item()
        heard = 0.75 * length
        step = (length - heard) / (len(WORDS) + 2)
        vad = "input_audio_buffer.speech_"
        started = {"type": vad + "started", "audio_start_ms": round(begin), "item_id": item}
        stopped = {"type": vad + "stopped", "audio_end_ms": round(heard), "item_id": item}
        plan: list[tuple[float, list[Json]]] = [(0.1 * length, [started])]
        plan.append((heard, [stopped, *self._committed(item)]))
        for number, event in enumerate([*self._deltas(item), self._item_event("done", item), self._completed(item)]):
            plan.append((heard + (number + 0.5) * step, [event]))
        return plan

    def _take_commit(self) -> None:
        """A turn of the client's own: the same number of events, at once."""
        self._cycle += 1
        item = self._item()
        for event in [*self._committed(item), *self._deltas(item), self._item_event("done", item)]:
            self._send(event)
        self._send(self._completed(item))

    def _item(self, back: int = 0) -> str:
        return f"item_{self._number:04}_{self._cycle - back:06}"

    def _committed(self, item: str) -> list[Json]:
        before = self._item(1) if self._cycle else None
        committed = {"type": "input_audio_buffer.committed", "previous_item_id": before, "item_id": item}
        return [committed, self._item_event("added", item)]

    def _item_event(self, what: str, item: str) -> Json:
        content = [{"type": "input_audio", "transcript": None}]
        told = {"id": item, "type": "message", "status": "completed", "role": "user", "content": content}
        return {"type": f"conversation.item.{what}", "previous_item_id": None, "item": told}

    def _deltas(self, item: str) -> list[Json]:
        return [{"type": TEXT + "delta", "item_id": item, "content_index": 0, "delta": word} for word in WORDS]

    def _completed(self, item: str) -> Json:
        usage = {"type": "tokens", "total_tokens": 23, "input_tokens": 14, "output_tokens": 9}
        said = {"item_id": item, "content_index": 0, "transcript": "".join(WORDS), "usage": usage}
        return {"type": TEXT + "completed", **said}

    def _send(self, event: Json) -> None:
        self._events += 1
        event["event_id"] = f"event_{self._number:04}{self._events:08}"
        self._transport.send(WSMsgType.TEXT, json.dumps(event, separators=(",", ":")).encode())

    def report(self) -> Json:
        """Counts, the time of the first audio, and the marks found in what was kept."""
        told: Json = {"messages": self.messages, "appends": self.appends, "events": self._events}
        told["audio_ms"] = self.characters * 3 / 8 / WIRE_RATE * 1000
        told["first_audio_ns"] = self._first_audio
        if self._kept:
            told["marks"] = find_marks([(at, base64.b64decode(text)) for at, text in self._kept])
        return told


class Reporter(WSListener):  # type: ignore[misc]
    """Answers `/report`."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Say it all."""
        transport.send(WSMsgType.TEXT, json.dumps(self._book.report()).encode())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """The reader has it, and closes."""
        transport.send_close()
        transport.disconnect()


async def serve(book: Book) -> None:
    """Serve until standard input ends, which it does with the parent."""

    def accept(request: WSUpgradeRequest) -> WSListener:
        first = request.path.lstrip(b"/").split(b"/")[0]
        if first == b"report":
            return Reporter(book)
        return book.streams.setdefault(int(first), Stream(book, int(first)))

    server = await ws_create_server(accept, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.buffer.read)
    os._exit(0)


if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    if asked.get("core") is not None:
        os.sched_setaffinity(0, {asked["core"]})
    gc.disable()  # lives for a few seconds; a pause of its own would count as the client's latency
    asyncio.run(serve(Book(asked["cycle_ms"], asked["watch"])))
