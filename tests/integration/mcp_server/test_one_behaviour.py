"""The short way of calls answers as the SDK does, to requests that are right and to those that are not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from prx.core.tool import ToolResult, ToolSpec
from tests.integration.api.api_harness import Reply
from tests.integration.mcp_server.clients import LEGACY, NEWEST, Port, Wire, events_of
from tests.integration.mcp_server.conftest import MakePort

ERAS = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY, NEWEST]
Change = Callable[[dict[str, Any], dict[str, str]], None]


class Mirroring:
    """A tool one of whose arguments is repeated in a header."""

    spec = ToolSpec(
        "mirroring", "", {"type": "object", "properties": {"where": {"type": "string", "x-mcp-header": "Where"}}}, "x"
    )  # fmt: skip

    async def call(self, arguments: Any, _context: Any) -> ToolResult:
        return ToolResult(output={"got": arguments["where"]})


def call(**params: Any) -> Change:
    """Have the call's parameters be others."""

    def change(message: dict[str, Any], _headers: dict[str, str]) -> None:
        for name, value in params.items():
            if value is ...:
                del message["params"][name]
            else:
                message["params"][name] = value

    return change


def message(**fields: Any) -> Change:
    """Have the message's fields be others."""
    return lambda message, _headers: message.update(fields)


def header(**fields: str) -> Change:
    """Have headers be others, or be there at all."""
    return lambda _message, headers: headers.update(
        {name.replace("_", "-"): text for name, text in fields.items()}
    )


def meta(**fields: Any) -> Change:
    def change(message: dict[str, Any], _headers: dict[str, str]) -> None:
        message["params"]["_meta"] = {**message["params"].get("_meta", {}), **fields}

    return change


def mirroring(**headers: str) -> Change:
    def change(message: dict[str, Any], sent: dict[str, str]) -> None:
        message["params"] |= {"name": "mirroring", "arguments": {"where": "here"}}
        if "Mcp-Name" in sent:
            sent["Mcp-Name"] = "mirroring"
        sent.update({name.replace("_", "-"): text for name, text in headers.items()})

    return change


CHANGES: dict[str, Change] = {
    "as it should be": message(),
    "an id that is a text": message(id="a"),
    "an id that is a fraction": message(id=1.5),
    "an id that is null": message(id=None),
    "an id that is a list": message(id=[]),
    "an id that is true": message(id=True),
    "another JSON-RPC": message(jsonrpc="1.0"),
    "a field more": message(more=1),
    "parameters that are a list": message(params=[1]),
    "no name": call(name=...),
    "a name that is a number": call(name=3),
    "another name than in the header": call(name="other"),
    "no arguments": call(arguments=...),
    "arguments that are null": call(arguments=None),
    "arguments that are a list": call(arguments=[]),
    "arguments that do not fit": call(arguments={"text": 1}),
    "a parameter more": call(more=1),
    "meta of its own": meta(traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    "meta that is wrong": meta(**{"io.modelcontextprotocol/clientInfo": {"name": 3}}),
    "another version in the body": meta(**{"io.modelcontextprotocol/protocolVersion": "2099-01-01"}),
    "capabilities that are a text": meta(**{"io.modelcontextprotocol/clientCapabilities": "x"}),
    "a log level": meta(**{"io.modelcontextprotocol/logLevel": "debug"}),
    "meta that is null": call(_meta=None),
    "a progress token": meta(progressToken=7),
    "only JSON accepted": header(Accept="application/json"),
    "anything accepted": header(Accept="*/*"),
    "nothing accepted": header(Accept="text/html"),
    "another type of content": header(Content_Type="text/plain"),
    "a version that nobody knows": header(Mcp_Protocol_Version="1999-01-01"),
    "a session that nobody knows": header(Mcp_Session_Id="nonesuch"),
    "another method in the header": header(Mcp_Method="tools/list"),
    "an encoded name": header(Mcp_Name="=?base64?ZWNobw==?="),
    "a header that belongs to an argument": mirroring(Mcp_Param_Where="here"),
    "a wrong header that belongs to an argument": mirroring(Mcp_Param_Where="there"),
    "no header that belongs to an argument": mirroring(),
}


@pytest.fixture
async def both(make_port: MakePort) -> list[Port]:
    """The same daemon twice: with the short way, and without."""
    return [await make_port(quick_secs=seconds) for seconds in (0.5, 0.0)]


@pytest.mark.parametrize("era", ERAS)
async def test_both_ways_answer_the_same(both: list[Port], era: str) -> None:
    wires = [await port.wire(era) for port in both]
    for what, change in CHANGES.items():
        found = []
        for port, wire in zip(both, wires, strict=True):
            with port.api.router.offering([Mirroring()]):
                found.append(told(await changed(wire, change)))
        assert found[0] == found[1], what


async def changed(wire: Wire, change: Change) -> Reply:
    asked = wire.request("tools/call", {"name": "echo", "arguments": {"text": "hello"}})
    headers = wire.headers("tools/call", {"name": "echo"})
    change(asked, headers)
    return await wire.port.api.call("POST", "/mcp", data=json.dumps(asked), headers=headers)


def told(reply: Reply) -> tuple[int, Any]:
    """Return what a client makes of an answer: a call's result may come as JSON or on a stream."""
    return reply.status, events_of(reply.body) if reply.body else None
