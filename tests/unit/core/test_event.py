"""Topics, patterns and payloads of events."""

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prx.core.errors import BadRequestError
from prx.core.event import (
    MAX_PAYLOAD_BYTES,
    MAX_TOPIC_BYTES,
    check_topic,
    compile_pattern,
    parse_payload,
    topics,
)

SEGMENTS = st.sampled_from(["a", "b", "tool", "é"])
TOPICS = st.lists(SEGMENTS, min_size=1, max_size=5).map(".".join)
PATTERNS = st.lists(SEGMENTS | st.sampled_from(["*", "**"]), min_size=1, max_size=5).map(".".join)


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "b.a", "a.bb"]),
        ("a.*.c", ["a.b.c", "a.x.c"], ["a.c", "a.b.b.c", "a.b.c.d"]),
        ("a.*", ["a.b", "a.b.c"], ["a", "b.a", "ab.c"]),
        ("a.**", ["a", "a.b", "a.b.c"], ["b", "ab"]),
        ("**.c", ["c", "a.c", "a.b.c"], ["c.a"]),
        ("a.**.c", ["a.c", "a.b.c", "a.b.b.c"], ["a.b", "c.a.c"]),
        ("*", ["a", "a.b", "a.b.c"], []),
        ("**", ["a", "a.b.c"], []),
    ],
)
def test_a_star_is_one_segment_two_are_any_number_and_one_at_the_end_the_rest(
    pattern: str, matching: list[str], other: list[str]
) -> None:
    matches = compile_pattern(pattern)
    assert [topic for topic in matching if not matches(topic)] == []
    assert [topic for topic in other if matches(topic)] == []


def as_regex(pattern: str) -> re.Pattern[str]:
    """Say the same in another language: each segment with the dot before it."""
    segments = pattern.split(".")
    parts = [
        "(?:\\.[^.]+)*" if s == "**" else "\\.[^.]+" if s == "*" else "\\." + re.escape(s) for s in segments
    ]
    if segments[-1] == "*":
        parts.append("(?:\\.[^.]+)*")
    return re.compile("".join(parts))


@given(PATTERNS, TOPICS)
@example("**.**.a", "a")
@example("a.**.**", "a")
def test_patterns_match_what_a_regular_expression_of_the_same_meaning_matches(
    pattern: str, topic: str
) -> None:
    assert compile_pattern(pattern)(topic) == (as_regex(pattern).fullmatch("." + topic) is not None)


def test_a_pattern_made_to_backtrack_takes_steps_in_line_with_its_length() -> None:
    matches = compile_pattern(".".join(["**", "a"] * 40 + ["b"]))
    assert not matches(".".join(["a"] * 120))


@given(st.text(max_size=300))
def test_any_text_is_a_topic_or_refused_with_a_reason(text: str) -> None:
    try:
        check_topic(text)
    except BadRequestError:
        with pytest.raises(BadRequestError, match="topic"):
            check_topic(text)
    else:
        assert compile_pattern(text)(text)
        assert len(text.encode()) <= MAX_TOPIC_BYTES


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a b", "a\n", "x" * 257, "a.b*", "a.***", "é" * 129]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="it is a topic of 1 to 256 bytes in which"):
        compile_pattern(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_payloads_come_back_as_the_json_values_they_are(value: object) -> None:
    assert parse_payload(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["", "{", "NaN", "[1, -Infinity]", "'a'", "[" * 100_000])
def test_what_is_not_json_is_no_payload(text: str) -> None:
    with pytest.raises(BadRequestError, match="the payload is not JSON"):
        parse_payload(text[:MAX_PAYLOAD_BYTES])


def test_a_payload_has_64_kib_at_most() -> None:
    assert parse_payload(json.dumps("x" * (MAX_PAYLOAD_BYTES - 2)))
    with pytest.raises(BadRequestError, match=r"a payload has up to 65536 bytes, this one has 65537"):
        parse_payload(json.dumps("x" * (MAX_PAYLOAD_BYTES - 1)))


def test_an_event_is_wanted_when_one_of_several_patterns_matches() -> None:
    wants = topics("a.*", "b")
    found = [wants(topic, "prx") for topic in ("a.x", "b", "b.x", "a")]
    assert found == [True, True, False, False]
