"""A server's question goes to its own table, to the caller that it is for, or to nobody."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import McpServerConfig
from prx.core.upstream import UpstreamError
from prx.mcp.client.questions import Questions, UnansweredError

ELICIT = "elicitation/create"


class Caller:
    """Answers with what it was asked."""

    def __init__(self, **capabilities: Any) -> None:
        self.capabilities = capabilities

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"asked": method, **params}


class Absent(Caller):
    """Never answers."""

    async def __call__(self, _method: str, _params: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.Event().wait()
        return {}


ABLE = Caller(elicitation={}, roots={}, sampling={})


def questions(**config: Any) -> Questions:
    return Questions("one", McpServerConfig.model_validate({"command": "x", **config}))


async def test_the_only_call_that_runs_is_asked() -> None:
    asking = questions(ask_clients=True)
    with asking.answered_by(ABLE):
        assert await asking.answer("roots/list", {"a": 1}) == {"asked": "roots/list", "a": 1}


@pytest.mark.parametrize("caller", [None, Caller(sampling={})])
async def test_nobody_is_asked_where_no_call_runs_or_its_caller_cannot_be_asked(
    caller: Caller | None,
) -> None:
    asking = questions(ask_clients=True)
    with pytest.raises(UpstreamError, match="nobody who calls could answer"):
        await asking.answer("roots/list", {})
    with asking.answered_by(caller):
        with pytest.raises(UpstreamError, match="nobody who calls could answer"):
            await asking.answer("roots/list", {})
        assert await asking.answer(ELICIT, {}) == {"action": "decline"}


async def test_nobody_is_asked_while_it_could_be_for_several() -> None:
    asking = questions(ask_clients=True)
    with asking.answered_by(ABLE):
        with asking.answered_by(None):
            with pytest.raises(UpstreamError, match="several calls run"):
                await asking.answer("roots/list", {})
            assert await asking.answer(ELICIT, {}) == {"action": "decline"}
        assert await asking.answer("roots/list", {}) == {"asked": "roots/list"}


@pytest.mark.parametrize(
    ("declared", "modes"),
    [
        ({}, ["form"]),
        ({"form": {}}, ["form"]),
        ({"url": {}}, ["url"]),
        ({"form": {}, "url": {}}, ["form", "url"]),
    ],
)
async def test_a_client_is_asked_for_input_in_the_ways_that_it_knows(declared: Any, modes: list[str]) -> None:
    asking, client = questions(ask_clients=True), Caller(elicitation=declared)
    for mode in ("form", "url", "telepathy"):
        if mode in modes:
            assert await asking.answer_for(client, ELICIT, {"mode": mode})
        else:
            with pytest.raises(UnansweredError):
                await asking.answer_for(client, ELICIT, {"mode": mode})


async def test_a_client_that_takes_too_long_is_not_waited_for() -> None:
    config = McpServerConfig(command="x", ask_clients=True)
    asking = Questions("one", config, patience_secs=0.01)
    with pytest.raises(UnansweredError, match="no answer to roots/list came within"):
        await asking.answer_for(Absent(roots={}), "roots/list", {})


async def test_a_server_that_asks_too_much_at_once_is_refused() -> None:
    asking = questions(ask_clients=True)
    patient = [
        asyncio.ensure_future(asking.answer_for(Absent(roots={}), "roots/list", {})) for _ in range(32)
    ]
    await asyncio.sleep(0)
    with pytest.raises(UnansweredError, match="32 questions open"):
        await asking.answer_for(ABLE, "roots/list", {})
    for each in patient:
        each.cancel()
    await asyncio.gather(*patient, return_exceptions=True)
    assert await asking.answer_for(ABLE, "roots/list", {})


async def test_directories_of_the_configuration_are_told_whoever_calls() -> None:
    asking = Questions("one", McpServerConfig(command="x", roots=(Path("/srv/two words"), Path("/"))))
    assert asking.methods == {"roots/list"}
    told = {
        "roots": [{"uri": "file:///srv/two%20words", "name": "two words"}, {"uri": "file:///", "name": "/"}]
    }
    assert await asking.answer("roots/list", {}) == told
    with asking.answered_by(ABLE), asking.answered_by(None):
        assert await asking.answer("roots/list", {}) == told


@pytest.mark.parametrize(
    ("config", "methods", "of_nobody", "of_a_client"),
    [
        ({}, set(), set(), set()),
        ({"roots": ["/srv"]}, {"roots/list"}, {"roots"}, {"roots"}),
        (
            {"ask_clients": True},
            {"roots/list", "sampling/createMessage", ELICIT},
            set(),
            {"roots", "sampling", "elicitation"},
        ),
    ],
)
def test_a_server_is_told_that_it_may_ask_what_the_configuration_lets_it(
    config: dict[str, Any], methods: set[str], of_nobody: set[str], of_a_client: set[str]
) -> None:
    asking = questions(**config)
    assert asking.methods == methods
    assert set(asking.capabilities(None)) == of_nobody
    assert set(asking.capabilities(ABLE)) == of_a_client
