"""The pipeline: messages pass the steps of their stage in order, until one blocks."""

from collections.abc import Mapping
from typing import Any

import pytest

from prx.core.errors import ForbiddenError
from prx.core.middleware import Stage
from prx.core.tool import CallContext
from prx.runtime.pipeline import Pipeline

CALLER = CallContext()


class Signing:
    """A step that appends its name."""

    def __init__(self, name: str, priorities: Mapping[Stage, int], *, blocks: bool = False) -> None:
        self.name = name
        self.priorities = priorities
        self.blocks = blocks

    async def process(self, _stage: Stage, data: Any, _context: CallContext) -> Any:
        if self.blocks:
            raise ForbiddenError(f"{self.name} blocks")
        return [*data, self.name]


async def test_steps_run_by_priority_then_by_name_and_only_at_their_stages() -> None:
    pipeline = Pipeline()
    with (
        pipeline.offering(Signing("late", {"inbound": 90})),
        pipeline.offering(Signing("b", {"inbound": 50, "outbound": 1})),
        pipeline.offering(Signing("a", {"inbound": 50, "outbound": 2})),
        pipeline.offering(Signing("early", {"inbound": 0})),
    ):
        assert await pipeline.run("inbound", [], CALLER) == ["early", "a", "b", "late"]
        assert await pipeline.run("outbound", [], CALLER) == ["b", "a"]
        assert await pipeline.run("llm_request", ["as it was"], CALLER) == ["as it was"]
    assert await pipeline.run("inbound", [], CALLER) == []


async def test_a_step_that_blocks_ends_the_way() -> None:
    pipeline = Pipeline()
    unreached = Signing("unreached", {"inbound": 2}, blocks=True)
    with (
        pipeline.offering(Signing("first", {"inbound": 0})),
        pipeline.offering(Signing("filter", {"inbound": 1}, blocks=True)),
        pipeline.offering(unreached),
        pytest.raises(ForbiddenError, match="filter blocks"),
    ):
        await pipeline.run("inbound", [], CALLER)
