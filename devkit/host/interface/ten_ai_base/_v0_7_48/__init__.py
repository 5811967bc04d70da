"""ten_ai_base 0.7.48: the first with a connection status; its codes are strings."""
