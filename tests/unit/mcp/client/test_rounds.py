"""Answers that are questions: what a server may write there, and what comes of it."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.upstream import UpstreamError
from prx.mcp.client.rounds import answered, asks


async def never(*_: Any) -> dict[str, Any]:
    raise AssertionError("not to be asked")


def required(**more: Any) -> dict[str, Any]:
    return {"resultType": "input_required", **more}


def test_a_result_is_told_from_a_question_by_its_type() -> None:
    assert asks(required())
    assert not asks({"resultType": "complete"})
    assert not asks({})


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({}, "does not say for which"),
        ({"inputRequests": {}}, "does not say for which"),
        ({"inputRequests": []}, "does not say for which"),
        ({"inputRequests": [1]}, "does not say for which"),
        ({"requestState": 1}, "does not say for which"),
        ({"inputRequests": {"q": None}}, "none of MCP"),
        ({"inputRequests": {"q": {"method": 1}}}, "none of MCP"),
        ({"inputRequests": {"q": {"method": "roots/list", "params": [1]}}}, "none of MCP"),
        ({"inputRequests": {str(n): {"method": "roots/list"} for n in range(17)}}, "17 questions at once"),
    ],
)
async def test_questions_that_are_none_end_the_request(asked: Any, reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason):
        await answered(required(**asked), {}, never, never)


async def test_the_state_goes_back_as_it_came_and_the_answers_under_their_names() -> None:
    sent: list[Mapping[str, Any]] = []

    async def send(params: Mapping[str, Any]) -> dict[str, Any]:
        sent.append(params)
        return {"done": True} if len(sent) == 2 else required(requestState="two")

    async def answer(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"to": method, **params}

    first = required(inputRequests={"a": {"method": "roots/list"}, "b": {"method": "x", "params": {"p": 1}}})
    assert await answered(first, {"name": "t"}, send, answer) == {"done": True}
    assert sent == [
        {"name": "t", "inputResponses": {"a": {"to": "roots/list"}, "b": {"to": "x", "p": 1}}},
        {"name": "t", "requestState": "two"},
    ]


async def test_one_question_without_an_answer_ends_the_others_and_the_request() -> None:
    ended: list[str] = []

    async def answer(method: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        if method == "refused":
            raise UpstreamError("no", -1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(method)
        return {}

    first = required(inputRequests={"a": {"method": "endless"}, "b": {"method": "refused"}})
    with pytest.raises(UpstreamError, match="no"):
        await answered(first, {}, never, answer)
    assert ended == ["endless"]


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["method", "params", "q"]), inner)
    ),
    max_leaves=8,
)


@given(st.fixed_dictionaries({}, optional={"inputRequests": json, "requestState": json}))
async def test_whatever_a_server_asks_is_answered_or_ends_the_request(asked: Any) -> None:
    async def send(_params: Mapping[str, Any]) -> dict[str, Any]:
        return {"done": True}

    async def answer(_method: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {}

    with suppress(UpstreamError):
        assert await answered(required(**asked), {}, send, answer) == {"done": True}
