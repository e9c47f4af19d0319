"""The functions of `prx:host@0.1.0`, typed as its WIT says and bound to what serves them."""

from collections.abc import Callable

from prx.plugins.abi.wit import EnumType, FuncType, ListType, OptionType, Prim, ResultType, TupleType, WitType
from prx.plugins.calls import Call
from prx.plugins.host.functions import HostFunction
from prx.plugins.host.kv import KeyValue
from prx.plugins.host.output import LEVELS

_BYTES = ListType(Prim.U8)
_STRINGS = ListType(Prim.STRING)
_PAIRS = ListType(TupleType((Prim.STRING, Prim.STRING)))
_DONE = ResultType(None, Prim.STRING)


def host_functions(kv: KeyValue) -> list[HostFunction]:
    """Return every host function; `kv` keeps what the plugins store."""
    return [
        _function("log", "log", {"level": EnumType(LEVELS), "message": Prim.STRING}, None, _log),
        _function("config", "get", {"key": Prim.STRING}, OptionType(Prim.STRING), _config_get),
        _function("config", "get-all", {}, _PAIRS, _config_get_all),
        _function("kv", "get", {"key": Prim.STRING}, OptionType(_BYTES), kv.get),
        _function("kv", "set", {"key": Prim.STRING, "value": _BYTES}, _DONE, kv.set),
        _function("kv", "delete", {"key": Prim.STRING}, ResultType(Prim.BOOL, Prim.STRING), kv.delete),
        _function("kv", "list-keys", {"prefix": Prim.STRING}, _STRINGS, kv.list_keys),
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
