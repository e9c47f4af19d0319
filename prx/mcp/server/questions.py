"""Asking an MCP client during its own call, in terms of the SDK."""

from collections.abc import Mapping
from typing import Any, Final

from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp_types import (
    CreateMessageRequest,
    CreateMessageResult,
    ElicitRequest,
    ElicitResult,
    ListRootsRequest,
    ListRootsResult,
)
from pydantic import ValidationError

from prx.core.upstream import Ask, UpstreamError
from prx.mcp.server.asking import REFUSED
from prx.mcp.server.context import Context

_QUESTIONS: Final[Mapping[str, tuple[str, Any, Any]]] = {
    "sampling/createMessage": ("sampling", CreateMessageRequest, CreateMessageResult),
    "elicitation/create": ("elicitation", ElicitRequest, ElicitResult),
    "roots/list": ("roots", ListRootsRequest, ListRootsResult),
}
"""What a client must have declared to be asked, and the models of question and answer."""


def asking_by(context: Context) -> Ask:
    """Return what asks the client of a call, on the stream on which that is answered."""
    session = context.session

    async def ask(method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        if method not in _QUESTIONS:
            raise UpstreamError(f"a client is not asked for {method}", REFUSED)
        capability, question, answer = _QUESTIONS[method]
        if getattr(session.client_capabilities, capability, None) is None:
            raise UpstreamError(f"the client of this call does not offer {capability}", REFUSED)
        related = ServerMessageMetadata(related_request_id=context.request_id)
        try:
            asked = question.model_validate({"method": method, "params": dict(params)}, by_name=False)
            found = await session.send_request(asked, answer, metadata=related)
        except MCPError as error:
            raise UpstreamError(error.error.message, error.error.code, error.error.data) from error
        except ValidationError as error:
            raise UpstreamError(f"question or answer do not fit: {error}", REFUSED) from error
        told: Mapping[str, Any] = found.model_dump(by_alias=True, mode="json", exclude_none=True)
        return told

    return ask
