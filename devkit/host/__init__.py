"""A small pure-Python host with the TEN API, used where the real runtime is not importable.

``interface/`` holds ``ten_runtime`` and ``ten_ai_base``; importing this package makes them importable.
"""

from .loader import ensure_runtime

ensure_runtime()
