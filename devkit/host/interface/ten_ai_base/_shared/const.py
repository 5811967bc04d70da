"""Names that ten_ai_base shares with the extensions built on it."""

DATA_IN_ASR_FINALIZE = "asr_finalize"
DATA_IN_TRIGGER_CONNECT = "trigger_connect"
DATA_OUT_ASR_FINALIZE_END = "asr_finalize_end"
DATA_OUT_METRICS = "metrics"

PROPERTY_KEY_METADATA = "metadata"
PROPERTY_KEY_SESSION_ID = "session_id"

LOG_CATEGORY_KEY_POINT = "key_point"
LOG_CATEGORY_VENDOR = "vendor"
LOG_CATEGORY_USAGE = "usage"
