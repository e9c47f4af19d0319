"""Events: facts that are already true, and the patterns that pick them by topic."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from prx.core.errors import BadRequestError

MAX_TOPIC_BYTES = 256
MAX_PAYLOAD_BYTES = 64 * 1024
MAX_DEPTH = 8

Wants = Callable[[str, str], bool]
"""Tells whether somebody wants the events of a topic and source: asked before there is one."""

_SEGMENT = re.compile(r"[^.*\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened."""

    id: str
    topic: str
    payload: Any
    """A JSON value."""
    source: str
    """Who says so: `prx`, or `plugin:<name>`."""
    at: datetime
    depth: int = 0
    """How many publications by plugins led to this one."""


def check_topic(topic: str) -> None:
    """Refuse what is no topic.

    Raises:
        BadRequestError: says what a topic is.
    """
    size = len(topic.encode(errors="surrogatepass"))
    if not 1 <= size <= MAX_TOPIC_BYTES:
        raise BadRequestError(f"a topic has 1 to {MAX_TOPIC_BYTES} bytes, this one has {size}")
    if not all(_SEGMENT.fullmatch(segment) for segment in topic.split(".")):
        raise BadRequestError(
            f'topic "{topic}": it is made of segments joined by ".", without "*", spaces or control characters'
        )


def parse_payload(text: str) -> Any:
    """Return the JSON value of a payload that a guest wrote.

    Raises:
        BadRequestError: it is too large or not JSON.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_PAYLOAD_BYTES:
        raise BadRequestError(f"a payload has up to {MAX_PAYLOAD_BYTES} bytes, this one has {size}")
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the payload is not JSON: {error}") from error


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a topic matches `pattern`.

    `*` stands for one segment, `**` for any number of them, `*` in the last place for one or more, and `*` alone for
    every topic.

    Raises:
        BadRequestError: it is no pattern; says what one is.
    """
    size = len(pattern.encode(errors="surrogatepass"))
    segments = pattern.split(".")
    if not 1 <= size <= MAX_TOPIC_BYTES or not all(
        segment in ("*", "**") or _SEGMENT.fullmatch(segment) for segment in segments
    ):
        raise BadRequestError(
            f'pattern "{pattern[:80]}": it is a topic of 1 to {MAX_TOPIC_BYTES} bytes in which "*" stands for one '
            'segment and "**", or "*" at the end, for any number'
        )
    if segments[-1] == "*":
        segments[-1:] = ["*", "**"]
    return lambda topic: _matches(segments, topic.split("."))


def topics(*patterns: str) -> Wants:
    """Return the test whether a topic matches one of `patterns`, whatever the source.

    Raises:
        BadRequestError: one is no pattern.
    """
    tests = [compile_pattern(pattern) for pattern in patterns]
    return lambda topic, _source: any(test(topic) for test in tests)


def _matches(pattern: list[str], topic: list[str]) -> bool:
    # Reachable positions in the pattern after each segment of the topic: linear in both, whatever the pattern.
    reached = _skip_any({0}, pattern)
    for segment in topic:
        step: set[int] = set()
        for at in reached:
            if at == len(pattern):
                continue
            if pattern[at] == "**":
                step.add(at)
            elif pattern[at] in ("*", segment):
                step.add(at + 1)
        reached = _skip_any(step, pattern)
        if not reached:
            return False
    return len(pattern) in reached


def _skip_any(reached: set[int], pattern: list[str]) -> set[int]:
    found = set(reached)
    for start in reached:
        at = start
        while at < len(pattern) and pattern[at] == "**":
            at += 1
            found.add(at)
    return found


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON value")
