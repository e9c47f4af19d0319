"""WIT values to JSON and back: nothing changes on the way, and what is not of the type is refused."""

import struct
from contextlib import suppress
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from prx.plugins.abi import ffi, wit
from prx.plugins.abi.ffi import VAL
from prx.plugins.abi.jsonschema import schema_of
from prx.plugins.abi.lift import compile_lift
from prx.plugins.abi.lower import compile_lower
from prx.plugins.abi.measure import compile_measure
from prx.plugins.abi.memory import Borrowed, Owned
from prx.plugins.abi.scalars import LowerError
from prx.plugins.abi.wit import Prim, WitType
from tests.support.wit_types import WIT_TYPES, json_values, typed_values

Typed = tuple[WitType, Any]


def lifted(wit_type: WitType, words: tuple[int, ...]) -> Any:
    _, first, second, third = words
    return compile_lift(wit_type, "base64")(first, second, third)


@given(typed_values())
def test_a_value_comes_back_as_it_went(typed: Typed) -> None:
    wit_type, value = typed
    memory = Borrowed()
    words = compile_lower(wit_type, "base64")(value, memory)
    assert lifted(wit_type, words) == value


@given(typed_values())
def test_what_the_host_hands_over_for_good_can_be_lifted_and_freed(typed: Typed) -> None:
    wit_type, value = typed
    packed = VAL.pack(*compile_lower(wit_type, "base64")(value, Owned()))
    assert lifted(wit_type, VAL.unpack(packed)) == value
    ffi.val_delete(ffi.bytes_address(packed))


@given(st.binary(max_size=100))
def test_bytes_are_bytes_for_host_functions(data: bytes) -> None:
    memory = Borrowed()
    _, *words = compile_lower(wit.ListType(Prim.U8), "bytes")(data, memory)
    assert compile_lift(wit.ListType(Prim.U8), "bytes")(*words) == data
    assert memory.size == len(data)


def test_what_is_not_bytes_is_refused_where_bytes_are_meant() -> None:
    with pytest.raises(LowerError, match="expected bytes, got 'AA=='"):
        compile_lower(wit.ListType(Prim.U8), "bytes")("AA==", Borrowed())


def measured(wit_type: WitType, value: Any) -> int:
    memory = Borrowed()
    _, *words = compile_lower(wit_type, "base64")(value, memory)
    return compile_measure(wit_type)(*words)


@pytest.mark.parametrize(
    ("wit_type", "value", "size"),
    [
        (Prim.BOOL, True, 1),
        (Prim.U16, 7, 2),
        (Prim.CHAR, "a", 4),
        (Prim.S64, -1, 8),
        (Prim.STRING, "é", 2),
        (wit.ListType(Prim.U8), "AAAA", 3),
        (wit.ListType(Prim.U64), [1, 2], 16),
        (wit.ListType(Prim.STRING), ["", "abc"], 2 + 3),
        (wit.ListType(wit.ListType(Prim.U32)), [[], [1, 2]], 2 + 8),
        (wit.EnumType(("red", "dark-blue")), "dark_blue", 9),
        (wit.FlagsType(("read", "write")), ["read", "write"], 9),
        (wit.RecordType((("name", Prim.STRING), ("age", Prim.U8))), {"name": "Bo", "age": 1}, 4 + 2 + 3 + 1),
        (wit.OptionType(Prim.STRING), None, 1),
        (wit.OptionType(Prim.STRING), "abc", 4),
        (wit.ResultType(Prim.STRING, Prim.U32), {"ok": "abc"}, 1 + 4 + 3),
        (wit.ResultType(None, None), {"err": None}, 1),
        (wit.VariantType((("empty", None), ("text", Prim.STRING))), {"text": "abc"}, 4 + 3),
        (wit.VariantType((("empty", None), ("text", Prim.STRING))), "empty", 5),
    ],
)
def test_a_value_is_measured_by_its_text_its_names_and_the_width_of_its_numbers(
    wit_type: WitType, value: Any, size: int
) -> None:
    assert measured(wit_type, value) == size


@given(st.lists(typed_values(), min_size=1, max_size=4))
def test_a_whole_measures_what_its_parts_do(parts: list[Typed]) -> None:
    types, values = tuple(wit_type for wit_type, _ in parts), [value for _, value in parts]
    whole = sum(measured(wit_type, value) for wit_type, value in parts)
    assert measured(wit.TupleType(types), values) == whole
    record = wit.RecordType(tuple((f"field-{index}", wit_type) for index, wit_type in enumerate(types)))
    fields = {f"field_{index}": value for index, value in enumerate(values)}
    assert measured(record, fields) == whole + len("field-0") * len(types)


_LISTS = WIT_TYPES.flatmap(lambda t: st.tuples(st.just(t), st.lists(json_values(t), max_size=5)))


@given(_LISTS)
def test_a_list_measures_at_least_its_length_and_what_it_holds(typed: tuple[WitType, list[Any]]) -> None:
    wit_type, values = typed
    assume(wit_type is not Prim.U8)
    size = measured(wit.ListType(wit_type), values)
    assert size >= len(values)
    assert size >= sum(measured(wit_type, value) for value in values)


@given(_LISTS)
def test_the_schema_accepts_every_value_of_its_type(typed: tuple[WitType, list[Any]]) -> None:
    wit_type, values = typed
    validator = jsonschema_rs.Draft202012Validator(schema_of(wit_type))
    for value in values:
        validator.validate(value)


def accepted(wit_type: WitType, value: Any) -> bool:
    try:
        compile_lower(wit_type, "base64")(value, Borrowed())
    except LowerError:
        return False
    return True


def told_apart_only_by_lowering(wit_type: WitType) -> bool:
    """Whether the schema cannot say all: what base64 is, how long a number in a string may be, what fits an f32."""
    return any(text in str(wit_type) for text in ("list<u8>", "s64", "u64", "f32"))


@given(wit_type=WIT_TYPES, other=typed_values())
@example(wit_type=Prim.U8, other=(Prim.BOOL, True))
@example(wit_type=Prim.U32, other=(Prim.F64, 3.0))
@example(wit_type=Prim.F64, other=(Prim.U32, 3))
@example(wit_type=Prim.CHAR, other=(Prim.STRING, ""))
@example(wit_type=Prim.CHAR, other=(Prim.STRING, "😀"))
@example(wit_type=wit.FlagsType(("a", "b")), other=(wit.ListType(Prim.STRING), ["a", "a"]))
def test_the_schema_and_the_lowering_accept_the_same_values(wit_type: WitType, other: Typed) -> None:
    """Values of one type, offered to another."""
    assume(not told_apart_only_by_lowering(wit_type))
    value = other[1]
    valid = jsonschema_rs.Draft202012Validator(schema_of(wit_type)).is_valid(value)
    assert accepted(wit_type, value) is valid


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(wit_type=WIT_TYPES, value=_JSON)
@example(wit_type=Prim.F32, value=1e300)
@example(wit_type=Prim.F64, value=10**400)
@example(wit_type=Prim.U64, value="18446744073709551616")
@example(wit_type=Prim.S64, value="\u0663")
@example(wit_type=Prim.U32, value=float("inf"))
@example(wit_type=wit.ListType(Prim.U8), value="é")
@example(wit_type=wit.ListType(Prim.U8), value="A")
@example(wit_type=Prim.STRING, value="\ud800")
@example(wit_type=Prim.CHAR, value="\ud800")
def test_any_json_at_all_is_lowered_or_refused(wit_type: WitType, value: Any) -> None:
    memory = Borrowed()
    with suppress(LowerError):
        lifted(wit_type, compile_lower(wit_type, "base64")(value, memory))


@pytest.mark.parametrize(
    ("wit_type", "value", "message"),
    [
        (Prim.U8, 256, "256 is outside 0 to 255"),
        (Prim.U8, "1", "expected an integer from 0 to 255, got '1'"),
        (Prim.U8, True, "expected an integer from 0 to 255, got True"),
        (Prim.U64, "-1", "-1 is outside 0 to 18446744073709551615"),
        (Prim.BOOL, 1, "expected true or false, got 1"),
        (Prim.CHAR, "ab", "expected a string of one character, got 'ab'"),
        (Prim.STRING, "a\ud800", "half a surrogate pair at character 1: not Unicode text"),
        (Prim.F32, 1e300, "1e+300 does not fit the type"),
        (wit.EnumType(("red", "dark-blue")), "blue", "expected one of red, dark_blue, got 'blue'"),
        (wit.FlagsType(("read",)), ["write"], "expected an array of read, got ['write']"),
        (Prim.F64, "1", "expected a number, got '1'"),
        (wit.ListType(Prim.U8), "?", "not base64: "),
        (wit.ListType(Prim.U8), 5, "expected base64 text, got 5"),
        (wit.VariantType((("a", None),)), {"a": 1}, 'case "a" takes no value'),
        (wit.TupleType((Prim.U8, Prim.U8)), [1], "expected an array of 2, got [1]"),
        (wit.TupleType((Prim.U8, Prim.U8)), [1, -1], "[1]: -1 is outside 0 to 255"),
        (wit.RecordType((("a-b", Prim.U8),)), {}, "field 'a_b' is missing"),
        (wit.RecordType((("a-b", Prim.U8),)), {"a_b": 1, "c": 2}, "unknown field 'c'; it has a_b"),
        (
            wit.RecordType((("a", wit.ListType(Prim.U8)), ("b", Prim.U8))),
            {"a": "", "b": ""},
            "b: expected an integer",
        ),
        (wit.OptionType(wit.OptionType(Prim.U8)), 1, 'expected null or {"some": ...}, got 1'),
        (wit.ResultType(Prim.U8, None), {"ok": 1, "err": None}, 'expected {"ok": ...} or {"err": ...}, got '),
        (wit.ResultType(Prim.U8, None), {"err": 1}, '"err" takes no value'),
        (wit.VariantType((("a", None), ("b-c", Prim.U8))), "b_c", 'expected one of "a", {"b_c": ...}, got '),
        (wit.VariantType((("a", None), ("b-c", Prim.U8))), {"b_c": "x"}, "b_c: expected an integer"),
    ],
)
def test_what_does_not_fit_is_told_where_and_why(wit_type: WitType, value: Any, message: str) -> None:
    with pytest.raises(LowerError) as caught:
        compile_lower(wit_type, "base64")(value, Borrowed())
    assert caught.value.message.startswith(message)


def test_an_option_of_a_record_may_be_left_out() -> None:
    record = wit.RecordType((("a", wit.OptionType(Prim.U8)),))
    memory = Borrowed()
    assert lifted(record, compile_lower(record, "base64")({}, memory)) == {"a": None}


@pytest.mark.parametrize(
    ("wit_type", "value", "written"),
    [
        (Prim.S64, 2**53, 2**53),
        (Prim.S64, 2**53 + 1, "9007199254740993"),
        (Prim.S64, -(2**53) - 1, "-9007199254740993"),
        (Prim.U64, "5", 5),
        (Prim.U32, 3.0, 3),
        (Prim.F64, 3, 3.0),
        (Prim.F32, 0.1, struct.unpack("f", struct.pack("f", 0.1))[0]),
        (wit.VariantType((("empty", None),)), {"empty": None}, "empty"),
    ],
)
def test_other_spellings_are_written_in_one(wit_type: WitType, value: Any, written: Any) -> None:
    memory = Borrowed()
    back = lifted(wit_type, compile_lower(wit_type, "base64")(value, memory))
    assert (back, type(back)) == (written, type(written))
