"""Calls and results that are judged at a glance: the SDK's models say the same of them, at ten times the price.

Whatever is not as plain as nearly all of them are is left to these models.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from mcp.shared.inbound import InboundModernRoute, classify_inbound_request
from mcp_types import PROTOCOL_VERSION_META_KEY
from mcp_types.methods import serialize_server_result, validate_client_request
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

METHOD: Final = "tools/call"
_RESULT_KEYS: Final = frozenset({"resultType", "content", "structuredContent", "isError", "_meta"})
_TEXT_KEYS: Final = frozenset({"type", "text"})
_OWN_META: Final = "prx/"
_MAX_ENVELOPES: Final = 256
_MAX_BYTES: Final = 8 * 1024


class Envelopes:
    """The `_meta` that each client of the newest version sends with every request, judged once."""

    def __init__(self) -> None:
        """Know none."""
        self._known: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def version_of(
        self, client: str, body: Mapping[str, Any], headers: Mapping[str, str], size: int
    ) -> str | None:
        """Return the version in which a call of `size` bytes is right, headers included; None where it is not."""
        params = body["params"]
        meta, name = params.get("_meta"), params.get("name")
        if meta is not None and self._known.get(client) == meta and type(name) is str:
            version: str = meta[PROTOCOL_VERSION_META_KEY]
            if tuple(headers.values()) == (version, METHOD, name):
                return version
        route = classify_inbound_request(body, headers=headers)
        if not isinstance(route, InboundModernRoute) or not is_call(params, route.protocol_version):
            return None
        if size <= _MAX_BYTES and "progressToken" not in meta:
            self._known[client] = meta
            self._known.move_to_end(client)
            if len(self._known) > _MAX_ENVELOPES:
                self._known.popitem(last=False)
        return route.protocol_version


def is_call(params: Mapping[str, Any], version: str) -> bool:
    """Tell whether these, whose arguments are an object, are a call's parameters in `version`."""
    if "_meta" not in params and version not in MODERN_PROTOCOL_VERSIONS:
        return type(params.get("name")) is str
    try:
        validate_client_request(METHOD, version, params)
    except ValidationError:
        return False
    return True


def shaped(result: Mapping[str, Any], version: str) -> dict[str, Any]:
    """Return a call's result as `version` has it.

    Raises:
        ValidationError, PydanticSerializationError: it is none.
    """
    if not is_plain(result) or (version in MODERN_PROTOCOL_VERSIONS and "resultType" not in result):
        return serialize_server_result(METHOD, version, result)
    plain = dict(result)
    if version not in MODERN_PROTOCOL_VERSIONS:
        plain.pop("resultType", None)
    return plain


def is_plain(result: Mapping[str, Any]) -> bool:
    """Tell whether a result has nothing but texts and what is passed on as it is."""
    content = result.get("content")
    return (
        result.keys() <= _RESULT_KEYS
        and type(content) is list
        and all(
            type(block) is dict
            and block.keys() == _TEXT_KEYS
            and block["type"] == "text"
            and type(block["text"]) is str
            for block in content
        )
        and type(result.get("structuredContent", {})) is dict
        and type(result.get("isError", False)) is bool
        and type(meta := result.get("_meta", {})) is dict
        and all(key.startswith(_OWN_META) for key in meta)
        and result.get("resultType", "complete") == "complete"
    )
