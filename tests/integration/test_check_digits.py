"""The committed component of the sample check-digits, called through stock wasmtime."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wasmtime import Engine, Store
from wasmtime.component import Component, Linker, Variant

_COMPONENT = Path(__file__).parents[2] / "plugins/check-digits/plugin.wasm"
_INTERFACE = "samples:check-digits/check-digits@1.0.0"
Call = Callable[[str, str], Any]


@pytest.fixture(scope="module")
def call() -> Iterator[Call]:
    """Call a function of one instance, which serves them all: no call may leave anything to the next."""
    engine = Engine()
    component = Component.from_file(engine, _COMPONENT)
    with Store(engine) as store:
        instance = Linker(engine).instantiate(store, component)
        interface = instance.get_export_index(store, _INTERFACE)

        def call(name: str, text: str) -> Any:
            index = instance.get_export_index(store, name, interface)
            assert index is not None
            func = instance.get_func(store, index)
            assert func is not None
            result = func(store, text)
            func.post_return(store)
            return result

        yield call


def test_the_component_is_small_enough_to_be_committed() -> None:
    assert _COMPONENT.stat().st_size < 20_000


@pytest.mark.parametrize(
    ("number", "valid"),
    [("4539 1488 0343 6467", True), ("4539 1488 0343 6468", False), ("79927398713", True), ("0" * 64, True)],
)
def test_luhn_tells_right_numbers_from_wrong_ones(number: str, *, valid: bool, call: Call) -> None:
    assert call("check-luhn", number) is valid


@given(
    number=st.text("0123456789", min_size=1, max_size=63), position=st.integers(0, 62), step=st.integers(1, 9)
)
def test_luhn_digits_fit_and_no_single_wrong_digit_does(
    number: str, position: int, step: int, call: Call
) -> None:
    whole = number + str(call("luhn-digit", number))
    at = position % len(whole)
    wrong = whole[:at] + str((int(whole[at]) + step) % 10) + whole[at + 1 :]
    assert call("check-luhn", whole) is True
    assert call("check-luhn", wrong) is False


@pytest.mark.parametrize("number", ["", "1", "12a", "1" * 65, "\u0661\u0662", "- -"])
def test_what_is_no_number_is_refused(number: str, call: Call) -> None:
    assert call("check-luhn", number) == "not a number of 2 to 64 digits"


@pytest.mark.parametrize(
    "text",
    [
        "GB82 WEST 1234 5698 7654 32",
        "de89370400440532013000",
        "FR14-2004-1010-0505-0001-3M02-606",
        "NO93 8601 1117 947",
        "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    ],
)
def test_ibans_are_taken_apart_and_checked(text: str, call: Call) -> None:
    digits = text.upper().replace(" ", "").replace("-", "")
    assert vars(call("check-iban", text)) == {
        "country": digits[:2],
        "check-digits": digits[2:4],
        "account": digits[4:],
        "valid": True,
    }
    assert not call("check-iban", f"{digits[:2]}{digits[3]}{digits[2]}{digits[4:]}").valid


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("DE89 3704 0044 0532 0130 0", "an IBAN of DE has 22 characters, this one has 21"),
        ("XX12 3456 7890 12345", "the first two letters are no country that has IBANs"),
        ("", "not an IBAN"),
        ("1234 5678 9012 3456", "not an IBAN"),
        ("é" * 20, "not an IBAN"),
        ("A" * 300_000, "not an IBAN"),
    ],
)
def test_what_has_not_the_form_of_an_iban_is_refused(text: str, reason: str, call: Call) -> None:
    assert call("check-iban", text).startswith(reason)


@pytest.mark.parametrize(
    ("text", "case", "payload"),
    [
        ("0-306-40615-2", "isbn10", "9780306406157"),
        ("0-8044-2957-x", "isbn10", "9780804429573"),
        ("978-0-306-40615-7", "isbn13", "9780306406157"),
        ("979-10-90636-07-1", "isbn13", "9791090636071"),
        ("0-306-40615-3", "wrong-check-digit", "2"),
        ("978-0-306-40615-8", "wrong-check-digit", "7"),
    ],
)
def test_isbns_are_checked_and_brought_to_thirteen_digits(
    text: str, case: str, payload: str, call: Call
) -> None:
    assert call("check-isbn", text) == Variant(case, payload)


@pytest.mark.parametrize("text", ["", "123", "X23456789X", "978030640615X", "9770306406157", "9" * 100])
def test_what_has_not_the_form_of_an_isbn_is_refused(text: str, call: Call) -> None:
    assert call("check-isbn", text).startswith("not an ISBN")
