"""How an extension's properties come about and how it reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ten_runtime import AsyncExtension, AsyncExtensionTester, Data, HostError, TenError, TenErrorCode


class Ready(AsyncExtension):
    """Tells the tester when its on_init is over: a test stopped earlier skips it."""

    async def on_start(self, ten_env) -> None:
        await ten_env.send_data(Data.create("ready"))


class Reader(Ready):
    """Keeps all its properties, as read in on_init, in a class attribute."""

    seen: dict[str, Any]

    async def on_init(self, ten_env) -> None:
        text, error = await ten_env.get_property_to_json("")
        assert error is None
        type(self).seen = json.loads(text)


class Stopper(AsyncExtensionTester):
    async def on_data(self, ten_env, data) -> None:
        ten_env.stop_test()


def test_contract_deep_merge_over_the_shipped_properties(register, run_single) -> None:
    shipped = {"params": {"api_key": "", "list": [1, 2], "deep": {"kept": 1, "changed": 1}}, "dump": False}
    name = register("reader", Reader, properties=shipped)
    run_single(Stopper, name, {"params": {"list": [3], "deep": {"changed": 2}}, "dump": {"now": "object"}})
    assert Reader.seen == {
        "params": {"api_key": "", "list": [3], "deep": {"kept": 1, "changed": 2}},
        "dump": {"now": "object"},
    }


def test_contract_placeholders(register, run_single, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOST_TEST_SET", "value")
    monkeypatch.setenv("HOST_TEST_EMPTY", "")
    monkeypatch.delenv("HOST_TEST_UNSET", raising=False)
    run_single(
        Stopper,
        register("reader", Reader, properties={"shipped": "${env:HOST_TEST_SET|}"}),
        {
            "set": "${env:HOST_TEST_SET}",
            "empty": "${env:HOST_TEST_EMPTY|default}",
            "default": "${env:HOST_TEST_UNSET|a:b|c}",
            "no_default_text": "${env:HOST_TEST_UNSET|}",
            "number": ["${env:HOST_TEST_UNSET|5}"],
            "part": "x ${env:HOST_TEST_SET}",
            "two": "${env:HOST_TEST_SET}${env:HOST_TEST_SET}",
            "escaped": "${env:HOST_TEST_UNSET|a\\|b\\}c}",
            "plain": "${not a placeholder}",
        },
    )
    assert Reader.seen == {
        "shipped": "value",
        "set": "value",
        "empty": "",
        "default": "a:b|c",
        "no_default_text": "",
        "number": ["5"],
        "part": "x ${env:HOST_TEST_SET}",
        "two": "${env:HOST_TEST_SET}${env:HOST_TEST_SET}",
        "escaped": "a|b}c",
        "plain": "${not a placeholder}",
    }


def test_a_placeholder_without_value_and_default_ends_the_run_and_names_the_variable(register, monkeypatch) -> None:
    monkeypatch.delenv("HOST_TEST_UNSET", raising=False)
    hooks: list[str] = []

    class Recorder(AsyncExtension):
        async def on_init(self, ten_env) -> None:
            hooks.append("init")

        async def on_stop(self, ten_env) -> None:
            hooks.append("stop")

    tester = AsyncExtensionTester()
    tester.set_test_mode_single(register("recorder", Recorder), '{"params": {"key": "${env:HOST_TEST_UNSET}"}}')
    with pytest.raises(HostError, match=r"params\.key: environment variable HOST_TEST_UNSET is not set"):
        tester.run()
    assert hooks == []


def test_an_unknown_placeholder_scope_is_an_error(register) -> None:
    tester = AsyncExtensionTester()
    tester.set_test_mode_single(register("reader", Reader), '{"key": "${evn:HOME}"}')
    with pytest.raises(HostError, match="the only scope is env"):
        tester.run()


def test_properties_given_in_on_configure_replace_the_file(register, run_single) -> None:
    class Configured(Reader):
        async def on_configure(self, ten_env) -> None:
            assert await ten_env.init_property_from_json('{"own": {"a": 1}}') is None

    run_single(Stopper, register("configured", Configured, properties={"file": 1, "own": {"b": 2}}), {"own": {"c": 3}})
    assert Configured.seen == {"own": {"a": 1, "c": 3}}


def test_initial_properties_have_their_time_in_on_configure(register, run_single) -> None:
    errors: list[TenError | None] = []

    class Late(Ready):
        async def on_init(self, ten_env) -> None:
            errors.append(await ten_env.init_property_from_json("{}"))

    run_single(Stopper, register("late", Late))
    assert errors[0] is not None and "on_configure" in errors[0].error_message()


def test_reading_and_writing_through_the_environment(register, run_single) -> None:
    results: dict[str, Any] = {}

    class Accessor(Ready):
        async def on_init(self, ten_env) -> None:
            results["int"] = await ten_env.get_property_int("a.i")
            results["float"] = await ten_env.get_property_float("a.f")
            results["bool"] = await ten_env.get_property_bool("a.b")
            results["string"] = await ten_env.get_property_string("a.s")
            results["exists"] = await ten_env.is_property_exist("a.i")
            results["missing"] = await ten_env.is_property_exist("a.x")
            results["wrong type"] = (await ten_env.get_property_float("a.i"))[1]
            results["absent"] = await ten_env.get_property_to_json("a.x")
            assert await ten_env.set_property_int("n.i", 2) is None
            assert await ten_env.set_property_bool("n.b", False) is None
            assert await ten_env.set_property_float("n.f", 0.5) is None
            assert await ten_env.set_property_string("n.s", "t") is None
            assert await ten_env.set_property_from_json("n.j", '[{"k": 1}]') is None
            results["bad json"] = await ten_env.set_property_from_json("n.j", "{")
            results["written"] = await ten_env.get_property_to_json("n")

    run_single(Stopper, register("accessor", Accessor), {"a": {"i": 1, "f": 2.0, "b": True, "s": "x"}})
    assert results["int"] == (1, None) and results["float"] == (2.0, None)
    assert results["bool"] == (True, None) and results["string"] == ("x", None)
    assert results["exists"] == (True, None) and results["missing"] == (False, None)
    assert results["wrong type"] is not None
    assert results["absent"][0] == "" and results["absent"][1] is not None
    assert results["bad json"].error_code() == TenErrorCode.ErrorCodeInvalidJSON
    assert results["written"] == ('{"i":2,"b":false,"f":0.5,"s":"t","j":[{"k":1}]}', None)


def test_properties_of_a_wrong_type_are_reported_and_kept(register, run_single, caplog) -> None:
    api = {"property": {"properties": {"rate": {"type": "int64"}}}}
    run_single(Stopper, register("reader", Reader, api=api), {"rate": "16000"})
    assert Reader.seen == {"rate": "16000"}
    assert [record.message for record in caplog.records if "invalid schema" in record.message] == [
        "invalid schema: property rate must be int64, not string"
    ]


def test_after_the_end_reading_is_an_error(register, run_single) -> None:
    class Keeper(Ready):
        async def on_init(self, ten_env) -> None:
            type(self).env = ten_env

    run_single(Stopper, register("keeper", Keeper), {"a": 1})
    value, error = Keeper.env._get("a")
    assert value is None and error.error_code() == TenErrorCode.ErrorCodeTenIsClosed
    error = Keeper.env.log_info("too late")
    assert error is not None and error.error_code() == TenErrorCode.ErrorCodeTenIsClosed
