"""Sans-I/O signal processing: formats, G.711, resampling, level and voice activity. No asyncio, sockets, clocks or TEN."""
