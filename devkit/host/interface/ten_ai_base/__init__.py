"""Stand-in for the part of ten_ai_base that a speech-to-text extension touches, in one of three generations."""

from .asr import AsyncASRBaseExtension
from .audio_buffer_manager import AudioBufferManager
from .dumper import Dumper
from .message import ModuleType
from .reconnect_manager import ReconnectManager

__all__ = ["AsyncASRBaseExtension", "AudioBufferManager", "Dumper", "ModuleType", "ReconnectManager"]
