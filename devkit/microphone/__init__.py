"""Live captions of what a microphone hears."""
