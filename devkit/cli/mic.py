"""`openai-asr mic`: live captions in the terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType
from typing import cast

from ..microphone.captions import Captions
from ..microphone.device import Device
from ..microphone.file_device import FileDevice
from ..microphone.output import OutputFile
from ..microphone.portaudio import Microphone, choose, input_devices
from ..microphone.screen import AboveTheLine, Screen
from ..microphone.summary import summary
from ..transcription.audio_input import open_audio
from ..transcription.failure import DONE, FAILED, wrong_use
from ..transcription.graphs import own_graph
from ..transcription.service import reach
from .amounts import check_amount
from .display import Display
from .graph_options import GraphOptions


@dataclass(frozen=True, kw_only=True)
class MicRequest(GraphOptions):
    """The command line of `mic`."""

    device: str | None = None
    list_devices: bool = False
    file: str | None = None
    outputs: tuple[str, ...] = ()
    overwrite: bool = False
    seconds: float | None = None


def mic(request: MicRequest, display: Display) -> int:
    """Caption until Ctrl-C, SIGTERM or the end of the sound; returns the exit code. Raises CommandError."""
    if request.list_devices:
        print("\n".join(map(str, input_devices())))
        return DONE
    service = request.service()
    _check(request)
    outputs = [OutputFile(path, overwrite=request.overwrite) for path in request.outputs]
    if len({output.path for output in outputs}) < len(outputs):
        raise wrong_use("--output: the same file is named twice.")
    device = _device(request)
    graph = own_graph()
    request.ask(graph)
    screen = Screen()
    captions = Captions(device, screen, outputs, display)
    try:
        with reach(service, graph, display.notice):
            display.notice(f"Listening to {device.name}; Ctrl-C ends it.")
            with _logging_above(screen), _stopping(captions.stop):
                problem = captions.run(graph, seconds=request.seconds)
    finally:
        device.stop()
    if captions.feed is not None:
        display.notice(summary(captions.transcript, captions.feed, device.overflows))
    if problem is not None:
        display.error(f"{problem.rstrip('.')}.")
        return FAILED
    return DONE


def _check(request: MicRequest) -> None:
    check_amount("--seconds", request.seconds)
    if request.file is not None and request.device is not None:
        raise wrong_use("--file-as-mic takes the place of --device: leave one of them out.")


def _device(request: MicRequest) -> Device:
    if request.file is not None:
        return FileDevice(open_audio(request.file))
    return Microphone(choose(request.device))


@contextlib.contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM calls *stop*, any further one is a KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    told = False

    def tell(_number: int, _frame: FrameType | None) -> None:
        nonlocal told
        if told:
            raise KeyboardInterrupt
        told = True
        stop()

    before = [(number, signal.signal(number, tell)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging_above(screen: Screen) -> Iterator[None]:
    """Log lines go above the line that changes."""
    handlers = [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]
    before = [(handler, handler.stream) for handler in handlers]
    for handler, stream in before:
        handler.setStream(AboveTheLine(screen, cast(io.TextIOBase, stream)))
    try:
        yield
    finally:
        for handler, stream in before:
            handler.setStream(stream)
