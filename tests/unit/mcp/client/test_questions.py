"""A server's question goes to the only caller it can be for, or to nobody."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from prx.config.integrations import McpServerConfig
from prx.core.upstream import UpstreamError
from prx.mcp.client.questions import Questions


async def yes(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"asked": method, **params}


async def test_the_only_call_that_runs_is_asked() -> None:
    questions = Questions(McpServerConfig(command="x"))
    with questions.answered_by(yes):
        assert await questions.answer("roots/list", {"a": 1}) == {"asked": "roots/list", "a": 1}


async def test_nobody_is_asked_where_no_call_runs_or_its_caller_cannot_be_asked() -> None:
    questions = Questions(McpServerConfig(command="x"))
    with pytest.raises(UpstreamError, match="nobody who could be asked"):
        await questions.answer("roots/list", {})
    with questions.answered_by(None), pytest.raises(UpstreamError, match="nobody who could be asked"):
        await questions.answer("roots/list", {})


async def test_nobody_is_asked_while_it_could_be_for_several() -> None:
    questions = Questions(McpServerConfig(command="x"))
    with questions.answered_by(yes):
        with questions.answered_by(None), pytest.raises(UpstreamError, match="several calls run"):
            await questions.answer("roots/list", {})
        assert await questions.answer("roots/list", {}) == {"asked": "roots/list"}


async def test_directories_of_the_configuration_are_told_whoever_calls() -> None:
    questions = Questions(McpServerConfig(command="x", roots=(Path("/srv/two words"), Path("/"))))
    assert questions.methods == {"roots/list"}
    told = {
        "roots": [{"uri": "file:///srv/two%20words", "name": "two words"}, {"uri": "file:///", "name": "/"}]
    }
    assert await questions.answer("roots/list", {}) == told
    with questions.answered_by(yes):
        assert await questions.answer("roots/list", {}) == told


@pytest.mark.parametrize(
    ("config", "methods"),
    [
        ({}, set()),
        ({"roots": ["/srv"]}, {"roots/list"}),
        ({"ask_clients": True}, {"roots/list", "sampling/createMessage", "elicitation/create"}),
    ],
)
def test_a_server_is_told_that_it_may_ask_what_the_configuration_lets_it(
    config: dict[str, Any], methods: set[str]
) -> None:
    assert Questions(McpServerConfig.model_validate({"command": "x", **config})).methods == methods
