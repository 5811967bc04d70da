"""asr-interface.json of 0.7.48: the status of a connection is strings throughout."""

from .._shared.interface import OBJECT, STRING, asr_interface, message, object_of

_STATUS = message(
    "connection_status_changed",
    id=STRING,
    module=STRING,
    vendor=STRING,
    current=STRING,
    last=STRING,
    code=STRING,
    message=STRING,
    metadata=object_of(session_id=STRING, vendor_metadata=OBJECT),
)

INTERFACES = {"asr-interface.json": asr_interface({}, [_STATUS])}
