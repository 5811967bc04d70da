"""A process full of pocketsphinx decoders: reads requests from stdin, writes answers to stdout.

Run by path, in its own process, because a decoder holds Python's interpreter lock while it works: in a thread of
the server it would stop every socket for as long as a sentence takes. Hence no relative imports here.

Frame, both ways: kind (1 byte), utterance number (u32), length (u32), payload; little endian. Requests: S start
(JSON `{"cmn", "partials"}`), A audio (16 kHz mono s16le), F finish, X abandon. Answers, one to each request but X:
P the hypothesis so far (UTF-8), R the result (JSON), E what went wrong (UTF-8); and at the start one P or E.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import signal
import struct
import sys
from typing import Any, BinaryIO

HEADER = struct.Struct("<cII")
RATE = 16000
_WIDTH = 2
_FRAME_MS = 10

MAX_LIVE = 4
"Decoders that follow an utterance while it is spoken; each costs about 90 MB."
_WHOLE_SECONDS = 15.0
"""An utterance no longer than this is decoded again when it is over, as a whole, and that is its text.

Decoding audio as it comes has to guess the channel's mean (cepstral mean normalisation). On a speaker's first sentence
the guess doubles the wrong words, on telephone audio it triples them. Decoding again costs 0.09 s of CPU for a second
of audio; with more of it the speaker would wait too long, and the mean is learned by then.
"""
_KEEP_SECONDS = 60.0
"The last of an utterance for which no decoder is free; turns are shorter."

_VARIANT = re.compile(r"\(\d+\)$")


class Utterance:
    """What is known of one utterance."""

    def __init__(self, decoder: Any | None, partials: bool) -> None:
        self.decoder = decoder
        "None: too many speak at once, this one is decoded when it ends."
        self.partials = partials
        self.whole = True
        "Decode `audio` when it ends."
        self.audio = bytearray()


class Worker:
    """Serves utterances with a pool of decoders, one request at a time."""

    def __init__(self, output: BinaryIO) -> None:
        # By name, because the package has no types; here, because a failure must reach the parent.
        self._library: Any = importlib.import_module("pocketsphinx")
        self._output = output
        self._free: list[Any] = [self._make()]
        self._live = 0
        # A decoder that has once decoded audio as it came uses the guessed mean ever after: this one never does.
        self._whole: Any = None
        self._utterances: dict[int, Utterance] = {}
        self._default_cmn: str = self._free[0].get_cmn(False)

    def prepare(self) -> None:
        """Make what the first utterance would otherwise wait for when it ends."""
        self._whole = self._make()

    def handle(self, kind: bytes, number: int, payload: bytes) -> None:
        """Serve one request and answer it."""
        try:
            if kind == b"S":
                self._start(number, json.loads(payload))
                self.answer(b"P", number, b"")
            elif kind == b"A":
                self.answer(b"P", number, self._hear(self._utterances[number], payload).encode())
            elif kind == b"F":
                self.answer(b"R", number, json.dumps(self._finish(self._utterances.pop(number))).encode())
            elif kind == b"X":
                self._abandon(self._utterances.pop(number, None))
        except Exception as error:
            broken = self._utterances.pop(number, None)
            if broken is not None and broken.decoder is not None:
                self._live -= 1  # and its decoder is left to the garbage collector
            self.answer(b"E", number, f"{type(error).__name__}: {error}".encode())

    def answer(self, kind: bytes, number: int, payload: bytes) -> None:
        """Write one frame."""
        self._output.write(HEADER.pack(kind, number, len(payload)) + payload)
        self._output.flush()

    def _make(self) -> Any:
        return self._library.Decoder(samprate=RATE, loglevel="FATAL", logfn=os.devnull)

    def _start(self, number: int, request: dict[str, Any]) -> None:
        decoder = None
        if self._live < MAX_LIVE:
            decoder = self._free.pop() if self._free else self._make()
            decoder.set_cmn(request["cmn"] or self._default_cmn)
            decoder.start_utt()
            self._live += 1
        self._utterances[number] = Utterance(decoder, request["partials"])

    def _hear(self, utterance: Utterance, pcm: bytes) -> str:
        if utterance.whole:
            utterance.audio += pcm
        if utterance.decoder is None:
            del utterance.audio[: -int(_KEEP_SECONDS * RATE) * _WIDTH]
            return ""
        if utterance.whole and len(utterance.audio) > _WHOLE_SECONDS * RATE * _WIDTH:
            utterance.whole = False
            utterance.audio.clear()
        utterance.decoder.process_raw(pcm, False, False)
        hypothesis = utterance.decoder.hyp() if utterance.partials else None
        return _plain(hypothesis.hypstr) if hypothesis is not None else ""

    def _finish(self, utterance: Utterance) -> dict[str, Any]:
        live = self._take_back(utterance)
        if live is not None:
            self._free.append(live)
        if not utterance.whole:
            return _result(live)
        # Should it break, it is not used again.
        decoder, self._whole = self._whole or self._make(), None
        decoder.start_utt()
        if utterance.audio:
            decoder.process_raw(bytes(utterance.audio), False, True)
        decoder.end_utt()
        self._whole = decoder
        return _result(decoder)

    def _abandon(self, utterance: Utterance | None) -> None:
        decoder = self._take_back(utterance) if utterance is not None else None
        if decoder is not None:
            self._free.append(decoder)

    def _take_back(self, utterance: Utterance) -> Any | None:
        """The utterance's decoder, ready for the next one."""
        decoder, utterance.decoder = utterance.decoder, None
        if decoder is not None:
            self._live -= 1
            decoder.end_utt()
        return decoder


def _plain(hypothesis: str) -> str:
    return " ".join(_VARIANT.sub("", word) for word in hypothesis.split())


def _result(decoder: Any) -> dict[str, Any]:
    hypothesis = decoder.hyp()
    cmn = decoder.get_cmn(False)
    if hypothesis is None or not hypothesis.hypstr:
        return {"text": "", "words": [], "confidence": None, "cmn": cmn}
    words, confidences = [], []
    for segment in decoder.seg():
        word = _VARIANT.sub("", segment.word)
        if word[0] in "<[+":
            continue  # silence and noises
        frames = segment.end_frame + 1 - segment.start_frame
        words.append([word, segment.start_frame * _FRAME_MS, frames * _FRAME_MS])
        confidences.append(segment.prob)
    confidence = sum(confidences) / len(confidences) if confidences else None
    return {"text": _plain(hypothesis.hypstr), "words": words, "confidence": confidence, "cmn": cmn}


def main() -> None:
    """Serve until stdin ends."""
    # Ctrl-C is for the parent, who may still want to hear the end of what was said.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Our neighbours in this folder are no top-level modules.
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != here]
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    # Whatever the library prints must not end up between our frames.
    sys.stdout = sys.stderr
    try:
        worker = Worker(answers)
    except Exception as error:
        message = f"{type(error).__name__}: {error}".encode()
        answers.write(HEADER.pack(b"E", 0, len(message)) + message)
        answers.flush()
        return
    worker.answer(b"P", 0, b"")
    worker.prepare()
    while True:
        header = requests.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        kind, number, length = HEADER.unpack(header)
        worker.handle(kind, number, requests.read(length))


if __name__ == "__main__":
    main()
