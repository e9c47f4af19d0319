"""An agent with a model that says what the test wants."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from prx.agent.agent import Agent
from prx.agent.pending import Pending
from prx.agent.prompt import Prompts
from prx.agent.providers.chain import Providers
from prx.agent.recollection import Recollection
from prx.agent.sessions import Sessions
from prx.agent.skills import Skills
from prx.agent.turn import Turns
from prx.config.schema import Config, MemoryConfig, ProviderConfig
from prx.core.message import Answer, Approval
from prx.core.outbox import NoOutbox, Outbox, StoredEvent
from prx.core.provider import ChatAnswer, ChatProvider, ChatRequest, ToolRequest
from prx.core.session import TokenUsage
from prx.core.tool import CallContext, ToolResult, ToolSpec
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.support.waiting import eventually

Reply = str | ChatAnswer | BaseException | asyncio.Event
"""What a model does next: say a piece of text, end with an answer, fail, or wait until it is told to go on."""


class Model:
    """A provider whose answers are a script: one list of replies for each request."""

    name = "script"

    def __init__(self, *script: Sequence[Reply]) -> None:
        self.script = [*script]
        self.asked: list[ChatRequest] = []
        self.closed = 0
        """How many answers were broken off."""

    async def chat(
        self, request: ChatRequest, _context: CallContext
    ) -> AsyncGenerator[str | ChatAnswer, None]:
        self.asked.append(request)
        replies = self.script.pop(0) if self.script else saying(f"answer {len(self.asked)}")
        try:
            for reply in replies:
                if isinstance(reply, BaseException):
                    raise reply
                if isinstance(reply, asyncio.Event):
                    await reply.wait()
                else:
                    yield reply
        except (asyncio.CancelledError, GeneratorExit):
            self.closed += 1
            raise


def saying(text: str, *, usage: TokenUsage = TokenUsage(3, 2)) -> list[Reply]:  # noqa: B008  # never changes
    return [text, ChatAnswer(text, usage=usage)]


def calling(*calls: tuple[str, str], text: str = "") -> list[Reply]:
    """Ask for tools, by name with their arguments as JSON."""
    requests = [ToolRequest(f"call-{number}", *call) for number, call in enumerate(calls, 1)]
    return [ChatAnswer(text, requests, TokenUsage(5, 1), "tool_calls")]


def configured(**tables: Any) -> Config:
    """Return a configuration whose model is the script."""
    return Config.model_validate({"provider": {"name": "script", "model": "m1"}} | tables)


@dataclass
class Bench:
    """An agent and everything around it that a test turns."""

    store: Store
    sessions: Sessions
    points: ExtensionPoints
    model: ChatProvider
    config: Config = field(default_factory=configured)
    skills: Skills = field(default_factory=lambda: Skills(list))
    outbox: Outbox = field(default_factory=NoOutbox)
    agent: Agent = field(init=False)
    memory: Memory = field(init=False)
    recollection: Recollection = field(init=False)

    async def open(self) -> None:
        """Begin with what is in the store."""
        self.memory = await Memory.open(self.store, self.points.bus)

        def config() -> Config:
            return self.config

        self.recollection = Recollection(lambda: config().memory, self.memory, self.points, self.sessions)
        provider = Providers(lambda: config().provider, self.points.providers)
        turns = Turns(config, self.points, Prompts(config, self.recollection, self.skills), provider)
        self.agent = await Agent.open(self.store, self.sessions, turns, self.points.bus, self.outbox, config)

    def configure(self, **tables: Any) -> None:
        self.config = configured(**tables)
        self.agent.reconfigured()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Run the unit, with the model offered, for the length of the block."""
        started = asyncio.Event()
        with self.points.providers.offering(self.model.name, self.model, "the test"):
            unit = asyncio.ensure_future(self.agent.run(started.set))
            await started.wait()
            try:
                yield
            finally:
                unit.cancel()
                await asyncio.wait({unit})
                await self.agent.aclose()


class Told:
    """An outbox that keeps what it was given once that is on disk: in a table of the same file."""

    def put(self, connection: sqlite3.Connection, event: StoredEvent, data: Mapping[str, Any]) -> None:
        connection.execute("INSERT INTO plugin_kv VALUES (?, ?, '')", (event, data["id"]))


class Tool:
    """Does what the test says."""

    def __init__(self, name: str, act: Any) -> None:
        self.spec = ToolSpec(name, "Does what the test says", {"type": "object"}, "builtin")
        self._act = act

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        result = self._act(arguments, context)
        return await result if asyncio.iscoroutine(result) else result


class Step:
    """Middleware that does what the test says."""

    name = "plugin:step"

    def __init__(self, stage: Any, act: Any) -> None:
        self.priorities = {stage: 50}
        self._act = act

    async def process(self, _stage: str, data: Any, _context: CallContext) -> Any:
        return self._act(data)


async def begun(bench: Bench) -> str:
    return (await bench.sessions.create("api", "user_1", {})).id


async def say(bench: Bench, session: str, content: str = "hello", **more: Any) -> Answer:
    return await (await bench.agent.post(session, content, **more)).answer()


async def transcript(bench: Bench, session: str) -> list[tuple[str, str]]:
    page = await bench.agent.transcript(session, limit=500)
    assert page.total == len(page.messages)
    return [(message.role, message.content) for message in page.messages]


async def told(pending: Pending) -> list[tuple[str, Any]]:
    """Return everything that a turn tells."""
    found: list[tuple[str, Any]] = []
    while (events := await pending.feed.after(len(found))) is not None:
        found += events
    return found


async def waiting_for_approval(bench: Bench, pending: Pending) -> Approval:
    """Return the approval that a turn waits for."""
    await eventually(lambda: bench.agent.approvals.open(pending.message.session_id))
    [approval] = bench.agent.approvals.open(pending.message.session_id)
    return approval


def no_agent(sessions: Sessions) -> Agent:
    """Return an agent for sessions that have no store."""
    points, store = ExtensionPoints.on(Bus()), sessions._store
    provider = Providers(ProviderConfig, points.providers)
    recollection = Recollection(MemoryConfig, Memory(store), points, sessions)
    turns = Turns(Config, points, Prompts(Config, recollection, Skills(list)), provider)
    return Agent(store, sessions, turns, points.bus, NoOutbox(), Config)
