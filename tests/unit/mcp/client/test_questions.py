"""A server's question goes to the only caller it can be for, or to nobody."""

from collections.abc import Mapping
from typing import Any

import pytest

from prx.core.upstream import UpstreamError
from prx.mcp.client.questions import Questions


async def yes(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"asked": method, **params}


async def test_the_only_call_that_runs_is_asked() -> None:
    questions = Questions()
    with questions.answered_by(yes):
        assert await questions.pass_on("roots/list", {"a": 1}) == {"asked": "roots/list", "a": 1}


async def test_nobody_is_asked_where_no_call_runs_or_its_caller_cannot_be_asked() -> None:
    questions = Questions()
    with pytest.raises(UpstreamError, match="nobody who could be asked"):
        await questions.pass_on("roots/list", {})
    with questions.answered_by(None), pytest.raises(UpstreamError, match="nobody who could be asked"):
        await questions.pass_on("roots/list", {})


async def test_nobody_is_asked_while_it_could_be_for_several() -> None:
    questions = Questions()
    with questions.answered_by(yes):
        with questions.answered_by(None), pytest.raises(UpstreamError, match="several calls run"):
            await questions.pass_on("roots/list", {})
        assert await questions.pass_on("roots/list", {}) == {"asked": "roots/list"}
