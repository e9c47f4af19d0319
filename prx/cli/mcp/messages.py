"""Messages of MCP between stdio and streamable HTTP: which headers they take, and how answers are read."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, NamedTuple

Message = dict[str, Any]

VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
FAILED: Final = -32000
"""The code of errors that come from this side of the wire: no daemon, or one that refuses."""
INVALID_REQUEST: Final = -32600
HEADER_MISMATCH: Final = -32020
"""The code of the error that a request's headers do not repeat what is in it."""
_PARSE_ERROR: Final = -32700
_NAMED_BY: Final = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_PLAIN: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_ENCODED: Final = re.compile(r"=\?base64\?.*\?=")


class Event(NamedTuple):
    """One event of a stream."""

    id: str | None
    retry_ms: int | None
    message: Message | None
    """None for one that only says where the stream is."""


def parsed(line: bytes) -> Message:
    """Return the message on one line.

    Raises:
        ValueError: it is none.
    """
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a message is a JSON object")  # noqa: TRY004  # as what is not JSON at all
    return message


def era_of(message: Message) -> str | None:
    """Return the version that a message of the newer era names; older messages name none."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    version = meta.get(VERSION_KEY) if isinstance(meta, dict) else None
    return version if isinstance(version, str) else None


def newer_headers(message: Message, version: str) -> dict[str, str]:
    """Return what a request of the newer era repeats in its headers."""
    method = str(message.get("method"))
    headers = {"MCP-Protocol-Version": version, "Mcp-Method": method}
    name = message["params"].get(_NAMED_BY.get(method, ""))
    if isinstance(name, str):
        headers["Mcp-Name"] = as_header(name)
    return headers


def failure(message_id: Any, reason: str, code: int = FAILED) -> Message:
    """Return the error that answers a request."""
    return {"jsonrpc": "2.0", "id": message_id, "error": {"code": code, "message": reason}}


def not_json(error: ValueError) -> Message:
    """Return the error that answers a line that is no message."""
    return failure(None, f"Parse error: {error}", _PARSE_ERROR)


def refusal(body: bytes, status: int) -> str:
    """Return the reason in the daemon's envelope of errors, or what can be said without one."""
    try:
        reason = json.loads(body)["error"]["message"]
    except (ValueError, TypeError, KeyError):
        return f"the daemon answered with status {status}"
    return str(reason)


def is_protocol_error(body: bytes) -> bool:
    """Tell whether what was refused was answered as JSON-RPC."""
    try:
        return "jsonrpc" in json.loads(body)
    except (ValueError, TypeError):
        return False


def error_code(body: bytes) -> Any:
    """Return the code of the protocol's error that a body is, None where it is none."""
    try:
        return json.loads(body)["error"]["code"]
    except (ValueError, TypeError, KeyError):
        return None


def is_answer_to(message: Message, request_id: Any) -> bool:
    """Tell whether `message` ends the request."""
    return "method" not in message and message.get("id") == request_id


async def read_stream(lines: AsyncIterator[bytes]) -> AsyncIterator[Event]:
    """Yield the events of a stream as they come."""
    fields: dict[str, list[str]] = {}
    async for raw in lines:
        line = raw.decode(errors="replace").rstrip("\r\n")
        if line:
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
            continue
        if event := _event(fields):
            yield event
        fields = {}


def _event(fields: Mapping[str, list[str]]) -> Event | None:
    number = fields.get("id", [None])[-1]
    retry = fields.get("retry", [""])[-1]
    data = "\n".join(fields.get("data", ()))
    if not (number or data):
        return None  # a comment that shows that the stream lives
    return Event(number, int(retry) if retry.isdecimal() else None, parsed(data.encode()) if data else None)


def as_header(value: str) -> str:
    """Return `value` as the protocol writes it in a header: as it is, or encoded where that would not arrive."""
    if _PLAIN.fullmatch(value) and not _ENCODED.fullmatch(value):
        return value
    # What is no Unicode arrives as something else, and is refused there.
    return f"=?base64?{base64.b64encode(value.encode(errors='surrogatepass')).decode()}?="
