"""Chat platforms as the daemon talks to them, whoever brings the adapter. Everything that passes here is plain data.

An adapter holds connections and carries messages. Who may talk, which session a message belongs to, what was seen
before, how a text is cut and formatted, how fast it is sent, and when to try again is decided outside, once for all.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from prx.core.file import File

LengthUnit = Literal["chars", "utf16", "bytes"]
"""What a platform counts a text in: code points, UTF-16 units, or bytes of UTF-8."""

Markup = Literal["plain", "markdown", "html", "telegram", "mrkdwn", "styling"]
"""How a platform writes bold and code.

`markdown` as models write it, `html` whole HTML, `telegram` the few tags of Telegram's `parse_mode` HTML, `mrkdwn`
Slack's, `styling` XEP-0393's.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a platform can do. An adapter knows it before it connects."""

    max_length: int
    """Of one text, before it is formatted: leave room for what the markup adds, where the platform counts that."""
    max_formatted_length: int | None = None
    """The same once it is formatted, where the platform counts that and room would not do: escapes may multiply it."""
    unit: LengthUnit = "chars"
    multiline: bool = True
    """Whether a text may have line breaks; without, each line is sent by itself."""
    markup: Markup = "plain"
    edits: bool = False
    """Whether a sent message can be changed, so that an answer can be seen to grow."""
    typing_secs: float | None = None
    """How long the platform shows that somebody types; None where it cannot."""
    pace_secs: float = 0.0
    """Least time between two messages to one conversation, where the platform would punish a faster one."""
    threads: bool = False
    """Whether a conversation has threads, each of which is a session of its own."""
    max_file_bytes: int = 0
    """Of a file that is sent; 0 where it takes none."""
    attaches: bool = False
    """Whether a message has its text and any number of files as one, so that all of it is sent or nothing."""
    max_download_bytes: int = 0
    """Of a file that can be fetched; 0 where it has none."""
    cadence_secs: float = 5.0
    """How often a connection that works makes progress, however quiet the platform is: a poll, a ping."""
    idle_limit_secs: float = 10.0
    """How long a connection without progress counts as one. Twice the cadence, and at most 15, notices in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that came with a message, not fetched yet."""

    id: str
    """Whatever the adapter needs to fetch it: an id, or a URL."""
    name: str = ""
    media_type: str = "application/octet-stream"
    size: int | None = None
    """In bytes, where the platform tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingMessage:
    """What somebody said, as a platform tells it. Whether it is for the agent is not the adapter's to decide."""

    conversation: str
    """Where it was said and where the answer goes: a chat, a room, the address of who wrote."""
    sender: str
    """The sender's stable id, which `allowed_users` names."""
    text: str
    event_id: str | None = None
    """The platform's own: what comes with the same one a second time is not looked at. None where it has none."""
    message_id: str | None = None
    """What an answer can be a reply to."""
    thread: str | None = None
    sender_name: str = ""
    """For people."""
    sender_aliases: Sequence[str] = ()
    """Other names for the sender that the platform vouches for and nobody else can take, such as `@ada`."""
    is_bot: bool = False
    is_self: bool = False
    """Whether the daemon's own account said it."""
    is_group: bool = False
    """Whether others than sender and bot read along."""
    mentioned: bool = False
    """Whether it is meant for the bot by the platform's ways: a mention, a reply to the bot, `/command@bot`."""
    reply_to: str | None = None
    """The `message_id` that it is a reply to."""
    attachments: Sequence[Attachment] = ()
    sent_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """What is to be said: never longer than the platform takes."""

    conversation: str
    text: str
    """All of it, readable without any markup, and without control characters but tabs and line breaks.

    Empty where there are files alone.
    """
    formatted: str | None = None
    """The same in the platform's markup; None where it is to be sent as plain text."""
    thread: str | None = None
    reply_to: str | None = None
    """The `message_id` that it answers."""
    files: Sequence[File] = ()
    """One at most, unless the platform `attaches`; each within `Capabilities.max_file_bytes`."""
    key: str | None = None
    """The same in every attempt to say this, in whichever life, and no other message's; URL-safe, without dots.

    Where a platform drops what comes twice, this is what it is to know it by. None for what is tried once.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedRequest:
    """An HTTP request that a platform sent to the daemon for a channel."""

    method: str
    path: str
    """Behind the channel's own, without the slash; mostly empty."""
    query: Sequence[tuple[str, str]]
    """In its order; a name may be there more than once."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class PushedResponse:
    """What the platform is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Reception = Literal["taken", "underway", "seen", "refused"]
"""What becomes of a message that was handed over.

`taken`: it is new, and will be answered; `refused`: it is nobody's business, such as that of somebody who may not talk.
It came before: `underway`, its answer is still to come; `seen`, that was delivered.
"""


class Server(NamedTuple):
    """Where a platform is, as far as it takes to see whether anything there speaks."""

    host: str
    port: int
    tls: bool = False
    """From the first byte on."""
    hello: bytes = b""
    """What a client may say before it logs in, where the server does not speak first."""


class Finding(NamedTuple):
    """What an adapter found out about its token, the platform or its permissions there."""

    what: str
    """What was looked at and how it is, in a sentence."""
    remedy: str | None = None
    """What to do about it; None where it is as it should be."""


class ChannelContext(Protocol):
    """What an adapter is given for one life: where it tells what happens, and what outlasts it."""

    def connected(self) -> None:
        """Tell that messages come and go from now on."""

    def alive(self) -> None:
        """Tell that the connection made progress: something came, a poll returned, a ping was answered.

        Where nobody told for `Capabilities.idle_limit_secs` while connected, the life ends as stalled.
        """

    async def receive(self, message: IncomingMessage) -> Reception:
        """Hand over a message. When this returns it is on disk, or nobody's business: the platform may forget it.

        It never waits for an answer. Messages of one conversation are handed over in their order.

        Raises:
            UnavailableError: it cannot be kept now. Let it end the life, so that the platform sends it again.
        """

    def welcomes(self, sender: str, *, is_group: bool) -> bool:
        """Tell whether somebody may talk to the bot, in private or in a group, or ask to be let in.

        For platforms where one has to accept something before anybody can talk, such as an invite. It goes by the
        policies as they are now: the next answer may be another one.
        """

    async def directory(self) -> Path:
        """Return a private directory of the channel's own, such as for keys of encrypted rooms. It outlasts lives."""

    async def load_cursor(self, max_age_secs: float | None = None) -> str | None:
        """Return what `save_cursor` kept last; None where it is older, or there is none."""

    async def save_cursor(self, cursor: str) -> None:
        """Keep where to go on, up to 64 KiB. Call it only once everything before it was received.

        Raises:
            UnavailableError: it cannot be kept now.
        """


class ChannelAdapter(Protocol):
    """One channel for one life. It connects once and never tries again: the supervisor does, with its pauses.

    Every method may raise the errors below, and no other: what a library raises is translated here, at its edge.
    `UnavailableError` is what may pass by itself.
    """

    @property
    def capabilities(self) -> Capabilities:
        """What the platform can do."""

    @property
    def account(self) -> str | None:
        """What at most one connection may use at a time, such as `telegram:<hash of the token>`; never the token.

        None where any number may.
        """

    @property
    def server(self) -> Server | None:
        """What is to be there before `run` can connect; None where that is not known, or nothing is connected to."""

    async def run(self, context: ChannelContext) -> None:
        """Connect, tell `context`, hand over what comes, and return or raise when the connection ends.

        Cancelling this coroutine is the only way to end it from outside; afterwards nothing of it is left.

        Raises:
            AuthenticationError: the platform does not know the token.
            AccountInUseError: somebody else has a connection of this account, and the platform allows one.
            ThrottledError: the platform wants to be left alone for a while.
            PermanentError: it cannot work before somebody changes something.
            UnavailableError: it could not connect, or the connection was lost; says why.
        """

    async def probe(self) -> float:
        """Make a round trip to the platform while connected, and return how many seconds it took.

        Raises:
            PrxError: there was none; says why.
        """

    async def send(self, message: OutgoingMessage) -> str | None:
        """Say something while connected; return what `edit` knows it by, None where it cannot be changed.

        Raises:
            ThrottledError: not before its time.
            MarkupRefusedError: the platform does not like `formatted`; `text` may do.
            UndeliverableError: this one never: the conversation is gone, or the bot may not write there.
            UnavailableError: perhaps later, perhaps over another connection.
        """

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """Have a message say something else; that it says so already is no error. Raises as `send`."""

    async def typing(self, conversation: str, thread: str | None) -> None:
        """Show that an answer is being written. Raises as `send`."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """Return the content of a file.

        Raises:
            FileTooLargeError: it has more than `max_bytes`, whatever its `size` said.
            PrxError: it could not be fetched; says why.
        """

    async def diagnose(self) -> Sequence[Finding]:
        """Look at token, platform and permissions over a connection of its own, whether `run` does or not.

        Takes no message that is waiting. What is wrong is a finding, not an error; a step that failed ends the list.
        """


Connect = Callable[[str, Any], ChannelAdapter]
"""Makes the adapter of the channel of this name, for one life, by its table: an instance of its platform's.

Opens nothing; raises PermanentError where it never could.
"""


@runtime_checkable
class HttpReceiver(Protocol):
    """An adapter whose platform sends HTTP requests to the daemon, beside being a `ChannelAdapter`."""

    async def pushed(self, request: PushedRequest) -> PushedResponse:
        """Answer a request; it is nobody's until the adapter has checked who sent it.

        Raises:
            BadRequestError, UnauthorizedError, ConflictError, UnavailableError: answered as the API does.
        """
