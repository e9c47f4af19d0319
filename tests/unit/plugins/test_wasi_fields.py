"""The resource `fields` of `wasi:http`, against a plain list of pairs."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target
from prx.plugins.calls import Call, GuestError
from prx.plugins.host.wasi.fields import FUNCTIONS, Fields
from prx.plugins.host.wasi.resources import Resources
from prx.runtime.egress.headers import checked_headers
from tests.support.calls import call_of

_RUN = {function.name.partition("]")[2].partition(".")[2]: function.run for function in FUNCTIONS}
_NAMES = st.sampled_from(["X-One", "x-one", "Accept", "accept", "a"])
_VALUES = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), max_size=5).map(str.encode)


def guest_call() -> Call:
    """Return a call whose guest can hold something."""
    call = call_of()
    instance: Any = SimpleNamespace(resources=Resources(0, lambda _line: None, lambda _line: None))
    call.instance = instance
    return call


def same(name: str, other: str) -> bool:
    return name.lower() == other.lower()


_STEPS = st.one_of(
    st.tuples(st.just("append"), _NAMES, _VALUES),
    st.tuples(st.just("set"), _NAMES, st.lists(_VALUES, max_size=3)),
    st.tuples(st.just("delete"), _NAMES),
)


@given(st.lists(_STEPS, max_size=20))
def test_fields_are_a_list_of_pairs_whose_names_have_no_case(steps: list[Any]) -> None:
    call, fields, pairs = guest_call(), Fields(), list[tuple[str, bytes]]()
    for kind, name, *value in steps:
        assert _RUN[kind](call, fields, name, *value) == {"ok": None}
        if kind != "append":
            pairs = [pair for pair in pairs if not same(pair[0], name)]
        pairs += [(name, each) for each in ([value[0]] if kind == "append" else value[0] if value else [])]
        assert _RUN["entries"](call, fields) == pairs
        assert _RUN["get"](call, fields, name) == [each for key, each in pairs if same(key, name)]
        assert _RUN["has"](call, fields, name) is any(same(key, name) for key, _ in pairs)
    assert _RUN["from-list"](call, [list(pair) for pair in pairs])["ok"].entries == pairs
    assert fields.size == sum(len(name) + len(value) for name, value in pairs)


@given(st.text(max_size=12), st.binary(max_size=12))
def test_what_fields_take_the_guard_sends_but_for_what_it_sets_itself(name: str, value: bytes) -> None:
    taken = _RUN["append"](guest_call(), fields := Fields(), name, value)
    target = Target.parse("https://example.com/")
    if "ok" in taken and name.lower() != "host":
        checked_headers(fields.as_text(), target)
    elif taken in ({"err": "forbidden"}, {"err": "invalid_syntax"}):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            return
        with pytest.raises(EgressRefusedError):
            checked_headers([(name, text)], target)


@pytest.mark.parametrize("kind", ["append", "set", "delete"])
def test_fixed_fields_do_not_change(kind: str) -> None:
    fields = Fields([("x", b"1")], fixed=True)
    value = {"append": [b"2"], "set": [[b"2"]], "delete": []}[kind]
    assert _RUN[kind](guest_call(), fields, "x", *value) == {"err": "immutable"}
    assert fields.entries == [("x", b"1")]
    clone = _RUN["clone"](guest_call(), fields)
    assert _RUN[kind](guest_call(), clone, "x", *value) == {"ok": None}


def test_many_small_sections_are_together_no_more_than_one_guest_may_have_kept() -> None:
    call = guest_call()
    kept = [Fields() for _ in range(16 * 1024 * 1024 // 60_001)]
    for fields in kept:
        assert _RUN["append"](call, fields, "x", b"a" * 60_000) == {"ok": None}
    with pytest.raises(GuestError, match="has the host keep more than 16777216 bytes"):
        _RUN["append"](call, Fields(), "x", b"a" * 60_000)
    kept.clear()  # what is dropped counts no longer
    assert _RUN["append"](call, Fields(), "x", b"1") == {"ok": None}
