"""Sans-I/O Realtime protocol: both ends of the wire, the audio ledger and the session.

No asyncio, sockets, clocks, randomness or TEN in here; what is not plain computation is an argument.
"""
