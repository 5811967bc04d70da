"""The dump is the raw input, byte for byte, from the first frame; what goes wrong with it never costs the call."""

from __future__ import annotations

import stat
import wave
from pathlib import Path

import pytest
from asr_tester import Call, Json, make_frame, node, run_call
from tone_script import ToneScript, stereo
from wire_servers import dead_port

SPEECH = ToneScript().pause(100).say(5, ms=300).pause(100).pcm


async def one_turn(call: Call) -> None:
    await call.send(SPEECH)
    await call.finalize("f1")
    await call.answer("f1")


def dumping(url: str, path: Path, **params: object) -> Json:
    return node(url, top={"dump": True, "dump_path": str(path)}, **params)


def test_a_directory_gets_one_file_with_exactly_the_input(serve, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there yet"
    call = run_call(dumping(serve().url, folder), one_turn)
    assert call.texts == ["b5"]
    (file,) = folder.iterdir()
    assert file.suffix == ".pcm" and file.read_bytes() == SPEECH
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_each_call_has_a_file_of_its_own(serve, tmp_path: Path) -> None:
    url = serve().url
    for _ in range(2):
        run_call(dumping(url, tmp_path), one_turn)
    files = list(tmp_path.iterdir())
    assert len(files) == 2 and all(file.read_bytes() == SPEECH for file in files)


@pytest.mark.parametrize("frame_bytes", [1, 321, 5000])
def test_frames_of_any_size_are_recorded_as_they_came(serve, tmp_path: Path, frame_bytes: int) -> None:
    odd = SPEECH[:6001]

    async def scenario(call: Call) -> None:
        await call.send(odd, frame_bytes=frame_bytes)
        await call.finalize("f1")
        await call.answer("f1")

    run_call(dumping(serve().url, tmp_path / "a.pcm"), scenario)
    assert (tmp_path / "a.pcm").read_bytes() == odd


@pytest.mark.parametrize("connection", ["refused", "not started"])
def test_the_input_is_recorded_while_nothing_is_connected(tmp_path: Path, connection: str) -> None:
    with dead_port() as url:
        properties = dumping(url, tmp_path / "a.pcm", finalize_timeout_ms=200)
        properties["auto_connect"] = connection == "refused"
        run_call(properties, one_turn)
    assert (tmp_path / "a.pcm").read_bytes() == SPEECH


def test_it_is_the_input_and_not_what_is_sent(serve, tmp_path: Path) -> None:
    """48 kHz stereo in; nothing resampled, nothing mixed, no silence of ours in the file."""
    pcm = stereo(ToneScript(48_000).say(5, ms=300).pause(100).pcm)

    async def scenario(call: Call) -> None:
        await call.send(pcm, rate=48_000, channels=2)
        await call.finalize("f1")
        await call.answer("f1")

    server = serve()
    call = run_call(dumping(server.url, tmp_path / "a.wav", turns="server_vad"), scenario)
    assert call.texts == ["b5"]
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (48_000, 2, 2)
        assert file.readframes(file.getnframes()) == pcm


def test_frames_that_cannot_be_read_are_recorded_all_the_same(serve, tmp_path: Path) -> None:
    async def scenario(call: Call) -> None:
        frame = make_frame(SPEECH[:640], '{"session_id": "x"}')
        frame.set_bytes_per_sample(4)
        await call.send_frame(frame)
        await call.error("bytes per sample")

    run_call(dumping(serve().url, tmp_path / "a.pcm"), scenario)
    assert (tmp_path / "a.pcm").read_bytes() == SPEECH[:640]


def dump_warnings(call: Call) -> list[str]:
    said = (record for record in call.logs if record.getMessage().startswith("dump: "))
    return [record.getMessage() for record in said if record.levelname == "WARNING"]


@pytest.mark.parametrize("path", ["/proc/no/such/place", "file/in.pcm", "nul\0byte"])
def test_a_path_that_cannot_be_written_costs_the_dump_and_not_the_call(serve, tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    call = run_call(dumping(serve().url, tmp_path / path), one_turn)
    assert call.texts == ["b5"] and not call.errors
    (warning,) = dump_warnings(call)
    assert "not recorded" in warning


def test_a_recording_ends_at_its_size_and_the_call_goes_on(serve, tmp_path: Path) -> None:
    long = bytes(700_000)

    async def scenario(call: Call) -> None:
        await call.send(long, frame_bytes=32_000)
        await call.send(long, frame_bytes=32_000)
        await one_turn(call)

    properties = dumping(serve().url, tmp_path / "a.pcm")
    properties["dump_max_mb"] = 1
    call = run_call(properties, scenario)
    assert call.texts == ["b5"]
    recorded = (tmp_path / "a.pcm").read_bytes()
    assert recorded == (long + long + SPEECH)[: len(recorded)] and 900_000 < len(recorded) <= 1024 * 1024
    (warning,) = dump_warnings(call)
    assert f"{len(recorded)} bytes" in warning and "dump_max_mb" in warning
