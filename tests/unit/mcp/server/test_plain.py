"""What is judged at a glance comes out as the SDK's models have it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types.methods import serialize_server_result, validate_client_request
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from prx.mcp.server.plain import METHOD, Envelopes, is_call, shaped

NEWEST = MODERN_PROTOCOL_VERSIONS[-1]
VERSIONS = st.sampled_from([*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
OBJECTS = st.dictionaries(st.text(max_size=3), JSON, max_size=3)
TEXT = st.fixed_dictionaries({"type": st.just("text"), "text": st.text(max_size=5)})
BLOCK = TEXT | st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "image", "x"]), "text": JSON},
    optional={"annotations": JSON, "_meta": JSON},
)
RESULT = st.fixed_dictionaries(
    {},
    optional={
        "resultType": st.just("complete") | JSON,
        "content": st.lists(TEXT, max_size=2) | st.lists(BLOCK, max_size=2) | JSON,
        "structuredContent": OBJECTS | JSON,
        "isError": st.booleans() | JSON,
        "_meta": st.dictionaries(st.sampled_from(["prx/receipt", "prx/error", "x"]), JSON, max_size=2) | JSON,
        "x": JSON,
    },
)
META = {
    "io.modelcontextprotocol/protocolVersion": NEWEST,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
}
HEADERS = {"mcp-protocol-version": NEWEST, "mcp-method": METHOD, "mcp-name": "echo"}


def outcome(work: Any, *given_: Any) -> Any:
    try:
        return work(*given_)
    except ValidationError:
        return "invalid"


@given(RESULT, VERSIONS)
def test_a_result_is_shaped_as_the_sdk_does_it(result: dict[str, Any], version: str) -> None:
    assert outcome(shaped, result, version) == outcome(serialize_server_result, METHOD, version, result)


@given(
    st.fixed_dictionaries(
        {}, optional={"name": st.text(max_size=3) | JSON, "arguments": OBJECTS, "_meta": st.just(META) | JSON}
    ),
    VERSIONS,
)
def test_parameters_are_a_call_where_the_sdk_takes_them(params: dict[str, Any], version: str) -> None:
    taken = outcome(validate_client_request, METHOD, version, params) is None
    assert is_call(params, version) == taken


def judged(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    """Return what the SDK says of a call."""
    route = classify_inbound_request(body, headers=headers)
    if not isinstance(route, InboundModernRoute):
        return None
    version = route.protocol_version
    return version if outcome(validate_client_request, METHOD, version, body["params"]) is None else None


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(META, JSON)),
    st.fixed_dictionaries({}, optional={key: st.text(max_size=3) for key in HEADERS}),
    st.sampled_from(["echo", "ächo", None]),
    st.sampled_from([100, 1 << 20]),
)
def test_a_client_that_is_known_is_judged_as_one_that_is_not(
    meta: dict[str, Any], headers: dict[str, str], name: str | None, size: int
) -> None:
    envelopes = Envelopes()
    body = {"params": {"name": "echo", "arguments": {}, "_meta": META}, "method": METHOD}
    assert envelopes.version_of("one", body, HEADERS, size) == NEWEST
    other = {**body, "params": {"name": name, "arguments": {}, "_meta": META | meta}}
    for client in ("one", "two"):
        found = envelopes.version_of(client, other, HEADERS | headers, size)
        assert found == judged(other, HEADERS | headers)
    assert envelopes.version_of("one", body, HEADERS, size) == NEWEST


@pytest.mark.parametrize(("size", "more"), [(1 << 20, {}), (100, {"progressToken": 1})])
def test_what_is_large_or_never_the_same_is_not_kept(size: int, more: dict[str, Any]) -> None:
    envelopes = Envelopes()
    body = {"params": {"name": "echo", "arguments": {}, "_meta": META | more}, "method": METHOD}
    assert envelopes.version_of("one", body, HEADERS, size) == NEWEST
    assert not envelopes._known


def test_as_many_clients_are_known_as_there_is_room_for() -> None:
    envelopes = Envelopes()
    body = {"params": {"name": "echo", "arguments": {}, "_meta": META}, "method": METHOD}
    for number in range(300):
        assert envelopes.version_of(str(number), body, HEADERS, 100) == NEWEST
    assert len(envelopes._known) == 256
