"""How much of what a session holds at most. `docs/memory.md` shows what that is in bytes; a test compares the two.

The audio itself is bounded by `replay_window_ms`. These bound what is known of it, for callers and servers that do
what no honest one does: thousands of turns without an answer, text without end.
"""

from __future__ import annotations

MAX_TURNS = 600
"Turns without a text: a window of 60 s cut every 100 ms, the least a server commits. The oldest one beyond is lost."
UNANSWERED_S = 300.0
"Audio that left the window this long ago and still waits for its text is lost: every answer is due much earlier."
MAX_REQUESTS = 64
"Finalize requests without an answer. The oldest one beyond is answered early; its text may still come, marked late."
MAX_TEXT = 64 * 1024
"Characters of one delta, one final, or all deltas of a turn: more than is said in an hour."
MAX_SEGMENTS = 2_000
"Segments with times of one turn."
MAX_SEGMENT_TEXT = 2_000
"Characters of one segment: some minutes of speech."
MAX_ID = 512
"Characters of an item's id."
MAX_EARLY = 64
"Messages with text for items nobody announced yet, per connection."
MAX_STRETCHES = 64
"From here on a connection's map lets go of stretches whose audio is settled,"
MAX_MAPPED = 4_000
"and from here on of the oldest: what a server says of them is read as if it were of the oldest one kept."
MAX_NOTED = 1_000
"Kinds of oddity, and causes of trouble, that are remembered as told."
