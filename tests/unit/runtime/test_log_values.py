"""What may stand in a log line: plain values, bounded, and no secret."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from prx.runtime.log_values import MASK, Redaction, plain

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.sets(st.integers())
    ),
)


@given(st.dictionaries(st.text(), _values))
def test_whatever_the_context_is_it_becomes_json(context: dict[str, Any]) -> None:
    text = json.dumps(plain(context), allow_nan=False)
    assert json.loads(text).keys() == context.keys()


def test_values_that_have_a_json_form_stay_as_they_are() -> None:
    context = {"a": 1, "b": [1.5, None, True, {"c": "text"}], "d": {"e": -(2**63)}}
    assert plain(context) == context


def test_the_others_are_shown() -> None:
    assert plain({"path": Path("/a"), "nan": math.nan, "huge": 10**5000, "set": {1}}) == {
        "path": "PosixPath('/a')",
        "nan": "nan",
        "huge": "a huge number",
        "set": [1],
    }


def test_a_value_within_itself_ends_somewhere() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert len(json.dumps(plain({"circle": circle}))) < 100


def test_however_much_there_is_a_line_stays_small() -> None:
    wide = {f"{number}": ["x" * 5000] * 100 for number in range(1000)}
    assert len(json.dumps(plain({"wide": wide}))) < 300_000
    assert plain({"long": "x" * 10_000})["long"] == "x" * 8192 + "... (1808 more characters)"


@pytest.mark.parametrize(
    "context",
    [
        {"api_key": "hunter2"},
        {"headers": {"x_token": "hunter2"}},
        {"deep": [{"bot_token": ["hunter2"]}]},
        {"password": {"a": "hunter2"}},
        {"key": SecretStr("hunter2")},
        {"url": "https://user:hunter2@example.com/path"},
        {"url": "https://hunter2@example.com"},
        {"message": "cannot reach postgres://me:hunter2@db/x?y and ftp://hunter2@files"},
        {"authorization": "Bearer hunter2hunter2"},
    ],
)
def test_what_is_named_or_formed_like_a_secret_is_hidden(context: dict[str, Any]) -> None:
    shown = json.dumps(plain(context))
    assert "hunter2" not in shown
    assert next(iter(context)) in shown


def test_a_token_is_hidden_wherever_it_stands() -> None:
    token = "prx_" + "aB-_" * 10 + "xyz"
    assert plain({"text": f"<{token}>"}) == {"text": f"<{MASK}>"}


def test_the_secret_of_a_webhook_is_hidden_wherever_it_stands() -> None:
    assert plain({"text": "<whsec_AAAA+/==>, whsec_xxxxxxxxxxx"}) == {"text": f"<{MASK}>, {MASK}"}


def test_ordinary_text_stays() -> None:
    for text in (
        "a // b @ c",
        "user@example.com",
        "http://a/b@c",
        "No bearer token; send it",
        "prx_tool.run",
        "a secret is whsec_ and base64",
    ):
        assert plain({"text": text}) == {"text": text}


def test_values_that_are_told_are_hidden_in_every_spelling_until_others_are() -> None:
    redaction = Redaction()
    redaction.hide(['s3cret "value"/x', "short", "s3cret"])
    for text in ('s3cret "value"/x', '{"a": "s3cret \\"value\\"/x"}', "q=s3cret%20%22value%22%2Fx"):
        assert MASK in redaction.clean(text)
        assert "value" not in redaction.clean(text)
    assert redaction.clean("short") == "short"
    redaction.hide([])
    assert redaction.clean('s3cret "value"/x') == 's3cret "value"/x'


def test_a_secret_at_the_cut_is_not_left_in_part() -> None:
    text = "x" * 8180 + " https://user:hunter2@example.com"
    assert "hunt" not in plain({"text": text})["text"]
