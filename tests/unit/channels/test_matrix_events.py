"""Events of Matrix, read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.matrix.events import Room, message_of

ROOM = Room(id="!r:x", is_group=True, me="@prx:x", my_name="prx", sender_name="Ada")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(
    ["msgtype", "body", "info", "file", "url", "filename", "m.relates_to", "m.mentions", "m.new_content"]
)


def event(**content: Any) -> dict[str, Any]:
    return {
        "type": "m.room.message",
        "event_id": "$1",
        "sender": "@ada:x",
        "origin_server_ts": 1_700_000_000_000,
        "content": {"msgtype": "m.text", "body": "hi"} | content,
    }


@pytest.mark.parametrize(
    ("content", "text", "mentioned"),
    [
        ({"body": "prx: hello"}, "hello", True),
        ({"body": "hello", "m.mentions": {"user_ids": ["@prx:x"]}}, "hello", True),
        ({"body": "hello @prx:x"}, "hello @prx:x", True),
        ({"body": "hello"}, "hello", False),
        ({"msgtype": "m.emote", "body": "waves"}, "*Ada waves*", False),
        (
            {"body": "> <@prx:x> old\n> lines\n\nnew", "m.relates_to": {"m.in_reply_to": {"event_id": "$0"}}},
            "new",
            False,
        ),
        ({"body": "> quoted by hand\nnew"}, "> quoted by hand\nnew", False),
        ({"msgtype": "m.image", "body": "cat.png", "url": "mxc://x/1"}, "", False),
        (
            {"msgtype": "m.image", "body": "my cat", "filename": "cat.png", "url": "mxc://x/1"},
            "my cat",
            False,
        ),
    ],
    ids=["named", "mentioned", "by id", "not", "emote", "reply", "quote", "picture", "caption"],
)
def test_a_message_is_read(content: dict[str, Any], text: str, mentioned: bool) -> None:  # noqa: FBT001
    message = message_of(event(**content), ROOM)
    assert message is not None
    assert (message.text, message.mentioned) == (text, mentioned)


@given(st.dictionaries(KEYS, JSON), JSON)
def test_whatever_somebody_sends_is_read_or_left_alone(content: dict[str, Any], moment: Any) -> None:
    message_of(event(**content) | {"origin_server_ts": moment}, ROOM)


@given(JSON)
def test_content_of_any_kind_is_read_or_left_alone(content: Any) -> None:
    message_of({"type": "m.room.message", "content": content, "sender": "@ada:x"}, ROOM)
