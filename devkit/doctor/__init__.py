"""What would keep a configuration from working, found out step by step: `openai-asr doctor`."""
