"""What comes from a server is Unicode that can be passed on, whatever it wrote; what goes to one can be read."""

import json

from prx.mcp.client.streams import parsed, written

HALF = "\ud800"


def nested(levels: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":7,"result":{"deep":' + b"[" * levels + b"]" * levels + b"}}"


def test_half_a_surrogate_pair_that_a_server_wrote_is_replaced_in_names_and_texts() -> None:
    assert parsed(json.dumps({f"a{HALF}": [HALF, "\U0001f600"]}).encode()) == {"a?": ["?", "\U0001f600"]}


def test_what_is_no_utf_8_is_replaced() -> None:
    assert parsed(b'{"a": "\xff"}') == {"a": "\ufffd"}


def test_what_is_no_json_is_nothing() -> None:
    assert parsed(b'{"a": ') is None
    assert parsed(b"[" * 100_000) is None


def test_an_answer_that_is_nested_too_deeply_fails_at_once() -> None:
    assert "error" not in parsed(nested(100))
    assert parsed(nested(300))["error"]["message"] == "the answer is nested too deeply"
    assert parsed(nested(300))["id"] == 7
    assert parsed(nested(300).replace(b'"id":7', b'"method":"told"')) is None


def test_half_a_surrogate_pair_is_replaced_before_a_server_sees_it() -> None:
    assert written({"method": "tools/call", "params": {HALF: HALF}}) == (
        b'{"method": "tools/call", "params": {"?": "?"}}'
    )
    assert written({"text": "\u540d"}) == '{"text":"\u540d"}'.encode()
