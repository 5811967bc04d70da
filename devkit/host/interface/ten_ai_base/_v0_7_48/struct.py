"""Results of speech recognition."""

from .._shared.struct import ASRResult, ASRWord

__all__ = ["ASRResult", "ASRWord"]
