"""What a message of Discord says."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from prx.channels.malformed import skips_malformed
from prx.core.channel import Attachment, IncomingMessage

Json = Mapping[str, Any]

_PLAIN, _REPLY = 0, 19
_MENTION: Final = re.compile(r"<@!?(\d+)>[\s,:]*")


@skips_malformed
def incoming(message: Json, me: str) -> IncomingMessage | None:
    """Return the message for the bot `me`; None for what Discord itself says, such as that somebody joined."""
    author: Json = message["author"]
    if message.get("type", _PLAIN) not in (_PLAIN, _REPLY):
        return None
    replied: Json = message.get("referenced_message") or {}
    is_mentioned = any(user["id"] == me for user in message.get("mentions", ()))
    is_reply_to_me = (replied.get("author") or {}).get("id") == me
    return IncomingMessage(
        # A thread is a channel of its own.
        conversation=message["channel_id"],
        sender=author["id"],
        text=_without_address(message["content"], me),
        event_id=message["id"],
        message_id=message["id"],
        sender_name=author.get("global_name") or author["username"],
        # Of bots and webhooks anybody chooses the name.
        sender_aliases=[] if _is_bot(message) else [f"@{author['username']}"],
        is_bot=_is_bot(message),
        is_self=author["id"] == me,
        is_group="guild_id" in message,
        mentioned=is_mentioned or is_reply_to_me,
        reply_to=(message.get("message_reference") or {}).get("message_id"),
        attachments=[_attachment(each) for each in message.get("attachments", ())],
        sent_at=datetime.fromisoformat(message["timestamp"]),
    )


def _is_bot(message: Json) -> bool:
    return bool(message["author"].get("bot")) or "webhook_id" in message


def _attachment(file: Json) -> Attachment:
    return Attachment(
        id=file["url"],
        name=file["filename"],
        media_type=file.get("content_type", "application/octet-stream").partition(";")[0],
        size=file["size"],
    )


def _without_address(text: str, me: str) -> str:
    """Return `text` without the mention of the bot that it begins with."""
    found = _MENTION.match(text)
    return text[found.end() :] if found is not None and found[1] == me else text
