"""Values of every WIT type through a real component: the schema takes them, and they come back as they went."""

import base64
from functools import reduce
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import WasmtimeError

from prx.core.tool import ToolResult
from prx.plugins.abi import wit
from prx.plugins.abi.jsonschema import schema_of
from prx.plugins.abi.wit import Prim, WitType
from tests.support.examples import costly
from tests.support.guests import Guest, guest_of
from tests.support.identity import identity_component
from tests.support.wit_types import WIT_TYPES, json_values

_ROOM = {"max_output_bytes": 16 << 20, "max_execution_secs": 30.0, "max_memory_bytes": 256 << 20}


def sent(guest: Guest, *values: Any) -> ToolResult:
    """Call the function with `values`, which its schema must accept as the router asks it."""
    arguments = {f"p{index}": value for index, value in enumerate(values)}
    schema = guest.bindings["same"].spec.parameters
    jsonschema_rs.Draft202012Validator(dict(schema)).validate(arguments)
    return guest.call("same", **arguments)


def came_back(guest: Guest, *values: Any) -> Any:
    result = sent(guest, *values)
    assert result.error is None, result.error
    return result.output


def check_all_come_back(wit_type: WitType, values: list[Any]) -> None:
    """Send each of `values` through a component of its own for `wit_type`."""
    with guest_of(identity_component([wit_type]), **_ROOM) as guest:
        for value in values:
            assert came_back(guest, value) == value


@costly()
@given(st.data())
def test_values_of_any_types_come_back_from_a_component_as_they_went(data: st.DataObject) -> None:
    types = data.draw(st.lists(WIT_TYPES, min_size=2, max_size=3))
    with guest_of(identity_component(types), **_ROOM) as guest:
        for values in data.draw(st.lists(st.tuples(*map(json_values, types)), min_size=1, max_size=4)):
            back = came_back(guest, *values)
            jsonschema_rs.Draft202012Validator(schema_of(wit.TupleType(tuple(types)))).validate(back)
            assert back == list(values)


@costly()
@given(st.data())
def test_a_value_of_any_type_comes_back_by_itself(data: st.DataObject) -> None:
    wit_type = data.draw(WIT_TYPES.filter(lambda ty: not isinstance(ty, wit.ResultType)))
    check_all_come_back(wit_type, data.draw(st.lists(json_values(wit_type), min_size=1, max_size=4)))


_SIDES = st.none() | WIT_TYPES


@costly()
@given(data=st.data(), ok=_SIDES, err=_SIDES)
def test_a_result_of_any_shape_is_the_output_or_the_error_of_a_call(
    data: st.DataObject, ok: WitType | None, err: WitType | None
) -> None:
    wit_type = wit.ResultType(ok, err)
    with guest_of(identity_component([wit_type]), **_ROOM) as guest:
        for value in data.draw(st.lists(json_values(wit_type), min_size=1, max_size=4)):
            result = sent(guest, value)
            if "ok" in value:
                assert (result.output, result.error) == (value["ok"], None)
            else:
                assert result.error is not None
                assert (result.output, result.error.code) == (None, "tool_error")
                if err is Prim.STRING:
                    assert result.error.message == value["err"]


@pytest.mark.parametrize(
    ("wit_type", "values"),
    [
        (Prim.U64, [2**53, str(2**53 + 1), str(2**64 - 1)]),
        (Prim.S64, [-(2**53), str(-(2**53) - 1), str(-(2**63)), str(2**63 - 1)]),
        (Prim.F32, ["NaN", "Infinity", "-Infinity", 3.4028234663852886e38, 2.0**-149, -0.0]),
        (Prim.F64, ["NaN", "Infinity", "-Infinity", 1.7976931348623157e308, 5e-324]),
        (Prim.CHAR, ["\0", "\ud7ff", "\ue000", "\U0010ffff"]),
        (Prim.STRING, ["", "\0", "\U0010ffff" * 1000]),
        (wit.FlagsType(("a", "b-c")), [[], ["a"], ["b_c"], ["a", "b_c"]]),
        (wit.FlagsType(tuple(f"f{n}" for n in range(32))), [[], ["f31"], [f"f{n}" for n in range(32)]]),
        (wit.EnumType(tuple(f"c{n}" for n in range(300))), ["c0", "c255", "c256", "c299"]),
        (wit.VariantType(tuple((f"c{n}", Prim.F64 if n % 2 else None) for n in range(300))), ["c256", {"c299": 0.5}]),
        (wit.OptionType(wit.OptionType(wit.OptionType(Prim.BOOL))), [
            None, {"some": None}, {"some": {"some": None}}, {"some": {"some": False}},
        ]),
        (wit.ListType(wit.ResultType(None, None)), [[], [{"ok": None}, {"err": None}]]),
    ],
    ids=lambda value: str(value)[:30] if not isinstance(value, list) else "",
)  # fmt: skip
def test_the_edges_of_a_type_come_back_too(wit_type: WitType, values: list[Any]) -> None:
    check_all_come_back(wit_type, values)


def test_more_arguments_than_a_guest_has_core_parameters_come_back_through_its_memory() -> None:
    types = [Prim.U8, Prim.U64, Prim.STRING, wit.OptionType(Prim.F64), Prim.BOOL] * 8
    values = [255, 2**53, "é", 0.5, True] * 8
    with guest_of(identity_component(types)) as guest:
        assert came_back(guest, *values) == values


@pytest.mark.parametrize(
    "wrap",
    [wit.ListType, wit.OptionType, lambda ty: wit.TupleType((ty,)), lambda ty: wit.ResultType(ty, None)],
)
def test_types_nested_deeply_come_back(wrap: Any) -> None:
    depth = 60
    around: dict[type, Any] = {
        wit.ListType: lambda value: [value],
        wit.OptionType: lambda value: {"some": value},
        wit.TupleType: lambda value: [value],
        wit.ResultType: lambda value: {"ok": value},
    }
    nested = reduce(lambda ty, _: wrap(ty), range(depth), Prim.STRING)
    value: Any = "at the bottom"
    inner: WitType = Prim.STRING
    for _ in range(depth):
        outer = wrap(inner)
        # An option is only told from its payload where that is an option itself.
        plain = isinstance(outer, wit.OptionType) and not isinstance(inner, wit.OptionType)
        value, inner = value if plain else around[type(outer)](value), outer
    check_all_come_back(wit.TupleType((nested,)), [[value]])


@pytest.mark.parametrize(
    ("element", "item", "length"),
    [
        (Prim.U64, 7, 80_000),
        (Prim.STRING, "é", 80_000),
        (wit.TupleType((Prim.U8, Prim.CHAR)), [1, "a"], 20_000),
    ],
)
def test_long_lists_come_back(element: WitType, item: Any, length: int) -> None:
    check_all_come_back(wit.ListType(element), [[item] * length])


def test_a_megabyte_of_bytes_comes_back() -> None:
    check_all_come_back(wit.ListType(Prim.U8), [base64.b64encode(bytes(range(256)) * 4096).decode()])


def test_more_flags_than_the_component_model_allows_cannot_be_compiled() -> None:
    flags = wit.FlagsType(tuple(f"f{number}" for number in range(33)))
    with pytest.raises(WasmtimeError, match="flags"), guest_of(identity_component([flags])):
        pass


@costly()
@given(st.data())
def test_half_a_surrogate_pair_anywhere_in_a_value_is_refused_and_nothing_runs(data: st.DataObject) -> None:
    half = data.draw(st.characters(categories=["Cs"]))
    types = (wit.ListType(Prim.STRING), wit.RecordType((("a", wit.OptionType(Prim.STRING)),)))
    guest_type = data.draw(st.sampled_from(types))
    value = {"a": f"x{half}"} if isinstance(guest_type, wit.RecordType) else ["x", half]
    with guest_of(identity_component([guest_type])) as guest:
        with pytest.raises(Exception, match="half a surrogate pair at character"):
            guest.call("same", p0=value)
        assert guest.generation.meter.totals().calls == 0
