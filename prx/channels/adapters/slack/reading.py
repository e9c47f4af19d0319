"""What of Slack's events is handed over, and what is read again that none told of."""

import json
from collections.abc import Mapping
from typing import Any, Final

from prx.channels.adapters.slack.api import WebApi
from prx.channels.adapters.slack.incoming import Place, incoming
from prx.channels.malformed import skips_malformed
from prx.channels.marks import Marks
from prx.core.channel import ChannelContext, IncomingMessage
from prx.core.channel_errors import ThrottledError, UndeliverableError
from prx.core.ids import now_utc
from prx.runtime.logging import get_logger

_CATCH_UP_SECS: Final = 24 * 3600
# Slack lets history be read about fifty times a minute.
_MOST_READ: Final = 20
_PAGE: Final = 200

_log = get_logger("channel::slack")


class Reading:
    """How far the bot's conversations were read."""

    def __init__(
        self, context: ChannelContext, me: str, cursor: str | None, *, reply_in_threads: bool
    ) -> None:
        """Go on behind `cursor`; without one nothing was read."""
        self._context = context
        self._me = me
        self._reply_in_threads = reply_in_threads
        self._marks = Marks(json.loads(cursor) if cursor else {})

    async def hand_over(self, event: Mapping[str, Any]) -> None:
        """Hand over the message that an event tells of, if it does."""
        if event.get("type") not in ("message", "app_mention"):
            return
        read = self._read(event)
        if read is None:
            return
        place, message = read
        await self._context.receive(message)
        takes_part = message.is_self or message.mentioned or not message.is_group
        # What is said to the bot in a channel may go on there, and in the thread below.
        places = [_key(each) for each in (place, place._replace(thread=message.thread or ""))]
        marked = [each for each in places if takes_part or each in self._marks]
        for each in marked:
            self._marks.set(each, event["ts"])
        if marked:
            await self._context.save_cursor(json.dumps(self._marks.as_dict()))

    @skips_malformed
    def _read(self, event: Mapping[str, Any]) -> tuple[Place, IncomingMessage] | None:
        place = Place.of(event)
        takes_part = _key(place) in self._marks
        message = incoming(event, self._me, reply_in_threads=self._reply_in_threads, takes_part=takes_part)
        return None if message is None else (place, message)

    async def catch_up(self, api: WebApi) -> None:
        """Read again what was written since in the conversations that the bot took part in last."""
        oldest = f"{now_utc().timestamp() - _CATCH_UP_SECS:.6f}"
        for key, seen in list(self._marks)[-_MOST_READ:]:
            place = Place(*json.loads(key))
            method, which = "conversations.history", {"channel": place.channel}
            if place.thread:
                method, which["ts"] = "conversations.replies", place.thread
            since = max(seen, oldest)
            try:
                page = await api.call(method, {**which, "oldest": since, "limit": _PAGE})
            except UndeliverableError:  # it is gone, or not for the bot any more
                self._marks.forget(key)
                continue
            except ThrottledError:
                _log.warning(
                    "what was written meanwhile may go unanswered: Slack lets no more of it be read now"
                )
                return
            self._context.alive()
            kind = {"channel": place.channel, "channel_type": "channel" if place.is_group else "im"}
            for message in sorted(page["messages"], key=lambda each: str(each["ts"])):
                if message["ts"] > since:
                    await self.hand_over({"type": "message", **message, **kind})


def _key(place: Place) -> str:
    return json.dumps(place)
