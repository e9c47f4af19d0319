"""What a message repeats of a wrong value: a slip of the pen, and never what may be a secret."""

import base64
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.echo import echo


@pytest.mark.parametrize(
    "value",
    [
        "many", "", "5 minutes", "64MiB", "10.0.0.1", "::1", "127.0.0.1:3120", "prx.example.com", "WARNING", "Info",
        "max_turns", "2026-11-25", 5, -1.5, True, None,
    ],
)  # fmt: skip
def test_a_slip_of_the_pen_is_repeated(value: object) -> None:
    assert echo(value) == json.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        "hunter2", "ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AKIAIOSFODNN7EXAMPLE", "Tr0ub4dor&3", "xJkPqLmZ",
        "correcthorsebatterystaple", "123456789:AAF-x", "whsec_MfKQ9r8GKYqrTwjU", "sk-ant-api03-abcdef",
        "https://user:pass@host/", "\x1b[2J", "päßwort",
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_not(value: str) -> None:
    assert echo(value) == f"text of {len(value)} characters"


@given(secret=st.binary(min_size=16, max_size=48), encode=st.sampled_from([bytes.hex, base64.b64encode]))
def test_random_bytes_are_never_repeated(secret: bytes, encode: object) -> None:
    text = secret.hex() if encode is bytes.hex else base64.b64encode(secret).decode()
    if max(len(set(text)), len(text) // 4) >= 10:  # as random as random bytes are
        assert text not in echo(text)


@given(value=st.recursive(st.none() | st.text() | st.integers() | st.floats(), st.lists))
def test_every_value_is_told_in_a_few_words(value: object) -> None:
    told = echo(value)
    assert len(told) <= 40
    assert told.isprintable()


def test_a_long_number_is_not_repeated() -> None:
    assert echo(4929123456789012) == echo(math.pi) == "a long number"
