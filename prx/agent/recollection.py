"""What the agent remembers of whom, wherever it is kept. Also the unit that forgets what is old."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, Protocol

from prx.config.schema import MemoryConfig
from prx.core.errors import ConflictError, NotFoundError, PrxError
from prx.core.ids import new_id, now_utc
from prx.core.session import Session
from prx.core.storage import MemoryStorage
from prx.core.tool import CallContext, ToolFailure, ToolResult, ToolSpec
from prx.core.unit import Problem
from prx.runtime.backoff import Backoff
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logging import get_logger
from prx.runtime.memory import STEP, Meaning, Memory

SQLITE: Final = "sqlite"
_LOOK_SECS: Final = 1.0
_SWEEP_SECS: Final = 60.0
_CATEGORY: Final = "fact"

_log = get_logger("agent::memory")


class Remembered(NamedTuple):
    """One memory, as the agent uses it."""

    id: str
    text: str
    category: str


class KnowsSessions(Protocol):
    """Who can tell whose session it is."""

    async def get(self, session_id: str) -> Session:
        """Return one session."""


async def _unknown(_query: str) -> None:
    return None


class Recollection:
    """The agent's memory: the table of the store, or what a plugin offers as storage.

    A user's memories are part of that user's conversations alone, those without an owner of everybody's.
    """

    name = "agent.memory"

    def __init__(
        self,
        config: Callable[[], MemoryConfig],
        memory: Memory,
        points: ExtensionPoints,
        sessions: KnowsSessions,
        meaning_of: Callable[[str], Awaitable[Meaning | None]] = _unknown,
        clock: Callable[[], datetime] = now_utc,
    ) -> None:
        """Use `memory` unless `config` names a storage that `points` have; `meaning_of` says what queries mean."""
        self._config = config
        self._backend = config().backend
        self._memory = memory
        self._points = points
        self._sessions = sessions
        self._meaning_of = meaning_of
        self._clock = clock
        self._counted: int | None = None
        self._problem: Problem | None = None
        self._swept_at: float | None = None

    @property
    def entries(self) -> int:
        """How many entries there are, of a plugin's storage as of the last look."""
        return self._memory.entries if self._backend == SQLITE else self._counted or 0

    async def recall(self, query: str, owner: str | None) -> Sequence[Remembered]:
        """Return what fits `query` well enough to be part of a turn, the best first.

        Raises:
            PrxError: the backend could not.
        """
        config = self._config()
        return await self.search(query, config.top_k, owner, config.min_relevance_score)

    async def search(
        self, query: str, limit: int, owner: str | None, least: float = 0.0
    ) -> Sequence[Remembered]:
        """Return at most `limit` memories that fit `query`, the best first; see `recall`."""
        if self._backend == SQLITE:
            found = await self._memory.relevant(query, limit, least, owner, await self._meaning_of(query))
            return [Remembered(entry.id, entry.text, entry.category) for entry in found]
        stored = await self._storage().recall(query, limit, owner)
        fitting = [entry for entry in stored[:limit] if entry.score is None or entry.score >= least]
        if fitting:
            self._bus.publish(
                "prx.memory.recalled", {"ids": [entry.key for entry in fitting], "owner": owner}
            )
        return [Remembered(entry.key, entry.content, entry.category) for entry in fitting]

    async def store(self, text: str, category: str, owner: str | None) -> str:
        """Remember a text of `owner`; return its id.

        Raises:
            PrxError: it does not fit, or the backend could not.
        """
        if self._backend == SQLITE:
            return await self._memory.keep(text, category, owner)
        key = new_id("mem")
        await self._storage().store(key, text, category, owner)
        self._swept_at = None
        self._bus.publish("prx.memory.stored", {"id": key, "category": category, "owner": owner})
        return key

    async def forget(self, entry_id: str, owner: str | None) -> bool:
        """Remove a memory; return whether it was there.

        Raises:
            PrxError: the backend could not.
        """
        if self._backend == SQLITE:
            return await self._memory.forget(entry_id, owner)
        forgotten = await self._storage().forget(entry_id)
        self._swept_at = None
        return forgotten

    async def owner_of(self, session_id: str | None) -> str | None:
        """Return whose memories a session is about; None for everybody's alone."""
        if session_id is None:
            return None
        session = await self._sessions.get(session_id)
        return owner(session.channel, session.user_id)

    def problems(self) -> Iterable[Problem]:
        """Return why the daemon is degraded because of the memory."""
        return [] if self._problem is None else [self._problem]

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        started()
        backoff = Backoff()
        with ExitStack() as offered:
            offers = False
            while True:
                try:
                    if (wanted := self._config().tools) != offers:
                        offered.close()
                        offers = False
                        if wanted:
                            offered.enter_context(self._points.tools.offering(self._tools()))
                        offers = wanted
                    await self._look()
                except PrxError as error:
                    self._note(error)
                    await asyncio.sleep(backoff.pause_secs())
                else:
                    self._problem = None
                    backoff.reset()
                    await asyncio.sleep(_LOOK_SECS)

    @property
    def _bus(self) -> Bus:
        return self._points.bus

    def _storage(self) -> MemoryStorage:
        return self._points.storages.get(self._backend)

    def _tools(self) -> "list[MemoryTool]":
        return [_store_tool(self), _recall_tool(self), _forget_tool(self)]

    async def _look(self) -> None:
        """Once a minute, forget what is old, and ask a plugin's storage how it is; that also after each change."""
        now = asyncio.get_running_loop().time()
        if self._problem is None and self._swept_at is not None and now < self._swept_at + _SWEEP_SECS:
            return
        if self._backend != SQLITE:
            self._swept_at = now  # at first: what is changed meanwhile is counted at the next look
            self._counted = await self._storage().count()
            return
        if (days := self._config().retention_days) is not None:
            before = self._clock() - timedelta(days=days)
            while await self._memory.forget_before(before) == STEP:
                pass
        self._swept_at = now

    def _note(self, error: PrxError) -> None:
        if self._problem is None or self._problem.reason != error.message:
            _log.warning("the memory cannot be used", backend=self._backend, reason=error.message)
            action = "it is tried again by itself"
            if isinstance(error, NotFoundError):
                action = "install or mend the plugin that brings it, or set memory.backend and restart"
            elif isinstance(error, ConflictError):
                action = "give the tools of the plugin a prefix, or switch memory.tools off"
            self._problem = Problem(self.name, error.message, now_utc(), action)


def owner(channel: str, user_id: str) -> str:
    """Return the name under which the memories of a channel's user are kept."""
    return f"{channel}:{user_id}"


class MemoryTool:
    """A tool that works on the memories of the user whose session calls it; see `Tool`."""

    def __init__(self, recollection: Recollection, spec: ToolSpec, act: Callable[..., Any]) -> None:
        """Have `act` work on the recollection, with the owner and the arguments."""
        self.spec = spec
        self._recollection = recollection
        self._act = act

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """See `Tool.call`."""
        try:
            whose = await self._recollection.owner_of(context.session_id)
            return ToolResult(await self._act(self._recollection, whose, **arguments))
        except PrxError as error:
            return ToolResult(error=ToolFailure(error.code, error.message))


def _spec(name: str, description: str, properties: Mapping[str, Any], *required: str) -> ToolSpec:
    schema = {
        "type": "object",
        "properties": dict(properties),
        "required": list(required),
        "additionalProperties": False,
    }
    return ToolSpec(name, description, schema, "builtin")


def _store_tool(recollection: Recollection) -> MemoryTool:
    async def act(
        memory: Recollection, whose: str | None, text: str, category: str = _CATEGORY
    ) -> dict[str, str]:
        return {"id": await memory.store(text, category, whose)}

    properties = {
        "text": {"type": "string", "description": "What to remember, in a sentence that stands for itself"},
        "category": {"type": "string", "description": "A word for its kind, such as fact or preference"},
    }
    about = "Remember something about the user for later conversations"
    return MemoryTool(recollection, _spec("memory_store", about, properties, "text"), act)


def _recall_tool(recollection: Recollection) -> MemoryTool:
    async def act(
        memory: Recollection, whose: str | None, query: str, limit: int = 10
    ) -> list[dict[str, str]]:
        return [found._asdict() for found in await memory.search(query, limit, whose)]

    properties = {
        "query": {"type": "string", "description": "Words to look for"},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
    }
    return MemoryTool(
        recollection, _spec("memory_recall", "Look for what was remembered", properties, "query"), act
    )


def _forget_tool(recollection: Recollection) -> MemoryTool:
    async def act(memory: Recollection, whose: str | None, id: str) -> dict[str, bool]:  # noqa: A002  # its name in JSON
        return {"forgotten": await memory.forget(id, whose)}

    properties = {"id": {"type": "string", "description": "As memory_recall tells it"}}
    return MemoryTool(recollection, _spec("memory_forget", "Forget something", properties, "id"), act)
