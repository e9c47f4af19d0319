"""Messages of Matrix: events read into what is said, and what is to be said written as their content."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from prx.channels.addressing import addressed
from prx.core.channel import Attachment, IncomingMessage, OutgoingMessage

_MEDIA: Final = frozenset({"m.image", "m.file", "m.audio", "m.video"})
# What older clients put before a reply, for those that know none.
_QUOTED: Final = re.compile(r"\A> <@[^\n]*\n(?:>[^\n]*\n)*\n?")

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Room:
    """What has to be known of a room to read its messages."""

    id: str
    is_group: bool
    me: str
    """The bot's account."""
    my_name: str
    """What the bot is called there."""
    sender_name: str


def message_of(event: Json, room: Room) -> IncomingMessage | None:
    """Return what an event says; None where it is no message, or a change of one."""
    content = event.get("content")
    if event.get("type") != "m.room.message" or not isinstance(content, dict):
        return None
    relation = _dict(content, "m.relates_to")
    body = content.get("body")
    if relation.get("rel_type") == "m.replace" or not isinstance(body, str):
        return None
    reply_to = _dict(relation, "m.in_reply_to").get("event_id")
    kind = str(content.get("msgtype"))
    attachments = [_attachment(content, body)] if kind in _MEDIA else []
    if attachments:
        text = body if isinstance(content.get("filename"), str) and content["filename"] != body else ""
    elif kind == "m.emote":
        text = f"*{room.sender_name} {body}*"
    else:
        text = _QUOTED.sub("", body) if reply_to else body
    text, is_named = addressed(text, room.my_name)
    mentions = _dict(content, "m.mentions").get("user_ids")
    is_mentioned = is_named or room.me in text or (isinstance(mentions, list) and room.me in mentions)
    sender = str(event.get("sender"))
    return IncomingMessage(
        conversation=room.id,
        sender=sender,
        sender_name=room.sender_name,
        text=text,
        event_id=event.get("event_id"),
        message_id=event.get("event_id"),
        thread=relation.get("event_id") if relation.get("rel_type") == "m.thread" else None,
        reply_to=None if relation.get("is_falling_back") else reply_to,
        is_self=sender == room.me,
        is_bot=kind == "m.notice",  # by convention those of programs, which no program answers
        is_group=room.is_group,
        mentioned=is_mentioned,
        attachments=attachments,
        sent_at=_moment(event.get("origin_server_ts")),
    )


def content_of(message: OutgoingMessage, text: str) -> dict[str, Any]:
    """Return the content of an event that says `text`; it mentions nobody."""
    content: dict[str, Any] = {"msgtype": "m.text", "body": text, "m.mentions": {}}
    if message.formatted is not None:
        content |= {"format": "org.matrix.custom.html", "formatted_body": message.formatted}
    if message.thread is not None:
        content["m.relates_to"] = {
            "rel_type": "m.thread",
            "event_id": message.thread,
            "is_falling_back": True,
            "m.in_reply_to": {"event_id": message.reply_to or message.thread},
        }
    elif message.reply_to is not None:
        content["m.relates_to"] = {"m.in_reply_to": {"event_id": message.reply_to}}
    return content


def change_of(message_id: str, message: OutgoingMessage) -> dict[str, Any]:
    """Return the content of an event by which another one says something else."""
    new = content_of(message, message.text)
    new.pop("m.relates_to", None)
    return {
        **new,
        "body": f"* {message.text}",
        "m.new_content": new,
        "m.relates_to": {"rel_type": "m.replace", "event_id": message_id},
    }


def _attachment(content: Json, body: str) -> Attachment:
    info, file = _dict(content, "info"), _dict(content, "file")
    size, name = info.get("size"), content.get("filename")
    return Attachment(
        id=json.dumps({"url": file.get("url") or content.get("url"), "file": file or None}),
        name=name if isinstance(name, str) else body,
        media_type=str(info.get("mimetype") or "application/octet-stream"),
        size=size if isinstance(size, int) else None,
    )


def _dict(value: Json, key: str) -> dict[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _moment(milliseconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
