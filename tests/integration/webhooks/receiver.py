"""A receiver on loopback: verifies every delivery as its owner would, and answers as a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

from tests.integration.egress.servers import Answer, Received, Server, ok, serving
from tests.support.waiting import eventually

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@dataclass
class Receiver:
    """What came, in order, each with a signature that the reference implementation accepts."""

    server: Server
    secret: str = SECRET
    answers: list[Answer] = field(default_factory=list)
    """What the next requests are answered with; the last one goes on."""
    received: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Received] = field(default_factory=list)

    @property
    def url(self) -> str:
        return self.server.url("/hook")

    def numbers(self) -> list[int]:
        """Return the numbers that tests give their events, in the order of arrival."""
        return [event["data"]["number"] for event in self.received]

    async def has(self, count: int) -> list[dict[str, Any]]:
        """Wait until `count` deliveries have come; return them."""
        await eventually(lambda: len(self.received) >= count)
        return self.received

    def take(self, request: Received) -> None:
        headers = {name: request.values(name)[0] for name in HEADERS}
        event = Webhook(self.secret).verify(request.body, headers)
        assert event["id"] == headers["webhook-id"]
        self.requests.append(request)
        self.received.append(event)


HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


@asynccontextmanager
async def receiving(*answers: Answer, secret: str = SECRET, port: int = 0) -> AsyncIterator[Receiver]:
    """Take deliveries until the block ends; by default each is answered with 200."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        receiver.take(request)
        reply = receiver.answers[0]
        if len(receiver.answers) > 1:
            del receiver.answers[0]
        await reply(request, writer)

    async with serving(answer, port=port) as server:
        receiver = Receiver(server, secret, list(answers) or [ok()])
        yield receiver
