"""The PRX `channel` world: what a plugin says of a chat platform, and its values as those of `prx.core.channel`."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, get_args

from prx.core.channel import Attachment, Capabilities, IncomingMessage, LengthUnit, Markup, OutgoingMessage
from prx.core.file import fit_media_type
from prx.core.tool import ToolFailure
from prx.plugins.abi.wit import (
    EnumType,
    ListType,
    OptionType,
    Prim,
    RecordType,
    ResultType,
    TupleType,
    VariantType,
)
from prx.plugins.calls import Limits
from prx.plugins.errors import LoadError
from prx.plugins.worlds.binding import Binding, Signature

INTERFACE = "prx:plugin/channel-exports"

_LEAST_LENGTH: Final = 64
_LEAST_INTERVAL_SECS: Final = 0.1
_MOST_INTERVAL_SECS: Final = 5.0
_LEAST_TYPING_SECS: Final = 1.0
_MOST_PACE_SECS: Final = 60.0
# Twice the cadence, and a poll that waits at its longest in between: a platform that is silent is noticed in 15 s.
_CADENCE_SECS: Final = 7.5
# What a guest can send on: the body of a request has no more.
_MOST_FILE_BYTES: Final = 1024 * 1024
_REST_OF_OUTPUT_BYTES: Final = 1024
"""For what a call gives back beside a file."""
_MOST_ATTACHMENTS: Final = 50
_MOST_ID_CHARS: Final = 4096
_END_OF_TIME_MS: Final = 253_402_300_800_000

_TEXT = OptionType(Prim.STRING)
_TEXTS = ListType(Prim.STRING)
_PAIRS = ListType(TupleType((Prim.STRING, Prim.STRING)))
_BYTES = ListType(Prim.U8)
_CHANNEL = RecordType((("name", Prim.STRING), ("settings", _PAIRS)))
_CAPABILITIES = RecordType(
    (
        ("max-length", Prim.U32),
        ("unit", EnumType(get_args(LengthUnit))),
        ("multiline", Prim.BOOL),
        ("markup", EnumType(get_args(Markup))),
        ("edits", Prim.BOOL),
        ("threads", Prim.BOOL),
        ("typing-ms", OptionType(Prim.U32)),
        ("pace-ms", Prim.U32),
        ("poll-interval-ms", OptionType(Prim.U32)),
        ("receives", Prim.BOOL),
        ("max-file-bytes", Prim.U32),
        ("max-download-bytes", Prim.U32),
    )
)
_ERROR = VariantType(
    (
        ("authentication", Prim.STRING),
        ("account-in-use", Prim.STRING),
        ("throttled", RecordType((("message", Prim.STRING), ("retry-after-ms", Prim.U32)))),
        ("markup-refused", Prim.STRING),
        ("undeliverable", Prim.STRING),
        ("file-too-large", Prim.STRING),
        ("permanent", Prim.STRING),
        ("unavailable", Prim.STRING),
    )
)
_ATTACHMENT = RecordType(
    (
        ("id", Prim.STRING),
        ("name", Prim.STRING),
        ("media-type", Prim.STRING),
        ("size", OptionType(Prim.U64)),
    )
)
_FILE = RecordType((("name", Prim.STRING), ("media-type", Prim.STRING), ("content", _BYTES)))
_INCOMING = RecordType(
    (
        ("conversation", Prim.STRING),
        ("sender", Prim.STRING),
        ("text", Prim.STRING),
        ("event-id", _TEXT),
        ("message-id", _TEXT),
        ("thread", _TEXT),
        ("sender-name", Prim.STRING),
        ("sender-aliases", _TEXTS),
        ("is-bot", Prim.BOOL),
        ("is-self", Prim.BOOL),
        ("is-group", Prim.BOOL),
        ("mentioned", Prim.BOOL),
        ("reply-to", _TEXT),
        ("attachments", ListType(_ATTACHMENT)),
        ("sent-at-ms", OptionType(Prim.U64)),
    )
)
_OUTGOING = RecordType(
    (
        ("conversation", Prim.STRING),
        ("text", Prim.STRING),
        ("formatted", _TEXT),
        ("thread", _TEXT),
        ("reply-to", _TEXT),
        ("file", OptionType(_FILE)),
        ("key", _TEXT),
    )
)
_REQUEST = RecordType(
    (
        ("method", Prim.STRING),
        ("path", Prim.STRING),
        ("query", _PAIRS),
        ("headers", _PAIRS),
        ("body", _BYTES),
    )
)
_RESPONSE = RecordType((("status", Prim.U16), ("headers", _PAIRS), ("body", _BYTES)))
_NEWS = RecordType((("messages", ListType(_INCOMING)), ("cursor", _TEXT)))
_RECEIVED = RecordType((("response", _RESPONSE), ("messages", ListType(_INCOMING))))


def _asked(result: Any, *params: tuple[str, Any]) -> Signature:
    return Signature([("channel", _CHANNEL), *params], ResultType(result, _ERROR))


SIGNATURES = {
    "name": Signature(result=Prim.STRING),
    "get-capabilities": Signature(result=_CAPABILITIES),
    "health": _asked(None),
    "poll": _asked(_NEWS, ("cursor", _TEXT), ("wait-ms", Prim.U32)),
    "receive": _asked(_RECEIVED, ("request", _REQUEST)),
    "fetch": _asked(_BYTES, ("attachment", _ATTACHMENT), ("max-bytes", Prim.U32)),
    "send": _asked(_TEXT, ("message", _OUTGOING)),
    "edit": _asked(None, ("message-id", Prim.STRING), ("message", _OUTGOING)),
    "typing": _asked(None, ("conversation", Prim.STRING), ("thread", _TEXT)),
}


class Platform(NamedTuple):
    """A chat platform as a component describes it once, at load."""

    name: str
    """The `type` of its channels."""
    can: Capabilities
    interval_secs: float | None
    """Least time from one poll to the next; None where there is nothing to poll."""
    wait_secs: float
    """How long a poll may wait for something at the platform."""
    receives: bool
    functions: Mapping[str, Binding]
    """Those that are asked about one channel; the output of one that failed is the world's error."""


def platform(
    name: str, functions: Mapping[str, Binding], about: Mapping[str, Any], limits: Limits
) -> Platform:
    """Return what a component says of its platform, held to what channels can be, and to its calls' limits.

    Raises:
        LoadError: it says what no platform is like.
    """
    interval, typing = about["poll_interval_ms"], about["typing_ms"]
    if about["max_length"] < _LEAST_LENGTH:
        raise LoadError(
            f"get-capabilities gives a max-length of {about['max_length']}: texts of {_LEAST_LENGTH} are the least"
        )
    if interval is None and not about["receives"]:
        raise LoadError(
            "get-capabilities says that its channel neither polls nor receives: no message could ever come"
        )
    can = Capabilities(
        max_length=about["max_length"],
        unit=about["unit"],
        multiline=about["multiline"],
        markup=about["markup"],
        edits=about["edits"],
        threads=about["threads"],
        typing_secs=None if typing is None else max(typing / 1000, _LEAST_TYPING_SECS),
        pace_secs=min(about["pace_ms"] / 1000, _MOST_PACE_SECS),
        max_file_bytes=min(about["max_file_bytes"], _MOST_FILE_BYTES),
        max_download_bytes=min(
            about["max_download_bytes"], max(limits.max_output_bytes - _REST_OF_OUTPUT_BYTES, 0)
        ),
        cadence_secs=_CADENCE_SECS,
        idle_limit_secs=2 * _CADENCE_SECS,
    )
    return Platform(
        name,
        can,
        None if interval is None else min(max(interval / 1000, _LEAST_INTERVAL_SECS), _MOST_INTERVAL_SECS),
        min(limits.max_execution_secs / 2, _MOST_INTERVAL_SECS),
        about["receives"],
        {key: replace(binding, outcome=_outcome) for key, binding in functions.items()},
    )


def incoming(said: Mapping[str, Any]) -> IncomingMessage | None:
    """Return a message that a component tells of; None for one that nobody says, or nowhere."""
    fields = {**said}
    sent_at, told = fields.pop("sent_at_ms"), fields.pop("attachments")
    if not fields["conversation"] or not fields["sender"]:
        return None
    # A number that JSON cannot hold is lifted as text.
    is_moment = isinstance(sent_at, int) and sent_at < _END_OF_TIME_MS
    return IncomingMessage(
        **fields,
        attachments=[
            _attachment(each) for each in told[:_MOST_ATTACHMENTS] if len(each["id"]) <= _MOST_ID_CHARS
        ],
        sent_at=datetime.fromtimestamp(sent_at / 1000, UTC) if is_moment else None,
    )


def attached(attachment: Attachment) -> dict[str, Any]:
    """Return a file that is to be fetched as the world has it."""
    return asdict(attachment)


def outgoing(message: OutgoingMessage) -> dict[str, Any]:
    """Return a message as the world has it."""
    return {
        "conversation": message.conversation,
        "text": message.text,
        "formatted": message.formatted,
        "thread": message.thread,
        "reply_to": message.reply_to,
        "file": next(map(asdict, message.files), None),
        "key": message.key,
    }


def _attachment(told: Mapping[str, Any]) -> Attachment:
    size = told["size"]
    return Attachment(
        id=told["id"],
        name=told["name"],
        media_type=fit_media_type(told["media_type"]),
        size=size if isinstance(size, int) else None,
    )


def _outcome(value: Mapping[str, Any]) -> tuple[Any, ToolFailure | None]:
    if "ok" in value:
        return value["ok"], None
    [said] = value["err"].values()
    message = said if isinstance(said, str) else said["message"]
    return value["err"], ToolFailure("tool_error", message or "the plugin failed and gave no reason")
