"""Messages in one's hands: properties, typed getters, buffers, and their end by sending."""

from __future__ import annotations

import pytest
from ten_runtime import (
    AsyncExtension,
    AsyncExtensionTester,
    AudioFrame,
    AudioFrameDataFmt,
    Cmd,
    CmdResult,
    Data,
    Loc,
    PixelFmt,
    SendOptions,
    TenError,
    TenErrorCode,
    Value,
    ValueType,
    VideoFrame,
)


def test_contract_value_and_error_shapes() -> None:
    data = Data.create("d")
    assert data.set_property_from_json(None, '{"i": 7, "f": 1.5, "b": true, "s": "x", "o": {"l": [{"c": 3}]}}') is None
    assert data.get_property_int("i") == (7, None)
    assert data.get_property_float("f") == (1.5, None)
    assert data.get_property_bool("b") == (True, None)
    assert data.get_property_string("s") == ("x", None)
    assert data.get_property_int("o.l[0].c") == (3, None)
    assert data.get_property_to_json("o") == ('{"l":[{"c":3}]}', None)
    for getter, default in (
        (data.get_property_int, 0),
        (data.get_property_float, 0.0),
        (data.get_property_bool, False),
        (data.get_property_string, ""),
    ):
        value, error = getter("missing.path")
        assert value == default and isinstance(error, TenError) and error.error_message()
    assert data.get_property_to_json("missing")[0] == ""
    assert data.get_property_to_json("missing")[1] is not None


@pytest.mark.parametrize(
    ("getter", "path"),
    [
        ("get_property_int", "f"),
        ("get_property_int", "s"),
        ("get_property_int", "b"),
        ("get_property_float", "i"),
        ("get_property_bool", "i"),
        ("get_property_string", "i"),
        ("get_property_string", "n"),
    ],
)
def test_getters_take_exactly_their_type(getter: str, path: str) -> None:
    data = Data.create("d")
    data.set_property_from_json(None, '{"i": 7, "f": 7.0, "b": true, "s": "7", "n": null}')
    _, error = getattr(data, getter)(path)
    assert error is not None and path in error.error_message()


def test_bad_json_is_an_error_with_the_code_for_it() -> None:
    data = Data.create("d")
    for text in ("{", '{"a": NaN}', "[1]", '"x"'):
        error = data.set_property_from_json(None, text)
        assert error is not None and error.error_code() == TenErrorCode.ErrorCodeInvalidJSON
    assert data.set_property_from_json("list", "[1]") is None
    assert data.get_property_to_json("") == ('{"list":[1]}', None)


def test_setting_a_path_makes_what_is_missing_on_the_way() -> None:
    data = Data.create("d")
    assert data.set_property_string("a.b[1].c", "é") is None
    assert data.get_property_to_json() == ('{"a":{"b":[null,{"c":"é"}]}}', None)
    error = data.set_property_int("a[0]", 1)
    assert error is not None and "array" in error.error_message()


def test_the_whole_tree_is_replaced_without_a_path() -> None:
    data = Data.create("d")
    data.set_property_int("old", 1)
    data.set_property_from_json("", '{"new": 2}')
    assert data.get_property_to_json() == ('{"new":2}', None)


def test_the_reserved_name_is_readable_and_settable() -> None:
    data = Data.create("d")
    assert data.get_property_string("ten.name") == ("d", None)
    data.set_property_string("ten.name", "e")
    assert data.get_name() == "e"


def test_wrong_argument_types_raise() -> None:
    data = Data.create("d")
    with pytest.raises(TypeError, match="str"):
        data.set_property_string("a", 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="int"):
        data.set_property_int("a", 1.0)  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        data.set_property_int("a", 2**63)


@pytest.mark.parametrize("message", [Cmd, Data, AudioFrame, VideoFrame, CmdResult, TenError])
def test_messages_and_errors_are_made_by_create_only(message: type) -> None:
    with pytest.raises(NotImplementedError, match="create"):
        message()


def test_contract_buffer_lock_rules() -> None:
    frame = AudioFrame.create("pcm_frame")
    with pytest.raises(ValueError, match="positive"):
        frame.alloc_buf(0)
    with pytest.raises(RuntimeError, match="alloc_buf"):
        frame.lock_buf()
    with pytest.raises(SystemError):
        frame.get_buf()
    frame.alloc_buf(4)
    first, second = frame.lock_buf(), frame.lock_buf()
    first[:] = b"abcd"
    assert bytes(second) == b"abcd"
    with pytest.raises(ValueError, match="empty"):
        frame.unlock_buf(memoryview(b""))
    with pytest.raises(RuntimeError, match="start"):
        frame.unlock_buf(memoryview(bytearray(4)))
    with pytest.raises(RuntimeError, match="start"):
        frame.unlock_buf(first[1:])
    frame.unlock_buf(first[:2])
    frame.unlock_buf(second)
    with pytest.raises(RuntimeError, match="not locked"):
        frame.unlock_buf(first)


def test_contract_get_buf_returns_copies() -> None:
    data = Data.create("d")
    assert data.get_buf() == b""
    data.alloc_buf(2)
    copy = data.get_buf()
    copy[:] = b"zz"
    assert data.get_buf() == b"\0\0" and isinstance(copy, bytearray)


def test_frames_start_empty_and_keep_what_is_set() -> None:
    frame = AudioFrame.create("pcm_frame")
    assert (frame.get_sample_rate(), frame.get_number_of_channels(), frame.get_bytes_per_sample()) == (0, 0, 0)
    assert (frame.get_data_fmt(), frame.is_eof(), frame.get_timestamp()) == (AudioFrameDataFmt.INTERLEAVE, False, 0)
    frame.set_sample_rate(16000)
    frame.set_timestamp(12)
    frame.set_data_fmt(AudioFrameDataFmt.NON_INTERLEAVE)
    frame.set_samples_per_channel(160)
    frame.set_line_size(320)
    frame.set_eof(True)
    frame.alloc_buf(1)
    frame.set_property_string("a", "x")
    clone = frame.clone()
    frame.set_property_string("a", "y")
    assert (clone.get_sample_rate(), clone.get_timestamp(), clone.get_data_fmt()) == (16000, 12, 2)
    assert (clone.get_samples_per_channel(), clone.get_line_size(), clone.is_eof()) == (160, 320, True)
    assert clone.get_property_string("a") == ("x", None) and clone.get_buf() == b"\0"


def test_video_frames_keep_what_is_set() -> None:
    frame = VideoFrame.create("picture")
    frame.set_width(2)
    frame.set_height(1)
    frame.set_pixel_fmt(PixelFmt.RGBA)
    frame.alloc_buf(8)
    clone = frame.clone()
    assert (clone.get_width(), clone.get_height(), clone.get_pixel_fmt(), len(clone.get_buf())) == (2, 1, 2, 8)


def test_values_keep_their_type() -> None:
    value = Value.from_python({"a": [1, 2.5, True, "x", None]})
    assert value.get_type() is ValueType.OBJECT
    assert value.to_python() == {"a": [1, 2.5, True, "x", "None"]}
    assert Value.from_int(3).get_int() == (3, None)
    text, error = Value.from_int(3).get_string()
    assert text == "" and error is not None and error.error_code() == TenErrorCode.ErrorCodeInvalidType


def test_an_error_has_code_message_and_text() -> None:
    error = TenError.create(TenErrorCode.ErrorCodeTimeout, "late")
    assert (error.error_code(), error.error_message()) == (8, "late") and "late" in str(error)
    assert Loc().extension_name is None


class Quiet(AsyncExtension):
    pass


def test_contract_a_message_is_empty_after_it_was_sent(register, run_single) -> None:
    seen: list[str] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            data = Data.create("d")
            copy = data.clone()
            await ten_env.send_data(data)
            with pytest.raises(ValueError, match="invalidated"):
                data.get_name()
            with pytest.raises(ValueError, match="invalidated"):
                await ten_env.send_data(data)
            seen.append(copy.get_name())
            ten_env.stop_test()

    run_single(Tester, register("quiet", Quiet))
    assert seen == ["d"]


def test_a_message_with_a_locked_buffer_is_refused_and_lost(register, run_single) -> None:
    errors: list[TenError | None] = []

    class Tester(AsyncExtensionTester):
        async def on_start(self, ten_env) -> None:
            for options in (None, SendOptions(wait_for_result=True)):
                frame = AudioFrame.create("pcm_frame")
                frame.alloc_buf(2)
                frame.lock_buf()
                errors.append(await ten_env.send_audio_frame(frame, options))
                with pytest.raises(ValueError, match="invalidated"):
                    frame.get_name()
            ten_env.stop_test()

    tester = run_single(Tester, register("quiet", Quiet))
    assert errors[0] is None
    assert errors[1] is not None and errors[1].error_code() == TenErrorCode.ErrorCodeGeneric
    assert [drop.cause for drop in tester.dropped_messages] == ["buffer locked", "buffer locked"]
