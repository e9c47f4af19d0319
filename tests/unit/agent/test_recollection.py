"""What the agent remembers: in the store or with a plugin, for whom, and for how long."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from prx.agent.recollection import MemoryTool, Recollection, owner
from prx.agent.sessions import Sessions
from prx.config.schema import AgentConfig, MemoryConfig
from prx.core.errors import CallFailedError
from prx.core.event import topics
from prx.core.outbox import NoOutbox
from prx.core.storage import StoredMemory
from prx.core.tool import CallContext, ToolSpec
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from tests.support.waiting import eventually

OWNER = "api:user_1"


class Notebook:
    """A storage as a plugin offers one."""

    name = "notebook"

    def __init__(self) -> None:
        self.kept: dict[str, tuple[str, str, str | None]] = {}
        self.broken = False

    async def store(self, key: str, content: str, category: str, session_id: str | None = None) -> None:
        self.kept[key] = content, category, session_id

    async def recall(self, query: str, limit: int, session_id: str | None = None) -> Sequence[StoredMemory]:
        found = [
            StoredMemory(key, key, content, category, "2026-01-01T00:00:00Z", 0.5)
            for key, (content, category, session) in self.kept.items()
            if query in content and session == session_id
        ]
        return found[:limit]

    async def forget(self, key: str) -> bool:
        return self.kept.pop(key, None) is not None

    async def count(self) -> int:
        if self.broken:
            raise CallFailedError("the notebook is closed")
        return len(self.kept)

    async def healthy(self) -> bool:
        return not self.broken


class Life:
    """A recollection with what is around it."""

    def __init__(self, store: Store, memory: Memory, points: ExtensionPoints, sessions: Sessions) -> None:
        self.store = store
        self.memory = memory
        self.points = points
        self.sessions = sessions
        self.config = MemoryConfig()
        self.now = datetime(2026, 3, 21, tzinfo=UTC)

    @asynccontextmanager
    async def remembering(self, **config: object) -> AsyncIterator[Recollection]:
        """Run the unit for the length of the block."""
        self.config = MemoryConfig.model_validate(config)
        found = Recollection(
            lambda: self.config, self.memory, self.points, self.sessions, clock=lambda: self.now
        )
        unit = asyncio.ensure_future(found.run(lambda: None))
        try:
            yield found
        finally:
            unit.cancel()
            await asyncio.wait({unit})

    async def run(self, tool: str, session: str | None = None, **arguments: object) -> object:
        result = await self.points.tools.call(tool, arguments, CallContext(session_id=session))
        assert result.error is None, result.error
        return result.output


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Life]:
    store = await Store.open(tmp_path / "prx.db")
    points = ExtensionPoints.on(Bus())
    sessions = await Sessions.open(store, points.bus, NoOutbox(), AgentConfig)
    yield Life(store, await Memory.open(store, points.bus), points, sessions)
    await store.aclose()


async def test_memories_are_stored_recalled_and_forgotten(life: Life) -> None:
    async with life.remembering() as memory:
        with life.points.bus.subscribed(topics("prx.memory.*")) as heard:
            first = await memory.store("tea at four", "habit", OWNER)
            [found] = await memory.recall("tea?", OWNER)
            told = [(event.topic, event.payload) for event in (await heard.take(), await heard.take())]
        assert (found.id, found.text, found.category) == (first, "tea at four", "habit")
        assert told == [
            ("prx.memory.stored", {"id": first, "category": "habit", "owner": OWNER}),
            ("prx.memory.recalled", {"ids": [first], "owner": OWNER}),
        ]
        assert memory.entries == 1
        assert await memory.recall("tea?", "api:user_2") == []
        assert not await memory.forget(first, "api:user_2")
        assert await memory.forget(first, OWNER)
        assert (memory.entries, await memory.recall("tea?", OWNER)) == (0, [])


async def test_what_plugins_remember_is_everybodys_and_they_see_no_users(life: Life) -> None:
    async with life.remembering() as memory:
        await asyncio.to_thread(life.memory.remember, "tea for all", "fact", 10)
        await memory.store("tea at four", "habit", OWNER)
        assert len(await memory.recall("tea", OWNER)) == 2
        assert len(await memory.recall("tea", None)) == 1
        assert [entry.text for entry in await asyncio.to_thread(life.memory.recall, "tea", 10, 10)] == [
            "tea for all"
        ]


async def test_old_memories_are_forgotten(life: Life) -> None:
    await life.memory.keep("old", "fact", None)
    life.now = datetime.now(UTC) + timedelta(days=30, minutes=1)
    async with life.remembering(retention_days=31) as memory:
        await eventually(lambda: memory._swept_at is not None)
        assert memory.entries == 1
    async with life.remembering(retention_days=30) as memory:
        await eventually(lambda: memory.entries == 0)


async def test_a_plugin_keeps_them_where_that_is_configured(life: Life) -> None:
    notebook = Notebook()
    with life.points.storages.offering("notebook", notebook, "plugin:x"):
        async with life.remembering(backend="notebook", min_relevance_score=0.5) as memory:
            key = await memory.store("tea at four", "habit", OWNER)
            assert notebook.kept == {key: ("tea at four", "habit", OWNER)}
            assert [found.text for found in await memory.recall("tea", OWNER)] == ["tea at four"]
            life.config = life.config.model_copy(update={"min_relevance_score": 0.6})
            assert await memory.recall("tea", OWNER) == []
            await eventually(lambda: memory.entries == 1)
            assert await memory.forget(key, OWNER)
            await eventually(lambda: memory.entries == 0)
        assert life.memory.entries == 0


async def test_a_storage_that_is_not_there_is_a_problem_until_it_is(life: Life) -> None:
    notebook = Notebook()
    await notebook.store("k", "tea", "fact")
    async with life.remembering(backend="notebook") as memory:
        await eventually(memory.problems)
        [problem] = memory.problems()
        assert problem.reason == 'storage "notebook" not found; there is none'
        with life.points.storages.offering("notebook", notebook, "plugin:x"):
            await eventually(lambda: not memory.problems())
            assert memory.entries == 1


async def test_the_model_has_tools_for_it_where_that_is_configured(life: Life) -> None:
    session = await life.sessions.create("api", "user_1", {})
    other = await life.sessions.create("api", "user_2", {})
    async with life.remembering(tools=True):
        await eventually(life.points.tools.specs)
        assert [spec.name for spec in life.points.tools.specs()] == [
            "memory_forget",
            "memory_recall",
            "memory_store",
        ]
        stored = await life.run("memory_store", session.id, text="likes tea")
        assert isinstance(stored, dict)
        found = [{"id": stored["id"], "text": "likes tea", "category": "fact"}]
        assert await life.run("memory_recall", session.id, query="tea") == found
        assert await life.run("memory_recall", other.id, query="tea") == []
        assert await life.run("memory_recall", query="tea") == []
        assert await life.run("memory_forget", other.id, id=stored["id"]) == {"forgotten": False}
        assert await life.run("memory_forget", session.id, id=stored["id"]) == {"forgotten": True}
        unfit = await life.points.tools.call("memory_store", {"text": ""}, CallContext(session_id=session.id))
        assert unfit.error is not None
        assert unfit.error.code == "bad_request"
        life.config = MemoryConfig()
        await eventually(lambda: not life.points.tools.specs())


async def test_a_name_that_is_taken_is_a_problem_until_it_is_free(life: Life) -> None:
    taken = MemoryTool(
        Recollection(MemoryConfig, life.memory, life.points, life.sessions),
        ToolSpec("memory_store", "Mine", {"type": "object"}, "plugin:x"),
        lambda *_: None,
    )
    with life.points.tools.offering([taken]):
        async with life.remembering(tools=True) as memory:
            await eventually(memory.problems)
            [problem] = memory.problems()
            assert problem.reason == 'tool "memory_store" is already offered by plugin:x'
            assert "memory.tools" in problem.action


def test_an_owner_is_a_user_of_a_channel() -> None:
    assert owner("telegram", "42") == "telegram:42"
