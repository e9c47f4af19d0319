"""Files in what plain components give back: records that are nothing but a name, a media type and bytes."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from prx.core.tool import ToolFile
from prx.plugins.abi.wit import ListType, OptionType, Prim, RecordType, ResultType, WitType, snake

Find = Callable[[Any], Iterator[ToolFile]]
"""From the JSON form of a value to the files in it."""

_FILE: Final = {"name": Prim.STRING, "media-type": Prim.STRING, "content": ListType(Prim.U8)}


def compile_files(result: WitType | None) -> Find | None:
    """Return the closure that finds the files in the output of a function with this result; None for one without any.

    They are found as the result, in lists, in options, and in the fields of records.
    """
    return _find(result.ok if isinstance(result, ResultType) else result)


def _find(wit_type: WitType | None) -> Find | None:
    match wit_type:
        case RecordType(fields=fields) if dict(fields) == _FILE:
            return lambda value: iter([ToolFile(value["name"], value["media_type"], value["content"])])
        case RecordType(fields=fields):
            found = {snake(name): find for name, of in fields if (find := _find(of)) is not None}
            return _in_fields(found) if found else None
        case ListType(element=element):
            return None if (find := _find(element)) is None else _in_list(find)
        case OptionType(payload=payload) if not isinstance(payload, OptionType):
            return None if (find := _find(payload)) is None else _in_option(find)
        case _:
            return None


def _in_fields(found: dict[str, Find]) -> Find:
    return lambda value: (file for name, find in found.items() for file in find(value[name]))


def _in_list(find: Find) -> Find:
    return lambda value: (file for each in value for file in find(each))


def _in_option(find: Find) -> Find:
    return lambda value: iter(()) if value is None else find(value)
