"""The pipeline: the ordered, awaited steps that a message passes at each stage of its way."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prx.core.middleware import STAGES, Middleware, Stage
from prx.core.tool import CallContext


class Pipeline:
    """Middleware by stage, lower priority first and then by name. Offering is a block."""

    def __init__(self) -> None:
        """Start with no step: messages pass unchanged."""
        self._steps: dict[Stage, tuple[Middleware, ...]] = dict.fromkeys(STAGES, ())

    def steps(self, stage: Stage) -> tuple[Middleware, ...]:
        """Return who sees a message at `stage`, in order."""
        return self._steps[stage]

    @contextmanager
    def offering(self, middleware: Middleware) -> Iterator[None]:
        """Have messages pass `middleware` for the length of the block."""
        for stage in middleware.priorities:
            steps = (*self._steps[stage], middleware)
            self._steps[stage] = tuple(sorted(steps, key=lambda step: (step.priorities[stage], step.name)))
        try:
            yield
        finally:
            for stage in middleware.priorities:
                self._steps[stage] = tuple(step for step in self._steps[stage] if step is not middleware)

    async def run(self, stage: Stage, data: Any, context: CallContext) -> Any:
        """Return the JSON value `data` as every step at `stage` left it.

        Raises:
            ForbiddenError: a step blocked the message; the steps after it have not seen it.
        """
        for step in self._steps[stage]:
            data = await step.process(stage, data, context)
        return data
