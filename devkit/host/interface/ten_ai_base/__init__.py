"""Stand-in for the part of ten_ai_base that a speech-to-text extension touches, in one of three generations."""

from ._generation import GENERATION
from .asr import AsyncASRBaseExtension
from .audio_buffer_manager import AudioBufferManager
from .dumper import Dumper
from .message import ModuleType
from .reconnect_manager import ReconnectManager

__all__ = ["GENERATION", "AsyncASRBaseExtension", "AudioBufferManager", "Dumper", "ModuleType", "ReconnectManager"]
