"""Clients of `/mcp`: the SDK's own, and requests made by hand."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
from aiohttp import ClientResponse
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from prx.api.deps import MCP
from prx.mcp.server.sessions import Session
from tests.integration.api.api_harness import Api, Reply

NEWEST = "2026-07-28"
LEGACY = "2025-11-25"
ACCEPT = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
ENVELOPE = {
    "io.modelcontextprotocol/protocolVersion": NEWEST,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}


def events_of(body: bytes) -> list[Any]:
    """Return the messages of a stream, or the one that a body is."""
    text = body.decode()
    if text.startswith("{"):
        return [json.loads(text)]
    lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line]


@dataclass
class Wire:
    """One client that writes its requests itself."""

    port: "Port"
    version: str
    session: str | None = None
    token: str | None = None

    def headers(self, method: str, params: Mapping[str, Any]) -> dict[str, str]:
        found = {**ACCEPT, "Mcp-Protocol-Version": self.version}
        if self.session is not None:
            found["Mcp-Session-Id"] = self.session
        if self.version == NEWEST:
            found["Mcp-Method"] = method
            if "name" in params:
                found["Mcp-Name"] = params["name"]
        return found

    async def send(self, message: Mapping[str, Any], *, headers: Mapping[str, str] | None = None) -> Reply:
        params = message.get("params", {})
        sent = self.headers(message.get("method", ""), params) | dict(headers or {})
        more = {} if self.token is None else {"token": self.token}
        return await self.port.api.call("POST", "/mcp", data=json.dumps(message), headers=sent, **more)

    def request(
        self, method: str, params: Mapping[str, Any] | None = None, number: Any = 1
    ) -> dict[str, Any]:
        full = dict(params or {})
        if self.version == NEWEST:
            full["_meta"] = {**ENVELOPE, **full.get("_meta", {})}
        return {"jsonrpc": "2.0", "id": number, "method": method, "params": full}

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, number: Any = 1) -> Any:
        """Return the last message of the answer."""
        return events_of((await self.send(self.request(method, params, number))).body)[-1]

    async def call(self, name: str, arguments: Mapping[str, Any], number: Any = 1) -> Any:
        return await self.ask("tools/call", {"name": name, "arguments": dict(arguments)}, number)


@dataclass
class Port:
    """The port of one daemon, as MCP clients see it."""

    api: Api

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.api.port}/mcp"

    @asynccontextmanager
    async def client(self, mode: str, *, token: str | None = None, **options: Any) -> AsyncIterator[Client]:
        """Connect the SDK's client."""
        headers = {"Authorization": f"Bearer {token or self.api.token}"}
        async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=mode, **options) as client:  # type: ignore[arg-type]
                yield client

    async def wire(self, version: str, *, token: str | None = None) -> Wire:
        """Return a client that has shaken hands where the version asks for it."""
        wire = Wire(self, version, token=token)
        if version == NEWEST:
            return wire
        hello = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        }
        reply = await wire.send(wire.request("initialize", hello, 0))
        assert reply.status == 200, reply.body
        wire.session = reply.headers["Mcp-Session-Id"]
        ready = await wire.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert ready.status == 202, ready.body
        return wire

    @asynccontextmanager
    async def stream(self, wire: Wire, *, last_event: str | None = None) -> AsyncIterator[ClientResponse]:
        """Open the stream of a session, behind an event where one is named."""
        assert self.api.session is not None
        headers = wire.headers("", {}) | {"Authorization": f"Bearer {wire.token or self.api.token}"}
        if last_event is not None:
            headers["Last-Event-ID"] = last_event
        async with self.api.session.get(self.url, headers=headers) as response:
            assert response.status == 200
            yield response

    @property
    def open_sessions(self) -> int:
        return len(self._life._sessions)

    @property
    def open_requests(self) -> int:
        """Those that the SDK answers."""
        return len(self._life._open)

    @property
    def _life(self) -> Any:
        assert self.api.app is not None
        host = self.api.app[MCP]._host
        assert host is not None
        return host._life

    @property
    def kept_events(self) -> int:
        return len(self._life._events._events)

    def session_of(self, wire: Wire) -> Session:
        assert wire.session is not None
        found: Session = self._life._sessions._by_id[wire.session]
        return found

    @property
    def rounds(self) -> Any:
        """What waits for clients of the newest version."""
        return self._life._server.rounds

    @property
    def waiting_rounds(self) -> int:
        """How many calls do."""
        return len(self.rounds)

    @property
    def held(self) -> dict[str, int]:
        """How many clients want to hear of each resource."""
        found: dict[str, int] = self._life.passing._held
        return found
