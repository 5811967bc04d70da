"""TEN imports this folder as ten_packages.extension.openai_asr_python; only then is the addon registered.

A plain ``import openai_asr_python`` (the wheel) has no side effects and needs no TEN runtime.
"""

if __name__.startswith("ten_packages."):
    from . import addon as addon
