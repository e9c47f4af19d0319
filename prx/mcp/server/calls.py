"""A tool call from an MCP client: through the router, and back as a `CallToolResult`, whatever happens.

Results are JSON as the newest version of MCP spells them; older versions are served by leaving out what they lack.
"""

from collections.abc import Mapping
from typing import Any, Final

from mcp_types import CallToolResult
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from prx.core.errors import NotFoundError, PrxError
from prx.core.tool import CallContext, ToolResult, ToolSpec
from prx.core.upstream import Ask, Progress
from prx.mcp.server.caller import CALL, Caller
from prx.mcp.server.plain import is_plain
from prx.mcp.server.stopping import Stopping
from prx.runtime.logging import get_logger
from prx.runtime.tools import ToolRouter

RECEIPT_KEY: Final = "prx/receipt"
ERROR_KEY: Final = "prx/error"
_OWN_META: Final = "prx/"

_log = get_logger("mcp::server")


class UnknownToolError(PrxError):
    """There is no such tool: an error of the protocol, where everything else is a result."""

    code = "not_found"


class Calls:
    """Calls on behalf of callers."""

    def __init__(self, router: ToolRouter, stopping: Stopping) -> None:
        """Have `router` check and run them, until `stopping` gives them up."""
        self._router = router
        self._stopping = stopping

    def spec(self, name: str) -> ToolSpec | None:
        """Return the tool `name` as it is offered now."""
        return self._router.spec(name)

    async def run(
        self,
        caller: Caller,
        name: str,
        arguments: Mapping[str, Any],
        progress: Progress | None = None,
        ask: Ask | None = None,
    ) -> dict[str, Any]:
        """Return the result; a call that was refused or failed is one with `isError`, fit for a model to read.

        Raises:
            UnknownToolError: there is no such tool.
        """
        if not caller.may_call:
            return refused(caller.lacks(CALL))
        context = CallContext(request_id=caller.request_id, progress=progress, ask=ask)
        try:
            return shown(await self._stopping.wait(self._router.call(name, arguments, context)))
        except NotFoundError:
            raise UnknownToolError(f"Unknown tool: {name}") from None
        except PrxError as error:
            return refused(error)
        except Exception:  # noqa: BLE001 - the request handler's edge: the SDK would tell the client what failed
            _log.exception("tool call failed", tool=name, request_id=caller.request_id)
            return refused(
                PrxError(f"Internal error. The daemon's log has more under request id {caller.request_id}")
            )


def shown(result: ToolResult) -> dict[str, Any]:
    """Return what a tool gave back; its receipt is in `_meta`, where no model pays for it."""
    if result.raw is not None and (whole := _whole(result.raw)) is not None:
        return whole
    document = _content(result.output)
    meta: dict[str, Any] = {}
    if result.receipt is not None:
        meta[RECEIPT_KEY] = result.receipt._asdict()
    if result.error is not None:
        document["isError"] = True
        if result.error.message not in (item["text"] for item in document["content"]):
            document["content"].append(_text(result.error.message))
        meta[ERROR_KEY] = {"code": result.error.code}
    if meta:
        document["_meta"] = meta
    return document


def _whole(raw: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return an MCP server's answer as it is passed on; None where it is no result yet, or none of MCP."""
    found: dict[str, Any] = {**raw, "resultType": raw.get("resultType") or "complete"}
    if isinstance(meta := found.get("_meta"), dict):
        # Receipts and codes are of this daemon's calls.
        found["_meta"] = {key: value for key, value in meta.items() if not key.startswith(_OWN_META)}
    if found["resultType"] != "complete" or not (is_plain(found) or _is_result(found)):
        return None
    return found


def _is_result(found: Mapping[str, Any]) -> bool:
    try:
        CallToolResult.model_validate(found, by_name=False)
    except ValidationError:
        return False
    return isinstance(found.get("content"), list)


def refused(error: PrxError) -> dict[str, Any]:
    """Return the result of a call that was not run."""
    about = {"code": error.code} | ({} if error.details is None else {"details": dict(error.details)})
    return {
        "resultType": "complete",
        "content": [_text(error.message)],
        "isError": True,
        "_meta": {ERROR_KEY: about},
    }


def _content(output: Any) -> dict[str, Any]:
    if output is None:
        return {"resultType": "complete", "content": []}
    if isinstance(output, str):
        return {"resultType": "complete", "content": [_text(output)]}
    # NaN and infinity, which JSON cannot say, are null.
    text = to_json(output, inf_nan_mode="null")
    document = {"resultType": "complete", "content": [_text(text.decode())]}
    if isinstance(output, dict):
        document["structuredContent"] = from_json(text)
    return document


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
