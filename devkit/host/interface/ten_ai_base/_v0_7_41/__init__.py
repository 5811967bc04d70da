"""ten_ai_base 0.7.41: no connection status, and nothing of the vendor's in errors and metrics."""
