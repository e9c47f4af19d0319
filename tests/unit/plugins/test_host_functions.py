"""The one gate to the host: permitted, counted, and an error where the signature has a place for one."""

from collections.abc import Callable
from typing import Any

import pytest

from prx.core.errors import BadRequestError
from prx.plugins.abi.wit import FuncType, ListType, OptionType, Prim, ResultType
from prx.plugins.calls import GuestError
from prx.plugins.host.functions import HostFunction, dispatch
from tests.support.calls import call_of

_FALLIBLE = ResultType(Prim.BOOL, Prim.STRING)


def function(run: Callable[..., Any], result: Any = None, interface: str = "kv") -> HostFunction:
    return HostFunction(interface, "get", FuncType((("key", Prim.STRING),), result), run)


def fail(_call: object, _key: str) -> None:
    raise BadRequestError("a key has 1 to 512 bytes")


def test_what_is_permitted_runs_and_is_counted() -> None:
    call = call_of(permissions=("kv",))
    assert dispatch(function(lambda _call, key: key * 2, OptionType(Prim.STRING)), call, ["ab"]) == "abab"
    assert dispatch(function(lambda _call, _key: True, _FALLIBLE), call, ["a"]) == {"ok": True}
    assert dispatch(function(lambda _call, _key: None), call, ["a"]) is None
    assert call.host_calls == 3
    assert call.owner.ledger.denials() == []


@pytest.mark.parametrize("interface", ["log", "config"])
def test_log_and_config_need_no_grant(interface: str) -> None:
    assert dispatch(function(lambda _call, key: key, interface=interface), call_of(), ["a"]) == "a"


def test_what_is_not_permitted_does_not_run_and_is_noted() -> None:
    call = call_of()
    never = function(lambda _call, _key: pytest.fail("ran"), ListType(Prim.STRING))
    for _ in range(2):
        with pytest.raises(GuestError) as caught:
            dispatch(never, call, ["a"])
        assert caught.value.code == "permission_denied"
        assert "prx plugin grant weather kv" in caught.value.message
    [denial] = call.owner.ledger.denials()
    assert (denial.permission, denial.operation, denial.count) == ("kv", "kv.get", 2)
    assert denial.allow_with == (
        'add "kv" to [permissions] optional in plugin.toml, then: prx plugin grant weather kv'
    )
    assert call.host_calls == 2


def test_a_function_with_a_place_for_an_error_tells_the_guest() -> None:
    never = function(lambda _call, _key: pytest.fail("ran"), _FALLIBLE)
    denied = dispatch(never, call_of(), ["a"])
    assert list(denied) == ["err"]
    assert 'without the permission "kv"' in denied["err"]
    failed = dispatch(function(fail, _FALLIBLE), call_of(permissions=("kv",)), ["a"])
    assert failed == {"err": "a key has 1 to 512 bytes"}


def test_a_function_without_one_ends_the_call() -> None:
    with pytest.raises(GuestError) as caught:
        dispatch(function(fail, OptionType(Prim.STRING)), call_of(permissions=("kv",)), ["a"])
    assert (caught.value.code, caught.value.message) == ("host_error", "kv.get: a key has 1 to 512 bytes")
