"""What an MCP client can be asked during its own call, and asking it as the older era does: by a request of its own."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageResultWithTools,
    ElicitRequest,
    ElicitResult,
    ListRootsRequest,
    ListRootsResult,
)
from pydantic import BaseModel, ValidationError

from prx.core.upstream import UpstreamError
from prx.mcp.server.asking import REFUSED
from prx.mcp.server.context import Context

_CAPABILITIES: Final[Mapping[str, str]] = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a client must have declared to be asked."""
_QUESTIONS: Final[Mapping[str, type[Any]]] = {
    "sampling/createMessage": CreateMessageRequest,
    "elicitation/create": ElicitRequest,
    "roots/list": ListRootsRequest,
}
_ANSWERS: Final[Mapping[str, type[BaseModel]]] = {
    "sampling/createMessage": CreateMessageResultWithTools,
    "elicitation/create": ElicitResult,
    "roots/list": ListRootsResult,
}


class Client:
    """The client of a call that is answered on a stream, which can carry questions, too. See `Ask`."""

    def __init__(self, context: Context) -> None:
        """Ask the client of the request that `context` belongs to."""
        self.capabilities = askable(context.session.client_capabilities)
        self._context = context

    async def __call__(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask it; see `Ask`."""
        question = question_of(method, params, self.capabilities)
        related = ServerMessageMetadata(related_request_id=self._context.request_id)
        try:
            found = await self._context.session.send_request(question, _ANSWERS[method], metadata=related)
        except MCPError as error:
            raise UpstreamError(error.error.message, error.error.code, error.error.data) from error
        except ValidationError as error:
            raise UpstreamError(f"the client's answer does not fit: {error}", REFUSED) from error
        told: Mapping[str, Any] = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        return told


def askable(declared: ClientCapabilities | None) -> dict[str, Any]:
    """Return of what a client declared that it can be asked, as JSON."""
    if declared is None:
        return {}
    return declared.model_dump(
        include=set(_CAPABILITIES.values()), by_alias=True, mode="json", exclude_none=True
    )


def askable_in(declared: Any) -> dict[str, Any]:
    """Return the same of capabilities as they came; nothing where they are none."""
    try:
        return askable(ClientCapabilities.model_validate(declared, by_name=False)) if declared else {}
    except ValidationError:
        return {}


def question_of(method: str, params: Mapping[str, Any], capabilities: Mapping[str, Any]) -> Any:
    """Return a question in terms of the SDK.

    Raises:
        UpstreamError: the client did not declare that it can be asked this, or it is no question of MCP.
    """
    if method not in _CAPABILITIES:
        raise UpstreamError(f"a client is not asked for {method}", REFUSED)
    if _CAPABILITIES[method] not in capabilities:
        raise UpstreamError(f"the client of this call does not offer {_CAPABILITIES[method]}", REFUSED)
    try:
        return _QUESTIONS[method].model_validate({"method": method, "params": dict(params)}, by_name=False)
    except ValidationError as error:
        raise UpstreamError(f"the question does not fit: {error}", REFUSED) from error


def is_answer(method: str, answer: Any) -> bool:
    """Tell whether a client's JSON answers a question of this method."""
    try:
        _ANSWERS[method].model_validate(answer, by_name=False)
    except ValidationError:
        return False
    return True
