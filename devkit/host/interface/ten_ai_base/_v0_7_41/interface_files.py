"""asr-interface.json of 0.7.41."""

from .._shared.interface import OBJECT, asr_interface

INTERFACES = {"asr-interface.json": asr_interface({"params": OBJECT}, [])}
