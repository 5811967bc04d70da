"""Servers that speak the Realtime transcription protocol each in their own way: one small adapter a file.

`base.py` is the seam and GA itself; `choice.py` has the list, and finds out which one a server speaks. Another dialect
is a file here with a subclass of `Dialect`, its line in `DIALECTS`, and a trace; `docs/dialects.md` says how.
"""
