"""What all generations of ten_ai_base have in common."""
