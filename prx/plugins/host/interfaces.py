"""The functions of `prx:host@0.1.0`, typed as its WIT says and bound to what serves them; and those of WASI."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from prx.plugins.abi.wit import (
    EnumType,
    FuncType,
    ListType,
    OptionType,
    Prim,
    RecordType,
    ResultType,
    TupleType,
    WitType,
)
from prx.plugins.calls import Call
from prx.plugins.host.events import Events
from prx.plugins.host.functions import HostFunction
from prx.plugins.host.http import HttpOutbound
from prx.plugins.host.kv import KeyValue
from prx.plugins.host.wasi.functions import WasiFunction
from prx.plugins.host.wasi.linking import wasi_functions
from prx.runtime.bus import Bus
from prx.runtime.foreign_output import LEVELS
from prx.runtime.memory import Memory
from prx.runtime.store import Store

_BYTES = ListType(Prim.U8)
_STRINGS = ListType(Prim.STRING)
_PAIRS = ListType(TupleType((Prim.STRING, Prim.STRING)))
_DONE = ResultType(None, Prim.STRING)


_MEMORY_ENTRY = RecordType(
    (("id", Prim.STRING), ("text", Prim.STRING), ("category", Prim.STRING), ("importance", Prim.F64))
)
_RESPONSE = RecordType((("status", Prim.U16), ("headers", _PAIRS), ("body", _BYTES)))


@dataclass(frozen=True, slots=True)
class HostServices:
    """What the daemon has that guests may use."""

    store: Store
    memory: Memory
    bus: Bus


def host_functions(
    services: HostServices, http: HttpOutbound, loop: asyncio.AbstractEventLoop
) -> list[HostFunction | WasiFunction]:
    """Return every function of `prx:host@0.1.0` and of WASI that the host serves; `loop` is where the bus lives."""
    kv, events = KeyValue(services.store), Events(services.bus, loop)
    request: dict[str, WitType] = {
        "method": Prim.STRING,
        "url": Prim.STRING,
        "headers": _PAIRS,
        "body": OptionType(_BYTES),
    }
    return [
        _function("log", "log", {"level": EnumType(LEVELS), "message": Prim.STRING}, None, _log),
        _function("config", "get", {"key": Prim.STRING}, OptionType(Prim.STRING), _config_get),
        _function("config", "get-all", {}, _PAIRS, _config_get_all),
        _function("kv", "get", {"key": Prim.STRING}, OptionType(_BYTES), kv.get),
        _function("kv", "set", {"key": Prim.STRING, "value": _BYTES}, _DONE, kv.set),
        _function("kv", "delete", {"key": Prim.STRING}, ResultType(Prim.BOOL, Prim.STRING), kv.delete),
        _function("kv", "list-keys", {"prefix": Prim.STRING}, _STRINGS, kv.list_keys),
        _function("http-outbound", "request", request, ResultType(_RESPONSE, Prim.STRING), http.request),
        _function(
            "memory",
            "store",
            {"text": Prim.STRING, "category": Prim.STRING},
            ResultType(Prim.STRING, Prim.STRING),
            partial(_memory_store, services.memory),
        ),
        _function(
            "memory",
            "recall",
            {"query": Prim.STRING, "limit": Prim.U32},
            ResultType(ListType(_MEMORY_ENTRY), Prim.STRING),
            partial(_memory_recall, services.memory),
        ),
        _function("events", "publish", {"topic": Prim.STRING, "payload": Prim.STRING}, _DONE, events.publish),
        _function(
            "events",
            "subscribe",
            {"pattern": Prim.STRING},
            ResultType(Prim.U64, Prim.STRING),
            events.subscribe,
        ),
        _function("events", "unsubscribe", {"id": Prim.U64}, _DONE, events.unsubscribe),
        *wasi_functions(http),
    ]


def _function(
    interface: str, name: str, params: dict[str, WitType], result: WitType | None, run: Callable[..., object]
) -> HostFunction:
    return HostFunction(interface, name, FuncType(tuple(params.items()), result), run)


def _log(call: Call, level: str, message: str) -> None:
    call.owner.output.write(level, message)


def _config_get(call: Call, key: str) -> str | None:
    return call.owner.config.get(key)


def _config_get_all(call: Call) -> list[list[str]]:
    return [[key, value] for key, value in call.owner.config.items()]


def _memory_store(memory: Memory, call: Call, text: str, category: str) -> str:
    return memory.remember(text, category, call.remaining_secs())


def _memory_recall(memory: Memory, call: Call, query: str, limit: int) -> list[dict[str, Any]]:
    return [entry._asdict() for entry in memory.recall(query, limit, call.remaining_secs())]
