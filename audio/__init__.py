"""Sans-I/O signal processing: formats, G.711, resampling, level, voice activity, turns.

No asyncio, sockets, clocks or TEN; nothing of `realtime` either.
"""
