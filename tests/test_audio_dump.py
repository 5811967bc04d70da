"""The dump holds the input byte for byte, or an exact beginning of it, and never disturbs the call."""

from __future__ import annotations

import io
import os
import stat
import struct
import subprocess
import sys
import threading
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from ten_packages.extension.openai_asr_python import audio_dump
from ten_packages.extension.openai_asr_python.audio_dump import AudioDump

ROOT = Path(__file__).resolve().parent.parent


class Recorder:
    """Makes dumps and keeps what they say."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.infos: list[str] = []
        self.threads: set[int] = set()
        self.dumps: list[AudioDump] = []

    def __call__(
        self, path: Path | str, *, max_mb: int = 8, rate: int = 16_000, channels: int = 1, encoding: str = "pcm16"
    ) -> AudioDump:
        dump = AudioDump(
            str(path),
            max_mb,
            rate=rate,
            channels=channels,
            encoding=encoding,
            on_problem=self._problem,
            on_info=self.infos.append,
        )
        self.dumps.append(dump)
        return dump

    def _problem(self, text: str) -> None:
        self.problems.append(text)
        self.threads.add(threading.get_ident())


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    recorder = Recorder()
    yield recorder
    for dump in recorder.dumps:
        dump.close(10)


def frames(count: int, size: int = 640) -> list[bytes]:
    return [bytes((number * 7 + i) % 256 for i in range(size)) for number in range(count)]


def finish(dump: AudioDump) -> bytes:
    dump.close(10)
    assert dump.file is not None
    return dump.file.read_bytes()


class SlowDisk:
    """Stands between the dump and its files: holds writes back, lets them fail, or takes little at a time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, room: int | None = None, at_most: int | None = None) -> None:
        self.go = threading.Event()
        self.once = threading.Semaphore(0)
        "Lets one write pass while `go` is not set."
        self.waiting = threading.Event()
        self.room = room
        self.at_most = at_most
        disk = self

        class File(io.FileIO):
            def write(self, data: memoryview) -> int:  # type: ignore[override]
                disk.waiting.set()
                assert disk.go.is_set() or disk.once.acquire(timeout=20)
                if disk.at_most is not None:
                    data = memoryview(data)[: disk.at_most]
                if disk.room is not None:
                    data = memoryview(data)[: max(0, disk.room - self.tell())]
                    if not data:
                        raise OSError(28, "No space left on device")
                return super().write(data)

        def fdopen(descriptor: int, mode: str, buffering: int) -> io.FileIO:
            assert (mode, buffering) == ("wb", 0)
            return File(descriptor, mode)

        monkeypatch.setattr(audio_dump.os, "fdopen", fdopen)

    def release(self) -> None:
        """Hold nothing back from now on."""
        self.go.set()
        self.once.release(1_000)


def test_a_directory_gets_a_pcm_file_with_the_input_byte_for_byte(tmp_path: Path, recorder: Recorder) -> None:
    folder = tmp_path / "made" / "on the way"
    dump = recorder(folder)
    assert dump.open() and dump.active
    sent = [*frames(100), b"", b"\x01", *frames(3, 303)]
    for frame in sent:
        dump.write(frame)
    assert finish(dump) == b"".join(sent)
    assert [path.suffix for path in folder.iterdir()] == [".pcm"]
    assert dump.file is not None and recorder.infos == [f"the input is recorded to {dump.file}"]
    assert not recorder.problems and not dump.active


def test_two_calls_in_one_directory_never_share_a_file(tmp_path: Path, recorder: Recorder) -> None:
    dumps = [recorder(tmp_path) for _ in range(12)]
    for number, dump in enumerate(dumps):
        assert dump.open()
        dump.write(bytes([number]) * 10)
    assert [finish(dump) for dump in dumps] == [bytes([number]) * 10 for number in range(12)]
    assert len({dump.file for dump in dumps}) == 12


def test_a_file_name_is_taken_at_its_word_and_nothing_is_overwritten(tmp_path: Path, recorder: Recorder) -> None:
    wanted = tmp_path / "call.pcm"
    for number, name in enumerate(["call.pcm", "call-1.pcm", "call-2.pcm"]):
        dump = recorder(wanted)
        dump.open()
        dump.write(bytes([number]))
        assert finish(dump) == bytes([number]) and dump.file == tmp_path / name
    assert wanted.read_bytes() == b"\0"
    assert recorder.infos[1].endswith("call-1.pcm"), "the user is told where to look"


def test_an_existing_directory_may_be_called_like_a_file(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "dumps.pcm").mkdir()
    dump = recorder(tmp_path / "dumps.pcm")
    assert dump.open() and dump.file is not None and dump.file.parent.name == "dumps.pcm"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_only_the_owner_may_read_it(tmp_path: Path, recorder: Recorder) -> None:
    previous = os.umask(0)
    try:
        dump = recorder(tmp_path / "call.wav")
        dump.open()
    finally:
        os.umask(previous)
    finish(dump)
    assert dump.file is not None and stat.S_IMODE(dump.file.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_planted_link_is_not_followed(tmp_path: Path, recorder: Recorder) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "call.pcm").symlink_to(victim)
    dump = recorder(tmp_path / "call.pcm")
    dump.open()
    dump.write(b"audio")
    assert finish(dump) == b"audio" and victim.read_bytes() == b"precious"


def test_wav_is_read_by_the_standard_library(tmp_path: Path, recorder: Recorder) -> None:
    dump = recorder(tmp_path / "call.WAV", rate=48_000, channels=2)
    dump.open()
    sent = frames(50)
    for frame in sent:
        dump.write(frame)
    finish(dump)
    with wave.open(str(dump.file)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 2, 2)
        assert file.getnframes() == 50 * 640 // 4
        assert file.readframes(10**6) == b"".join(sent)


@pytest.mark.parametrize(("encoding", "tag"), [("g711_alaw", 6), ("g711_ulaw", 7)])
def test_wav_of_g711_names_its_codec(encoding: str, tag: int, tmp_path: Path, recorder: Recorder) -> None:
    """Format, `fact` and `data` chunk by the book, sizes and the pad byte after odd data included."""
    dump = recorder(tmp_path / "call.wav", rate=8_000, encoding=encoding)
    dump.open()
    dump.write(bytes(range(161)))
    data = finish(dump)
    assert len(data) == 12 + 26 + 12 + 8 + 162
    assert struct.unpack("<4sI4s", data[:12]) == (b"RIFF", len(data) - 8, b"WAVE")
    assert struct.unpack("<4sIHHIIHHH", data[12:38]) == (b"fmt ", 18, tag, 1, 8_000, 8_000, 1, 8, 0)
    assert struct.unpack("<4sII", data[38:50]) == (b"fact", 4, 161)
    assert struct.unpack("<4sI", data[50:58]) == (b"data", 161)
    assert data[58:] == bytes(range(161)) + b"\0"


def test_the_header_names_the_format_of_the_first_frame(tmp_path: Path, recorder: Recorder) -> None:
    """Configured 16 kHz mono, but the frames say 8 kHz stereo; a change in mid-call cannot be in one header."""
    dump = recorder(tmp_path / "call.wav")
    dump.open()
    dump.set_format(8_000, 2, "pcm16")
    dump.write(bytes(8))
    dump.set_format(44_100, 1, "pcm16")
    dump.write(bytes(4))
    finish(dump)
    with wave.open(str(dump.file)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getnframes()) == (8_000, 2, 3)


def test_an_empty_call_leaves_a_valid_file(tmp_path: Path, recorder: Recorder) -> None:
    dump = recorder(tmp_path / "call.wav")
    dump.open()
    finish(dump)
    with wave.open(str(dump.file)) as file:
        assert file.getnframes() == 0


def test_a_killed_process_leaves_what_was_written_readable(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    script = (
        "import os, runpy, sys, importlib, time\n"
        f"package = runpy.run_path({str(ROOT / 'devkit' / 'host' / 'loader.py')!r})['load_extension']()\n"
        "module = importlib.import_module(package.__name__ + '.audio_dump')\n"
        f"dump = module.AudioDump({str(path)!r}, 8, rate=16000, channels=1, encoding='pcm16', on_problem=print)\n"
        "dump.open()\n"
        "dump.write(b'ab' * 40_000)\n"
        "end = time.monotonic() + 20\n"
        "while dump.file.stat().st_size < 44 + 80_000 and time.monotonic() < end: time.sleep(0.01)\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 9
    with wave.open(str(path)) as file:
        assert file.getframerate() == 16_000
        assert file.readframes(10**6) == b"ab" * 40_000


@pytest.mark.parametrize("where", ["under/a file.txt/x", "bad\0name.pcm"])
def test_a_path_that_cannot_be_written_costs_the_dump_not_the_call(
    where: str, tmp_path: Path, recorder: Recorder
) -> None:
    (tmp_path / "under").mkdir()
    (tmp_path / "under" / "a file.txt").write_bytes(b"")
    dump = recorder(f"{tmp_path}/{where}")
    assert not dump.open()
    for frame in frames(3):
        dump.write(frame)
    dump.close()
    assert len(recorder.problems) == 1 and "the input is not recorded" in recorder.problems[0]
    assert not dump.active and not recorder.infos


def test_the_size_limit_ends_it_at_a_frame(tmp_path: Path, recorder: Recorder) -> None:
    dump = recorder(tmp_path, max_mb=1)
    dump.open()
    sent = frames(20, 100_000)
    for frame in sent:
        dump.write(frame)
    assert not dump.active
    assert finish(dump) == b"".join(sent[:10])
    (problem,) = recorder.problems
    assert problem.endswith("ends after 1000000 bytes: the next frame would exceed dump_max_mb = 1")


def test_a_disk_that_does_not_keep_up_costs_bounded_memory_and_leaves_a_prefix(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    dump = recorder(tmp_path, max_mb=1_000)
    dump.open()
    frame = os.urandom(1_000_000)
    dump.write(frame)
    assert disk.waiting.wait(20)
    for _ in range(30):
        dump.write(frame)
    assert not dump.active and len(recorder.problems) == 1 and "does not keep up" in recorder.problems[0]
    disk.release()
    kept = finish(dump)
    assert kept == frame * (audio_dump.MAX_QUEUED // len(frame)), "16 MiB in all, the piece being written included"
    assert len(recorder.problems) == 1


def test_what_is_still_queued_counts_after_a_write_has_passed(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    dump = recorder(tmp_path, max_mb=1_000)
    dump.open()
    dump.write(bytes(1_000_000))
    assert disk.waiting.wait(20)
    dump.write(bytes(12_000_000))
    disk.waiting.clear()
    disk.once.release()
    assert disk.waiting.wait(20), "the second write is under way"
    dump.write(bytes(4_000_000))
    assert dump.active
    dump.write(bytes(4_000_000))
    assert not dump.active and "ends after 17000000 bytes" in recorder.problems[0]
    disk.release()
    assert len(finish(dump)) == 17_000_000


def test_a_full_disk_leaves_an_exact_prefix_and_one_warning(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch, room=100_001)
    disk.go.set()
    dump = recorder(tmp_path)
    dump.open()
    sent = b"".join(frames(400))
    dump.write(sent[:200_000])
    dump.write(sent[200_000:])
    assert finish(dump) == sent[:100_001]
    dump.write(b"after the end")
    (problem,) = recorder.problems
    assert "ends after 100001 bytes" in problem and "No space left" in problem
    assert recorder.threads == {threading.get_ident()}, "told on the caller's thread, not on the writer's"


def test_a_full_disk_still_gets_the_header_right(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch, room=44 + 2_000)
    disk.go.set()
    dump = recorder(tmp_path / "call.wav")
    dump.open()
    dump.write(b"xy" * 5_000)
    dump.close(10)
    with wave.open(str(dump.file)) as file:
        assert file.getnframes() == 1_000 and file.readframes(10**6) == b"xy" * 1_000


def test_short_writes_are_completed(tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = SlowDisk(monkeypatch, at_most=1_000)
    disk.go.set()
    dump = recorder(tmp_path / "call.wav")
    dump.open()
    sent = b"".join(frames(100))
    dump.write(sent)
    assert finish(dump)[44:] == sent and not recorder.problems


def test_closing_does_not_wait_for_a_stuck_disk(
    tmp_path: Path, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    dump = recorder(tmp_path)
    dump.open()
    dump.write(bytes(100_000))
    assert disk.waiting.wait(20)
    dump.close(0.01)
    assert len(recorder.problems) == 1 and "may lack its end" in recorder.problems[0]
    disk.release()


def test_use_out_of_order_is_harmless(tmp_path: Path, recorder: Recorder) -> None:
    never_opened = recorder(tmp_path)
    never_opened.write(b"x")
    never_opened.close()
    assert list(tmp_path.iterdir()) == [] and not recorder.problems
    dump = recorder(tmp_path)
    dump.open()
    dump.write(b"all")
    dump.close(10)
    dump.write(b" over")
    dump.close()
    assert finish(dump) == b"all"


def test_an_unknown_encoding_is_named(tmp_path: Path, recorder: Recorder) -> None:
    with pytest.raises(ValueError, match=r"encoding: 'opus' given, must be one of pcm16, g711_ulaw, g711_alaw"):
        recorder(tmp_path, encoding="opus")
