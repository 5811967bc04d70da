"""TEN's log calls end up in Python's logging, under ``ten``, with category, fields and the caller's place."""

from __future__ import annotations

import json
import logging
import threading

import pytest
from ten_runtime import App, AsyncExtension, AsyncExtensionTester, Data, LogLevel, LogOption, Value


class Stopper(AsyncExtensionTester):
    async def on_data(self, ten_env, data) -> None:
        ten_env.stop_test()


def test_records_keep_level_category_fields_node_and_place(register, run_single, caplog) -> None:
    class Logging(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            assert ten_env.log_debug("one 100%") is None
            ten_env.log_info("two", category="vendor", fields={"n": 1, "l": [True, None]})
            ten_env.log_warn("three", "key_point", Value.from_string("text"))
            ten_env.log(LogLevel.ERROR, "four")
            self.helper(ten_env)
            await ten_env.send_data(Data.create("done"))

        def helper(self, ten_env) -> None:
            ten_env.log_info("five", option=LogOption(skip=3))

    with caplog.at_level(logging.DEBUG, logger="ten"):
        run_single(Stopper, register("logging_one", Logging))
    records = {record.message: record for record in caplog.records if record.name == "ten"}
    assert [records[text].levelname for text in ("one 100%", "two", "three", "four")] == [
        "DEBUG",
        "INFO",
        "WARNING",
        "ERROR",
    ]
    assert (records["two"].category, records["two"].fields) == ("vendor", {"n": 1, "l": [True, "None"]})
    assert (records["three"].category, records["three"].fields) == ("key_point", "text")
    assert (records["one 100%"].category, records["one 100%"].fields) == (None, None)
    assert {record.ten_extension for record in records.values()} == {"logging_one"}
    assert (records["one 100%"].funcName, records["four"].funcName) == ("on_start", "on_start")
    assert records["five"].funcName == "on_start", "skip=3 names the caller's caller"


def test_logging_works_from_any_thread(register, run_single, caplog) -> None:
    class Logging(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            thread = threading.Thread(target=ten_env.log_info, args=("from a thread",))
            thread.start()
            thread.join()
            await ten_env.send_data(Data.create("done"))

    with caplog.at_level(logging.INFO, logger="ten"):
        run_single(Stopper, register("threaded", Logging))
    assert "from a thread" in caplog.messages


def test_a_message_must_be_text(register, run_single) -> None:
    class Logging(AsyncExtension):
        async def on_start(self, ten_env) -> None:
            with pytest.raises(TypeError, match="str, not int"):
                ten_env.log_info(5)
            await ten_env.send_data(Data.create("done"))

    run_single(Stopper, register("wrong", Logging))


def test_the_apps_log_configuration_sets_the_level() -> None:
    logger = logging.getLogger("ten")
    before = logger.level
    handlers = [{"matchers": [{"level": "warn"}, {"level": "error", "category": "vendor"}]}]

    class Quiet(App):
        def on_configure(self, ten_env) -> None:
            ten_env.init_property_from_json(json.dumps({"ten": {"log": {"handlers": handlers}}}))
            ten_env.on_configure_done()

        def on_init(self, ten_env) -> None:
            levels.append(logger.level)
            ten_env.on_init_done()
            self.close()

    levels: list[int] = []
    try:
        Quiet().run(False)
    finally:
        logger.setLevel(before)
    assert levels == [logging.WARNING]
