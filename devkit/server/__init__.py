"""A local Realtime transcription server with recognisers chosen by name."""
