"""Files in what plain components give back, found by the types of their functions."""

import base64
from typing import Any

import pytest
from hypothesis import given

from prx.core.tool import ToolFile
from prx.plugins.abi.wit import ListType, OptionType, Prim, RecordType, ResultType, TupleType, WitType
from prx.plugins.worlds.files import compile_files
from tests.components.corpus import component
from tests.support.guests import guest_of
from tests.support.wit_types import json_values

_BYTES = ListType(Prim.U8)
FILE = RecordType((("content", _BYTES), ("name", Prim.STRING), ("media-type", Prim.STRING)))
CAT = {"name": "cat", "media_type": "image/png", "content": "bWVvdw=="}
_CAT = ToolFile("cat", "image/png", "bWVvdw==")


@pytest.mark.parametrize(
    ("wit_type", "output", "files"),
    [
        (FILE, CAT, [_CAT]),
        (ListType(FILE), [CAT, CAT], [_CAT, _CAT]),
        (OptionType(FILE), None, []),
        (ResultType(OptionType(FILE), Prim.STRING), CAT, [_CAT]),
        (
            RecordType((("sum-up", Prim.STRING), ("all-plots", ListType(FILE)))),
            {"sum_up": "", "all_plots": [CAT]},
            [_CAT],
        ),
    ],
)
def test_files_are_found_wherever_the_type_has_them(
    wit_type: WitType, output: Any, files: list[ToolFile]
) -> None:
    find = compile_files(wit_type)
    assert find is not None
    assert list(find(output)) == files


@pytest.mark.parametrize(
    "wit_type",
    [
        None,
        _BYTES,
        ResultType(None, FILE),
        TupleType((FILE, FILE)),
        RecordType((("inner", ResultType(FILE, None)),)),
        OptionType(OptionType(FILE)),
        RecordType((("name", Prim.STRING), ("media-type", Prim.STRING), ("content", Prim.STRING))),
        RecordType((*FILE.fields, ("size", Prim.U32))),
    ],
)
def test_nothing_else_is_taken_for_a_file(wit_type: WitType | None) -> None:
    assert compile_files(wit_type) is None


_MANY = RecordType((("some", ListType(OptionType(FILE))), ("one", FILE)))


@given(json_values(_MANY))
def test_whatever_a_function_of_the_type_gives_back_has_its_files(output: Any) -> None:
    find = compile_files(_MANY)
    assert find is not None
    assert len(list(find(output))) == 1 + sum(each is not None for each in output["some"])


def test_a_component_gives_back_bytes_as_they_are() -> None:
    with guest_of(component("drawing")) as guest:
        plot = guest.call("draw").output["plot"]
    assert base64.b64decode(plot["content"]) == b"\x89PNG\x00\xff"
