"""ten_ai_base as last read, shortly before 0.7.53: status with the vendor's words, `provide_features`."""
