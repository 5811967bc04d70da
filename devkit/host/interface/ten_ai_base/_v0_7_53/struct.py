"""Results of speech recognition."""

from pydantic import BaseModel

from .._shared.struct import ASRResult, ASRWord

__all__ = ["ASRResult", "ASRResults", "ASRWord"]


class ASRResults(BaseModel, defer_build=True):
    """Several results in one."""

    results: list[ASRResult]
