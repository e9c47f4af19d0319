"""What an event of Slack says, as a message."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from prx.channels.adapters.slack.text import mentions, readable, without_address
from prx.core.channel import Attachment, IncomingMessage

Json = Mapping[str, Any]

# Of what is no plain message, that which people write.
_WRITTEN: Final = (None, "file_share", "thread_broadcast", "me_message", "bot_message")


class Place(NamedTuple):
    """A conversation, and its thread; empty is the conversation outside of threads."""

    channel: str
    is_group: bool
    thread: str = ""

    @classmethod
    def of(cls, event: Json) -> "Place":
        """Return where an event was said."""
        channel = event["channel"]
        is_direct = event.get("channel_type") == "im" or channel.startswith("D")
        thread = event.get("thread_ts", "")
        # The first message of a thread is not in it.
        return cls(channel, not is_direct, "" if thread == event["ts"] else thread)


def incoming(event: Json, me: str, *, reply_in_threads: bool, takes_part: bool) -> IncomingMessage | None:
    """Return the message that an event tells of; None where there is none in it.

    Args:
        event: of the type `message` or `app_mention`.
        me: the bot's own user.
        reply_in_threads: whether a message in a channel begins a thread.
        takes_part: whether the bot has part in the thread, so that what is said there is for it.
    """
    sender = event.get("user") or event.get("bot_id")
    if event.get("subtype") not in _WRITTEN or sender is None:
        return None
    place, text = Place.of(event), event.get("text") or ""
    begins_thread = reply_in_threads and place.is_group
    return IncomingMessage(
        conversation=place.channel,
        sender=sender,
        text=readable(without_address(text, me)),
        # A mention is told of twice, as a message and as a mention: only these two are the same in both.
        event_id=f"{place.channel}:{event['ts']}",
        message_id=event["ts"],
        thread=place.thread or (event["ts"] if begins_thread else None),
        is_bot="bot_id" in event,
        is_self=sender == me,
        is_group=place.is_group,
        mentioned=mentions(text, me) or (takes_part and bool(place.thread)),
        reply_to=place.thread or None,
        attachments=[_attachment(each) for each in event.get("files", ()) if "url_private" in each],
        sent_at=datetime.fromtimestamp(float(event["ts"]), UTC),
    )


def _attachment(file: Json) -> Attachment:
    return Attachment(
        id=file.get("url_private_download", file["url_private"]),
        name=file.get("name") or file["id"],
        media_type=file.get("mimetype") or "application/octet-stream",
        size=file.get("size"),
    )
