"""Every kind of file that is promised, and one sentence for everything that is no audio."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from ten_packages.extension.openai_asr_python.devkit.transcription.audio_input import open_audio
from ten_packages.extension.openai_asr_python.devkit.transcription.failure import WRONG_USE, CommandError


def tone(rate: int, seconds: float, channels: int = 1) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return np.stack([0.5 * np.sin(2 * np.pi * (300 + 200 * n) * times) for n in range(channels)], axis=1)


def samples_of(name: str, block_ms: int = 100) -> np.ndarray:
    audio = open_audio(name)
    return np.frombuffer(b"".join(audio.blocks(block_ms)), "<i2").reshape(-1, audio.channels)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "subtype"),
    [
        ("a.wav", 8_000, 1, "PCM_16"),
        ("b.wav", 48_000, 2, "PCM_24"),
        ("c.wav", 8_000, 1, "ULAW"),
        ("d.wav", 16_000, 1, "FLOAT"),
        ("e.flac", 44_100, 2, "PCM_16"),
        ("f.ogg", 16_000, 1, "VORBIS"),
        ("g.mp3", 22_050, 1, "MPEG_LAYER_III"),
    ],
)
def test_formats(tmp_path: Path, name: str, rate: int, channels: int, subtype: str) -> None:
    path = str(tmp_path / name)
    expected = tone(rate, 1.5, channels)
    soundfile.write(path, expected, rate, subtype=subtype)
    audio = open_audio(path)
    assert (audio.sample_rate, audio.channels) == (rate, channels)
    assert audio.duration_ms == pytest.approx(1500, abs=80)
    heard = samples_of(path)[: len(expected)].astype(float) / 32768
    loss = heard - expected[: len(heard)]
    # MP3 shifts what it codes by its own delay: there only loudness can be compared.
    if subtype != "MPEG_LAYER_III":
        assert np.sqrt(np.mean(loss**2)) < 0.02
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.354, rel=0.05)


def test_16_bit_files_come_through_bit_by_bit(tmp_path: Path) -> None:
    values = np.array([0, 1, -1, 32767, -32768, 12345], dtype=np.int16)
    path = str(tmp_path / "exact.wav")
    soundfile.write(path, values, 16_000, subtype="PCM_16")
    assert samples_of(path).ravel().tolist() == values.tolist()


def test_what_is_louder_than_full_scale_is_clipped(tmp_path: Path) -> None:
    path = str(tmp_path / "loud.wav")
    soundfile.write(path, np.array([1.5, -1.5, 0.25], dtype=np.float32), 16_000, subtype="FLOAT")
    assert samples_of(path).ravel().tolist() == [32767, -32768, 8192]


def test_what_is_no_number_is_silence(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = str(tmp_path / "odd.wav")
    odd = np.array([np.nan, np.inf, -np.inf, 3e38, 0.25], dtype=np.float32)
    soundfile.write(path, odd, 16_000, subtype="FLOAT")
    assert samples_of(path).ravel().tolist() == [0, 32767, -32768, 32767, 8192]
    assert not recwarn.list


def test_the_size_of_blocks_changes_nothing(tmp_path: Path) -> None:
    # MP3 decoders that are made to seek between blocks give other samples.
    path = str(tmp_path / "x.mp3")
    soundfile.write(path, tone(16_000, 3.0), 16_000)
    whole = samples_of(path, 60_000)
    assert np.array_equal(samples_of(path, 20), whole)
    assert np.array_equal(samples_of(path, 170), whole)


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    content = io.BytesIO()
    soundfile.write(content, tone(16_000, 0.5), 16_000, format="FLAC")
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content.getvalue())))
    audio = open_audio("-")
    assert (audio.name, audio.duration_ms) == ("-", 500)
    assert sum(map(len, audio.blocks(100))) == 16_000


def refuse(name: str) -> str:
    with pytest.raises(CommandError) as caught:
        open_audio(name)
    assert caught.value.code == WRONG_USE
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    missing, folder, empty, text, raw = (str(tmp_path / n) for n in ("no.wav", "dir", "empty.wav", "t.wav", "x.raw"))
    Path(folder).mkdir()
    Path(empty).touch()
    Path(text).write_text("this is no audio at all, whatever its name says")
    Path(raw).write_bytes(bytes(1000))
    assert "no such file" in refuse(missing)
    assert "cannot be opened" in refuse(folder)
    assert "is empty" in refuse(empty)
    assert "not audio" in refuse(text)
    assert "not audio" in refuse(raw)


@pytest.mark.parametrize(
    ("rate", "channels", "seconds", "complaint"),
    [(16_000, 1, 0, "zero seconds"), (96_000, 1, 1, "96000"), (4_000, 1, 1, "4000"), (16_000, 9, 1, "9 channels")],
)
def test_audio_that_cannot_be_taken(tmp_path: Path, rate: int, channels: int, seconds: int, complaint: str) -> None:
    path = str(tmp_path / "x.wav")
    soundfile.write(path, np.zeros((rate * seconds, channels)), rate)
    assert complaint in refuse(path)


def test_a_damaged_file_says_where(tmp_path: Path) -> None:
    path = tmp_path / "x.flac"
    noise = np.random.default_rng(1).normal(0, 0.1, 64_000)
    soundfile.write(path, noise, 16_000)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    audio = open_audio(str(path))
    got = 0
    with pytest.raises(CommandError, match=r"damaged (1|2)\.\d s from its start"):
        for block in audio.blocks(100):
            got += len(block)
    assert got > 16_000


@pytest.mark.parametrize(("subtype", "standard_input"), [("PCM_16", False), ("ULAW", False), ("FLOAT", True)])
def test_a_wav_that_was_cut_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, subtype: str, standard_input: bool
) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(16_000, 4.0, 2), 16_000, subtype=subtype)
    content = path.read_bytes()[: path.stat().st_size // 2]
    path.write_bytes(content)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
    audio = open_audio("-" if standard_input else str(path))
    heard = b""
    with pytest.raises(CommandError, match=r"damaged 2\.0 s from its start, .*it says that it holds 4\.0 s"):
        for block in audio.blocks(100):
            heard += block
    assert len(heard) == pytest.approx(2 * 16_000 * 4, rel=0.01)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFF000, 64_044], ids=["0", "ffmpeg", "sox", "the file's"])
def test_a_wav_that_was_written_to_a_pipe_is_not_taken_for_cut(tmp_path: Path, size: int) -> None:
    """Whoever writes to a pipe cannot go back to say how long it became; others count the header in."""
    path = tmp_path / "x.wav"
    soundfile.write(path, tone(16_000, 2.0), 16_000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[at : at + 4] = size.to_bytes(4, "little")
    path.write_bytes(content)
    if size == 0:
        assert "zero seconds" in refuse(str(path))
    else:
        assert len(samples_of(str(path))) == 32_000
