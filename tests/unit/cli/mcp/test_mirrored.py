"""Arguments in headers: what is sent is what the SDK's server compares with the call."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import validate_mcp_param_headers

from prx.cli.mcp.mirrored import Mirrored

_KINDS = {
    "string": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    "integer": st.integers(),
    "boolean": st.booleans(),
}


def call(arguments: Any, name: str = "query") -> dict[str, Any]:
    return {"method": "tools/call", "params": {"name": name, "arguments": arguments}}


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a schema with annotations, and arguments that may lack some of what it has."""
    properties: dict[str, Any] = {}
    arguments: dict[str, Any] = {}
    for name in draw(st.sets(st.text("abcd", min_size=1, max_size=3), max_size=4)):
        if depth and draw(st.booleans()):
            properties[name], value = draw(schemas(depth - 1))
        else:
            kind = draw(st.sampled_from(sorted(_KINDS)))
            properties[name], value = {"type": kind}, draw(st.none() | _KINDS[kind])
            if draw(st.booleans()):
                properties[name]["x-mcp-header"] = f"At-{depth}-{name}-{draw(st.uuids())}"
        if draw(st.booleans()):
            arguments[name] = value
    return {"type": "object", "properties": properties}, arguments


@given(schemas())
def test_what_a_schema_wants_in_headers_is_there(made: tuple[dict[str, Any], dict[str, Any]]) -> None:
    schema, arguments = made
    mirrored = Mirrored()
    mirrored.learn([{"name": "query", "inputSchema": schema}, {"name": "other"}])
    headers = mirrored.headers(call(arguments))
    assert validate_mcp_param_headers(schema, arguments, headers) is None
    assert all(value.isascii() and value.isprintable() for value in headers.values())
    assert mirrored.headers(call(arguments, "other")) == mirrored.headers({"method": "tools/list"}) == {}


def test_annotations_that_are_none_cost_no_call_its_way() -> None:
    mirrored = Mirrored()
    odd = {"a": {"x-mcp-header": "no header"}, "b": {"x-mcp-header": 1}, "c": True, "d": {"properties": []}}
    mirrored.learn([{"name": "query", "inputSchema": {"properties": odd}}])
    for arguments in ({"a": 1, "b": 2}, None, [], "x"):
        assert mirrored.headers(call(arguments)) == {}
    mirrored.learn([])
    assert mirrored.headers({"method": "tools/call", "params": {"name": []}}) == {}
