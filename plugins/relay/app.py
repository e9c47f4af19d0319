"""The component's exports: relay.py as a channel of PRX, its requests through the host's `http-outbound`."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from componentize_py_types import Err
from relay import MAX_FILE_BYTES, Answer, File, Relay, RelayError, pushed
from wit_world import exports
from wit_world.exports import channel_exports as world
from wit_world.exports.channel_exports import (
    Attachment,
    Capabilities,
    Channel,
    HttpRequest,
    HttpResponse,
    IncomingMessage,
    LengthUnit,
    Markup,
    News,
    OutgoingMessage,
    Received,
)
from wit_world.imports import config, http_outbound

_CASES = {
    "authentication": world.ChannelError_Authentication,
    "undeliverable": world.ChannelError_Undeliverable,
    "file_too_large": world.ChannelError_FileTooLarge,
    "permanent": world.ChannelError_Permanent,
    "unavailable": world.ChannelError_Unavailable,
}


class ChannelExports(exports.ChannelExports):
    """`prx:plugin/channel-exports@0.2.0`."""

    def name(self) -> str:
        return "relay"

    def get_capabilities(self) -> Capabilities:
        return Capabilities(
            max_length=2000,
            unit=LengthUnit.CHARS,
            multiline=True,
            markup=Markup.MARKDOWN,
            edits=True,
            threads=False,
            typing_ms=5000,
            pace_ms=0,
            poll_interval_ms=250,
            receives=True,
            max_file_bytes=MAX_FILE_BYTES,
            max_download_bytes=MAX_FILE_BYTES,
        )

    def health(self, channel: Channel) -> None:
        with _told():
            _relay(channel).see()

    def poll(self, channel: Channel, cursor: str | None, wait_ms: int) -> News:
        with _told():
            messages, now = _relay(channel).news(cursor, wait_ms)
            return News([_incoming(each) for each in messages], now)

    def receive(self, channel: Channel, request: HttpRequest) -> Received:  # noqa: ARG002  # all have one key
        with _told():
            messages = pushed(request.method, request.headers, request.body, config.get("push_key") or "")
            return Received(HttpResponse(204, [], b""), [_incoming(each) for each in messages])

    def fetch(self, channel: Channel, attachment: Attachment, max_bytes: int) -> bytes:
        with _told():
            return _relay(channel).fetch(attachment.id, max_bytes)

    def send(self, channel: Channel, message: OutgoingMessage) -> str | None:
        with _told():
            return _relay(channel).say(
                message.conversation,
                message.formatted or message.text,
                message.reply_to,
                message.key,
                message.file and File(message.file.name, message.file.media_type, message.file.content),
            )

    def edit(self, channel: Channel, message_id: str, message: OutgoingMessage) -> None:
        with _told():
            _relay(channel).change(message_id, message.formatted or message.text)

    def typing(self, channel: Channel, conversation: str, thread: str | None) -> None:  # noqa: ARG002  # no threads
        with _told():
            _relay(channel).type_in(conversation)


@contextmanager
def _told() -> Iterator[None]:
    """Have the host told what went wrong in the block."""
    try:
        yield
    except RelayError as error:
        if error.case == "throttled":
            said = world.ChannelError_Throttled(world.Throttle(str(error), error.retry_after_ms))
        else:
            said = _CASES[error.case](str(error))
        raise Err(said) from error


def _relay(channel: Channel) -> Relay:
    """Return the service as the channel's table has it: `url`, and `bot`, whose token is in the plugin's [config]."""
    settings = dict(channel.settings)
    if "url" not in settings:
        raise RelayError("permanent", "set url in the channel's table: where the relay is")
    key = f"{settings['bot']}_token" if "bot" in settings else "token"
    # A placeholder: the host puts the secret into the header on its way out.
    token = config.get(key)
    if token is None:
        raise RelayError("permanent", f"set {key} in the plugin's [config]: secret:NAME")
    return Relay(_request, settings["url"], token)


def _request(method: str, url: str, headers: list[tuple[str, str]], body: bytes | None) -> Answer:
    try:
        response = http_outbound.request(method, url, headers, body)
    except Err as error:
        raise RelayError("unavailable", str(error.value)) from error
    return Answer(response.status, response.headers, response.body)


def _incoming(said: dict[str, Any]) -> IncomingMessage:
    return IncomingMessage(
        conversation=said["room"],
        sender=said["user"],
        text=said["text"],
        event_id=said["id"],
        message_id=said["id"],
        thread=None,
        sender_name=said.get("name", ""),
        sender_aliases=[],
        is_bot=said.get("bot", False),
        is_self=said.get("self", False),
        is_group=said.get("group", False),
        mentioned=said.get("mentioned", False),
        reply_to=said.get("reply_to"),
        attachments=[
            Attachment(each["id"], each.get("name", ""), each.get("type", ""), each.get("size"))
            for each in said.get("files", [])
        ],
        sent_at_ms=said.get("at"),
    )
