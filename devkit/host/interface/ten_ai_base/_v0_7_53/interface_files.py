"""asr-interface.json as the newest base needs it: the status has an integer code and the vendor's words."""

from .._shared.interface import INT64, OBJECT, STRING, asr_interface, message, object_of

_STATUS = message(
    "connection_status_changed",
    id=STRING,
    module=STRING,
    vendor_info=object_of(vendor=STRING, code=STRING, message=STRING),
    current=STRING,
    last=STRING,
    code=INT64,
    message=STRING,
    metadata=object_of(session_id=STRING, vendor_metadata=OBJECT),
)

INTERFACES = {"asr-interface.json": asr_interface({}, [_STATUS])}
