"""The steps that messages pass on their way through the agent."""

from collections.abc import Mapping
from typing import Any, Final, Literal, Protocol, get_args

from prx.core.tool import CallContext

Stage = Literal["inbound", "outbound", "llm_request", "llm_response"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)


class Middleware(Protocol):
    """One step, for one or more stages."""

    @property
    def name(self) -> str:
        """Who brings it: `plugin:<name>`."""

    @property
    def priorities(self) -> Mapping[Stage, int]:
        """The stages that it wants to see, with its place among the others there, from 0, the first, to 100."""

    async def process(self, stage: Stage, data: Any, context: CallContext) -> Any:
        """Return the JSON value `data`, changed or not.

        Raises:
            ForbiddenError: the message must not go on; says who blocked it and why.
        """
