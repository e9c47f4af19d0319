"""Updates of Telegram as messages: whatever comes, nothing breaks, and a text keeps its characters."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.telegram.incoming import Me, incoming

ME = Me(7, "prx_bot")


def update(text: str, *, chat: str = "group", **fields: Any) -> dict[str, Any]:
    """Return an update with a message of somebody."""
    sender = {"id": 1, "is_bot": False, "first_name": "Ada", "last_name": "L"}
    message = {"message_id": 3, "from": sender, "chat": {"id": -5, "type": chat}, "date": 0, "text": text}
    return {"update_id": 9, "message": message | fields}


@given(st.text(), st.text(min_size=1))
def test_a_name_anywhere_behind_emojis_is_a_mention_and_only_the_first_is_taken_off(
    before: str, after: str
) -> None:
    offset = len(before.encode("utf-16-le", "surrogatepass")) // 2
    entity = {"type": "mention", "offset": offset, "length": 8}
    text = f"{before}@prx_bot{after}"
    message = incoming(update(text, entities=[entity]), ME)
    assert message is not None
    assert message.mentioned
    assert message.text == (text if before else after.lstrip(" ,:\n"))


@given(
    st.integers(0, 50), st.integers(0, 50), st.sampled_from(["mention", "bot_command", "text_mention", "url"])
)
def test_entities_that_lie_anywhere_break_nothing(offset: int, length: int, kind: str) -> None:
    entity = {"type": kind, "offset": offset, "length": length, "user": {"id": 2}}
    message = incoming(update("👋🏽 hello", entities=[entity]), ME)
    assert message is not None
    assert (message.text, message.mentioned) == ("👋🏽 hello", False)


def test_a_mention_by_number_counts_where_the_bot_has_no_name_in_the_text() -> None:
    entity = {"type": "text_mention", "offset": 0, "length": 3, "user": {"id": 7}}
    message = incoming(update("PRX: hello", entities=[entity]), ME)
    assert message is not None
    assert (message.text, message.mentioned, message.sender_name) == ("hello", True, "Ada L")


def test_what_says_nothing_is_no_message() -> None:
    assert incoming({"update_id": 1, "edited_message": {}}, ME) is None
    assert incoming(update("", new_chat_members=[{"id": 7}]), ME) is None


def test_each_kind_of_file_is_an_attachment_with_a_name_and_a_type() -> None:
    def of(**fields: Any) -> tuple[str, str, str]:
        message = incoming(update("", **fields), ME)
        assert message is not None
        (attachment,) = message.attachments
        return attachment.id, attachment.name, attachment.media_type

    assert of(photo=[{"file_id": "s"}, {"file_id": "l"}]) == ("l", "photo-3.jpg", "image/jpeg")
    assert of(voice={"file_id": "v"}) == ("v", "voice.ogg", "audio/ogg")
    named = {"file_id": "d", "file_name": "a.pdf", "mime_type": "application/pdf"}
    assert of(document=named) == ("d", "a.pdf", "application/pdf")


def test_a_private_chat_is_no_group() -> None:
    message = incoming(update("hello", chat="private"), ME)
    assert message is not None
    assert (message.is_group, message.event_id, message.thread) == (False, "-5:3", None)
