"""The PRX `storage` world: a place for the agent's memory that a plugin brings."""

from collections.abc import Mapping, Sequence
from typing import Any

from prx.core.errors import CallFailedError
from prx.core.storage import StoredMemory
from prx.core.tool import CallContext
from prx.plugins.abi.wit import ListType, OptionType, Prim, RecordType, ResultType
from prx.plugins.worlds.binding import Binding, Guest, Signature

INTERFACE = "prx:plugin/storage-exports"

_SESSION = ("session-id", OptionType(Prim.STRING))
_ENTRY = RecordType(
    (
        ("id", Prim.STRING),
        ("key", Prim.STRING),
        ("content", Prim.STRING),
        ("category", Prim.STRING),
        ("timestamp", Prim.STRING),
        ("score", OptionType(Prim.F64)),
    )
)

NAME = Signature(result=Prim.STRING)
SIGNATURES = {
    "name": NAME,
    "store-memory": Signature(
        [("key", Prim.STRING), ("content", Prim.STRING), ("category", Prim.STRING), _SESSION],
        ResultType(None, Prim.STRING),
    ),
    "recall-memory": Signature(
        [("query", Prim.STRING), ("limit", Prim.U32), _SESSION], ResultType(ListType(_ENTRY), Prim.STRING)
    ),
    "forget-memory": Signature([("key", Prim.STRING)], ResultType(Prim.BOOL, Prim.STRING)),
    "count-memories": Signature(result=ResultType(Prim.U32, Prim.STRING)),
    "health-check": Signature(result=Prim.BOOL),
}


class PluginStorage:
    """One generation's memory functions; see `MemoryStorage`."""

    def __init__(self, name: str, guest: Guest, functions: Mapping[str, Binding]) -> None:
        """Ask `guest`, which calls itself `name`."""
        self.name = name
        self._guest = guest
        self._functions = functions

    async def store(self, key: str, content: str, category: str, session_id: str | None = None) -> None:
        """See `MemoryStorage.store`."""
        await self._ask("store-memory", key, content, category, session_id)

    async def recall(self, query: str, limit: int, session_id: str | None = None) -> Sequence[StoredMemory]:
        """See `MemoryStorage.recall`."""
        return [StoredMemory(**entry) for entry in await self._ask("recall-memory", query, limit, session_id)]

    async def forget(self, key: str) -> bool:
        """See `MemoryStorage.forget`."""
        return bool(await self._ask("forget-memory", key))

    async def count(self) -> int:
        """See `MemoryStorage.count`."""
        return int(await self._ask("count-memories"))

    async def healthy(self) -> bool:
        """See `MemoryStorage.healthy`."""
        return bool(await self._ask("health-check"))

    async def _ask(self, function: str, *arguments: Any) -> Any:
        result = await self._guest.call(self._functions[function], arguments, CallContext())
        if (failure := result.error) is not None:
            raise CallFailedError(f'storage "{self.name}": {failure.message}', details={"code": failure.code})
        return result.output
