"""The openai-asr command line."""
