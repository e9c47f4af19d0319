"""Whatever a platform tells, a message that cannot be read is left out: it ends no connection, in no life."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.discord.incoming import incoming as of_discord
from prx.channels.adapters.slack.reading import Reading
from prx.channels.adapters.telegram.incoming import Me
from prx.channels.adapters.telegram.incoming import incoming as of_telegram
from prx.channels.http import json_of, pause_secs
from prx.channels.malformed import understood
from prx.core.errors import UnavailableError

FIELDS = (
    *("message", "from", "chat", "text", "entities", "date", "author", "content", "type", "channel", "ts"),
    *("thread_ts", "user", "files", "channel_id", "mentions", "attachments", "timestamp", "id", "message_id"),
)
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["message", "1.0"])
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner),
    max_leaves=20,
)
TOLD = st.dictionaries(st.sampled_from(FIELDS), JSON)


@given(TOLD)
def test_telegram_may_tell_anything(told: dict[str, Any]) -> None:
    of_telegram({"update_id": 1, "message": told}, Me(7, "prx_bot"))


@given(TOLD)
def test_discord_may_tell_anything(told: dict[str, Any]) -> None:
    of_discord(told, "7")


@given(TOLD)
async def test_slack_may_tell_anything(told: dict[str, Any]) -> None:
    class Context:
        async def receive(self, message: Any) -> None:
            """Take it."""

        async def save_cursor(self, cursor: str) -> None:
            """Keep it."""

    reading = Reading(Context(), "U7", None, reply_in_threads=True)  # type: ignore[arg-type]
    await reading.hand_over({**told, "type": "message"})


def test_that_a_message_was_left_out_is_logged(capsys: pytest.CaptureFixture[str]) -> None:
    assert of_discord({"author": {}}, "7") is None
    assert "a message was left out" in capsys.readouterr().err


@pytest.mark.parametrize("text", [b"<html>", b"", b"\xff", b"[" * 200_000])
def test_what_is_no_json_is_none_however_deep_it_is(text: bytes) -> None:
    assert json_of(text) is None


@given(JSON | st.floats() | st.text())
def test_how_long_to_wait_may_be_told_in_any_way(told: Any) -> None:
    assert 0 <= pause_secs(told, 5.0) <= 3600


@pytest.mark.parametrize(
    ("told", "secs"), [("7", 7), (0.5, 0.5), (None, 5), ("soon", 5), (-1, 5), (1e9, 3600)]
)
def test_a_platform_is_left_alone_for_as_long_as_it_says_and_an_hour_at_most(told: Any, secs: float) -> None:
    assert pause_secs(told, 5.0) == secs


def test_what_is_not_in_an_answer_is_an_error_that_says_so() -> None:
    with (
        pytest.raises(UnavailableError, match=r"cannot be understood \(KeyError: 'id'\)"),
        understood(UnavailableError),
    ):
        _ = {}["id"]  # type: ignore[var-annotated]
