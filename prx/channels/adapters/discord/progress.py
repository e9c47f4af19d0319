"""How far a bot of Discord came: the gateway's session, and the last message of each conversation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from prx.channels.marks import Marks
from prx.core.ids import now_utc

# What Discord numbers messages from, in milliseconds.
_EPOCH_MS: Final = 1_420_070_400_000
_CATCH_UP_SECS: Final = 24 * 3600


@dataclass(slots=True)
class Progress:
    """What a cursor of Discord holds."""

    session: str | None = None
    """What can be resumed behind the event `seq`; None where nothing can."""
    url: str = ""
    """Where to connect to; empty is wherever Discord says."""
    seq: int | None = None
    marks: Marks = field(default_factory=Marks)

    @classmethod
    def load(cls, cursor: str | None) -> "Progress":
        """Return what `dump` made; nothing of it where there is no cursor."""
        if cursor is None:
            return cls()
        kept: dict[str, Any] = json.loads(cursor)
        return cls(kept["session"], kept["url"], kept["seq"], Marks(kept["marks"]))

    def begin(self, ready: Mapping[str, Any]) -> None:
        """Take over the session that Discord told of."""
        self.session = ready["session_id"]
        self.url = ready["resume_gateway_url"]

    def dump(self) -> str:
        """Return the cursor."""
        return json.dumps(
            {"session": self.session, "url": self.url, "seq": self.seq, "marks": self.marks.as_dict()}
        )


def place_of(message: Mapping[str, Any]) -> str:
    """Return what a conversation is marked by: its guild, of which direct messages have none, and its channel."""
    return f"{message.get('guild_id', '')}/{message['channel_id']}"


def oldest_to_answer() -> int:
    """Return the number that Discord would have given to a message so long ago that nobody waits for an answer."""
    return (int((now_utc().timestamp() - _CATCH_UP_SECS) * 1000) - _EPOCH_MS) << 22
