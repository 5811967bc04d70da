"""What the vendor objects to reaches the graph as an error, with the vendor's words and without the key."""

from __future__ import annotations

import json

from acceptance import Bench, ReadClip, check_error
from asr_tester import Call

SESSION = "accept_vendor_error_1"


def test_the_vendors_objection_is_an_error_of_the_right_types(bench: Bench, server: None, clip: ReadClip) -> None:
    async def scenario(call: Call) -> None:
        await bench.speak(call, clip("en"), SESSION)
        await call.until("an error", lambda: call.errors)

    properties = bench.config("invalid")
    call = bench.run(properties, scenario)
    check_error(call.errors[0])
    assert call.errors[0]["vendor_info"]["message"] and call.errors[0]["vendor_info"]["code"]
    said = json.dumps([message.payload for message in call.messages])
    assert properties["params"]["api_key"] not in said
