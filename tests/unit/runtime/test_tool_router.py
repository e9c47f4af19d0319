"""The tool router: names are offered as a block, and only arguments that fit reach a tool."""

from collections.abc import Mapping
from typing import Any

import pytest

from prx.core.errors import BadRequestError, ConflictError, NotFoundError, UnavailableError
from prx.core.tool import CallContext, ToolResult, ToolSpec
from prx.runtime.bus import Bus
from prx.runtime.tools import ToolRouter

CALLER = CallContext()


class Given:
    """A tool that gives back its arguments."""

    def __init__(
        self, name: str, schema: Mapping[str, Any] | None = None, source: str = "plugin:one"
    ) -> None:
        self.spec = ToolSpec(name, "", schema if schema is not None else {"type": "object"}, source)

    async def call(self, arguments: Mapping[str, Any], _context: CallContext) -> ToolResult:
        return ToolResult(dict(arguments))


# Checking anything against this would take 2^40 steps.
DOUBLING = {
    "$defs": {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}},
    "$ref": "#/$defs/d0",
}
NUMBER = {
    "type": "object",
    "properties": {"number": {"type": "integer", "minimum": 0}, "inner": {"$ref": "#"}},
    "required": ["number"],
    "additionalProperties": False,
}


def nested(levels: int) -> Any:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"inner": value}
    return value


async def test_tools_are_offered_for_the_length_of_a_block() -> None:
    router = ToolRouter(Bus())
    with router.offering([Given("b"), Given("a")]):
        assert [spec.name for spec in router.specs()] == ["a", "b"]
        assert (await router.call("a", {"x": 1}, CALLER)).output == {"x": 1}
    assert router.specs() == []
    with pytest.raises(NotFoundError, match='Tool "a" not found; GET /api/v1/tools lists what there is'):
        await router.call("a", {}, CALLER)


def test_a_taken_name_leaves_all_of_a_block_unoffered() -> None:
    router = ToolRouter(Bus())
    with router.offering([Given("a")]):
        with (
            pytest.raises(ConflictError, match='tool "a" is already offered by plugin:one') as caught,
            router.offering([Given("b", source="plugin:two"), Given("a", source="plugin:two")]),
        ):
            pytest.fail("offered")
        assert caught.value.details == {"tool": "a", "holder": "plugin:one"}
        assert [spec.name for spec in router.specs()] == ["a"]


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"properties": 3},
        {"$ref": "#/nowhere"},
        {"$ref": "http://internal.example/schema"},
        {"$ref": "file:///etc/passwd"},
        DOUBLING,
    ],
)
def test_what_is_no_schema_of_its_own_is_refused(schema: dict[str, Any]) -> None:
    router = ToolRouter(Bus())
    with (
        pytest.raises(ConflictError, match='tool "a": its parameters are not a JSON Schema: '),
        router.offering([Given("a", schema)]),
    ):
        pytest.fail("offered")


async def test_a_tool_that_is_offered_alone_is_there_until_it_is_withdrawn() -> None:
    router = ToolRouter(Bus())
    offer = router.offer(Given("a"))
    number = router.changes.number
    with pytest.raises(ConflictError, match='tool "a" is already offered'):
        router.offer(Given("a"))
    assert (await router.call("a", {}, CALLER)).output == {}
    router.withdraw(offer)
    assert router.changes.number == number + 1
    assert router.specs() == []
    with router.offering([Given("a")]):
        router.withdraw(offer)
        assert (await router.call("a", {}, CALLER)).output == {}


async def test_withheld_names_tell_why_unless_somebody_offers_them() -> None:
    router = ToolRouter(Bus())
    with router.withholding(["a"], "it is disabled"):
        with pytest.raises(ConflictError, match="it is disabled"):
            await router.call("a", {}, CALLER)
        with router.offering([Given("a")]):
            assert (await router.call("a", {}, CALLER)).output == {}
    with pytest.raises(NotFoundError):
        await router.call("a", {}, CALLER)


async def test_whoever_knows_why_a_tool_is_missing_tells_and_is_not_asked_for_one_that_is_there() -> None:
    router = ToolRouter(Bus())
    with (
        router.explaining(lambda name: UnavailableError("it is away") if name == "a" else None),
        router.explaining(lambda _name: None),
    ):
        with pytest.raises(UnavailableError, match="it is away"):
            await router.call("a", {}, CALLER)
        with pytest.raises(NotFoundError):
            await router.call("b", {}, CALLER)
        with router.offering([Given("a")]):
            assert (await router.call("a", {}, CALLER)).output == {}
    with pytest.raises(NotFoundError):
        await router.call("a", {}, CALLER)


@pytest.mark.parametrize(
    ("arguments", "field", "why"),
    [
        ({}, "arguments", '"number" is a required property'),
        ({"number": -1}, "arguments.number", "less than the minimum of 0"),
        ({"number": 1, "x": 1}, "arguments", "Additional properties are not allowed"),
        ({"number": 1, "inner": {"number": "2"}}, "arguments.inner.number", 'is not of type "integer"'),
    ],
)
async def test_arguments_that_do_not_fit_are_named(arguments: dict[str, Any], field: str, why: str) -> None:
    router = ToolRouter(Bus())
    with router.offering([Given("a", NUMBER)]):
        with pytest.raises(BadRequestError) as caught:
            await router.call("a", arguments, CALLER)
        assert caught.value.message.startswith(f'Tool "a": {field}: ')
        assert why in caught.value.message
        assert caught.value.details is not None
        assert caught.value.details["errors"][0]["field"] == field


async def test_not_every_one_of_many_errors_is_told() -> None:
    router = ToolRouter(Bus())
    numbers = {"type": "object", "additionalProperties": {"type": "integer"}}
    with router.offering([Given("a", numbers)]):
        with pytest.raises(BadRequestError) as caught:
            await router.call("a", {f"key-{index}": "no" for index in range(1000)}, CALLER)
        assert caught.value.details is not None
        assert len(caught.value.details["errors"]) == 20


@pytest.mark.parametrize(
    "arguments",
    [nested(400), {"\ud800": 1}, {"number": "\ud800"}, {"number": 10**400, "x": 1}, {"number": float("nan")}],
)
async def test_arguments_that_the_validator_cannot_read_are_the_callers_mistake(arguments: Any) -> None:
    router = ToolRouter(Bus())
    with router.offering([Given("a", NUMBER)]), pytest.raises(BadRequestError, match='Tool "a": arguments'):
        await router.call("a", arguments, CALLER)


async def test_a_schema_that_says_that_it_is_of_an_older_draft_is_read_as_such() -> None:
    router = ToolRouter(Bus())
    pair = {"type": "array", "items": [{"type": "string"}, {"type": "integer"}]}
    older = {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"pair": pair}}
    with router.offering([Given("older", older)]):
        assert (await router.call("older", {"pair": ["a", 1]}, CALLER)).success
        with pytest.raises(BadRequestError, match="integer"):
            await router.call("older", {"pair": ["a", "b"]}, CALLER)
    with (
        pytest.raises(ConflictError, match="not a JSON Schema"),
        router.offering([Given("newer", {"properties": {"pair": pair}})]),
    ):
        pass


def test_offering_and_withdrawing_tell_that_the_list_changed() -> None:
    router = ToolRouter(Bus())
    seen = [router.changes.number]
    with router.offering([Given("a"), Given("b")]):
        seen.append(router.changes.number)
        with pytest.raises(ConflictError), router.offering([Given("c"), Given("a")]):
            pass
        seen.append(router.changes.number)
    seen.append(router.changes.number)
    assert seen == [0, 1, 1, 2]
