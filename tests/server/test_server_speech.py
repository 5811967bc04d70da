"""Speech goes in at the local server's socket and its words come out."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
from server_clients import Client, client
from server_peers import VAD, word_errors
from ten_packages.extension.openai_asr_python.audio.g711 import encode_ulaw
from ten_packages.extension.openai_asr_python.audio.resample import Resampler
from ten_packages.extension.openai_asr_python.devkit.server.app import LocalServer

SENTENCES = [
    "the meeting starts at ten o'clock tomorrow morning",
    "they have been living in the same house for thirty years",
    "he opened the door and looked into the dark room",
]


async def dictate(peer: Client, samples: np.ndarray, encode: Any = None, commit: bool = False) -> str:
    """Send 16 kHz samples as fast as the server takes them; returns the text of all items."""
    rate = 8000 if encode else 24000
    wire = Resampler(16000, rate).process(samples).tobytes()
    for at in range(0, len(wire), rate // 5):
        piece = wire[at : at + rate // 5]
        data = base64.b64encode(encode(piece) if encode else piece).decode()
        await peer.send({"type": "input_audio_buffer.append", "audio": data})
    if commit:
        await peer.send({"type": "input_audio_buffer.commit"})
        return str((await peer.until("completed"))["transcript"])
    texts = {}
    while len(texts) < len(SENTENCES):
        event = await peer.until("completed")
        texts[event["item_id"]] = event["transcript"]
    order = [event["item_id"] for event in peer.events if event["type"].endswith("committed")]
    return " ".join(texts[item] for item in order)


@pytest.mark.parametrize(
    ("speaker", "wire"),
    [("kal16", "server turns"), ("slt", "server turns"), ("slt", "client turns"), ("kal16", "ulaw")],
)
async def test_speech_goes_in_and_words_come_out(voice, speaker: str, wire: str) -> None:
    pause = np.zeros(16000, np.int16)
    parts = [np.concatenate((pause[:8000], voice.say(sentence, speaker), pause)) for sentence in SENTENCES]
    reference = " ".join(SENTENCES)
    async with LocalServer(port=0) as server, client(server) as peer:
        if wire == "client turns":
            await peer.configure(transcription={"model": "gpt-live-transcribe"}, turn_detection=None)
            text = " ".join([await dictate(peer, part, commit=True) for part in parts])
        else:
            coding = {"type": "audio/pcmu"} if wire == "ulaw" else {"type": "audio/pcm", "rate": 24000}
            model = {"model": "gpt-4o-transcribe", "language": "en"}
            await peer.configure(format=coding, transcription=model, turn_detection=VAD)
            text = await dictate(peer, np.concatenate(parts), encode_ulaw if wire == "ulaw" else None)
    assert word_errors(reference, text) / len(reference.split()) <= 0.1, text
