"""What an update of Telegram says, as a message."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from prx.channels.malformed import skips_malformed
from prx.core.channel import Attachment, IncomingMessage

Json = Mapping[str, Any]

_FILES: Final = {
    "document": ("file", "application/octet-stream"),
    "voice": ("voice.ogg", "audio/ogg"),
    "audio": ("audio.mp3", "audio/mpeg"),
    "video": ("video.mp4", "video/mp4"),
    "video_note": ("video.mp4", "video/mp4"),
}
"""The fields of a message that are one file each, with what it is called and is where Telegram does not tell."""


class Me(NamedTuple):
    """The bot itself."""

    id: int
    username: str


class _Entity(NamedTuple):
    """A part of a text that Telegram found something in; `text` is that part."""

    kind: str
    text: str
    offset: int
    user_id: int | None


@skips_malformed
def incoming(update: Json, me: Me) -> IncomingMessage | None:
    """Return the message that an update tells of; None where there is nothing in it for this bot."""
    message: Json | None = update.get("message")
    if message is None or "from" not in message:
        return None
    text = message.get("text") or message.get("caption") or ""
    attachments = list(_attachments(message))
    entities = list(_entities(message, text))
    if (not text and not attachments) or _is_for_another_bot(entities, me):
        return None
    chat, sender = message["chat"], message["from"]
    reply: Json = message.get("reply_to_message") or {}
    return IncomingMessage(
        conversation=str(chat["id"]),
        sender=str(sender["id"]),
        text=_without_address(text, entities, me),
        # Not by the update's number: after a week without any, Telegram counts from somewhere else.
        event_id=f"{chat['id']}:{message['message_id']}",
        message_id=str(message["message_id"]),
        # Elsewhere than in a forum the thread is that of a reply, and no conversation of its own.
        thread=str(message["message_thread_id"]) if message.get("is_topic_message") else None,
        sender_name=" ".join(filter(None, (sender.get("first_name"), sender.get("last_name")))),
        sender_aliases=[f"@{sender['username']}"] if sender.get("username") else [],
        is_bot=sender.get("is_bot", False),
        is_self=sender["id"] == me.id,
        is_group=chat["type"] != "private",
        mentioned=_is_reply_to(reply, me) or any(_names(entity, me) for entity in entities),
        reply_to=str(reply["message_id"]) if reply else None,
        attachments=attachments,
        sent_at=datetime.fromtimestamp(message["date"], UTC),
    )


def _attachments(message: Json) -> Iterator[Attachment]:
    if photo := message.get("photo"):
        largest = photo[-1]
        name = f"photo-{message['message_id']}.jpg"
        yield Attachment(
            id=largest["file_id"], name=name, media_type="image/jpeg", size=largest.get("file_size")
        )
    for field, (name, media_type) in _FILES.items():
        if file := message.get(field):
            yield Attachment(
                id=file["file_id"],
                name=file.get("file_name", name),
                media_type=file.get("mime_type", media_type),
                size=file.get("file_size"),
            )


def _entities(message: Json, text: str) -> Iterator[_Entity]:
    listed: Sequence[Json] = message.get("entities") or message.get("caption_entities") or ()
    units = text.encode("utf-16-le", "surrogatepass")  # which is what Telegram counts in
    for entity in listed:
        begin = 2 * entity["offset"]
        part = units[begin : begin + 2 * entity["length"]].decode("utf-16-le", "replace")
        yield _Entity(entity["type"], part, entity["offset"], (entity.get("user") or {}).get("id"))


def _names(entity: _Entity, me: Me) -> bool:
    match entity.kind:
        case "mention":
            return entity.text.lower() == f"@{me.username.lower()}"
        case "text_mention":
            return entity.user_id == me.id
        case "bot_command":
            return _addressee(entity) == me.username.lower()
        case _:
            return False


def _addressee(command: _Entity) -> str:
    return command.text.partition("@")[2].lower()


def _is_for_another_bot(entities: Sequence[_Entity], me: Me) -> bool:
    first = next((entity for entity in entities if entity.offset == 0), None)
    return (
        first is not None
        and first.kind == "bot_command"
        and _addressee(first) not in ("", me.username.lower())
    )


def _without_address(text: str, entities: Sequence[_Entity], me: Me) -> str:
    """Return `text` without the bot's name where it begins with that: `/new@bot` is `/new`, `@bot hello` is `hello`."""
    first = next((entity for entity in entities if entity.offset == 0 and _names(entity, me)), None)
    if first is None:
        return text
    rest = text[len(first.text) :]
    if first.kind == "bot_command":
        return first.text.partition("@")[0] + rest
    return rest.lstrip(" ,:\n")


def _is_reply_to(reply: Json, me: Me) -> bool:
    # In a forum everything is a reply to the message that made the topic, which may have been the bot's.
    return "forum_topic_created" not in reply and (reply.get("from") or {}).get("id") == me.id
