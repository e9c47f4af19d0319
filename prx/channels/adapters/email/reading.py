"""A message of email, read into what its sender says."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32
from email.utils import getaddresses, parsedate_to_datetime
from html import unescape
from typing import Final

from prx.channels.malformed import skips_malformed
from prx.core.channel import Attachment, IncomingMessage

_MAX_REFERENCES: Final = 20
_MAX_SUBJECT: Final = 200
_IDS: Final = re.compile(r"<[^<>\s]{1,300}>")
_AUTOMATIC: Final = frozenset({"bulk", "list", "junk", "auto_reply"})
# Where an app begins to repeat what is answered.
_QUOTE: Final = re.compile(
    r"^(?:On .{1,200}\n?.{0,200}wrote:|-{2,} ?Original Message ?-{2,}|_{20,}|Am .{1,200}\n?.{0,200}schrieb.{0,200}:"
    r"|Le .{1,200}\n?.{0,200}a écrit\s*:)\s*$",
    re.MULTILINE | re.IGNORECASE,
)
_SIGNATURE: Final = re.compile(r"^-- ?$", re.MULTILINE)
_ADDRESS: Final = re.compile(r"[^@\s<>,]+@[^@\s<>,]+")
# Names in a `From`: quoted, or encoded.
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.)*"|=\?[^?\s]+\?[bq]\?[^?\s]*\?=', re.IGNORECASE | re.DOTALL)
_COMMENT: Final = re.compile(r"\([^()]*\)")
_DMARC: Final = re.compile(r"\s*dmarc\s*=\s*(\S+)", re.IGNORECASE)
_BLOCKS: Final = re.compile(r"</(?:p|div|tr|li|h\d|blockquote)>|<br\s*/?>", re.IGNORECASE)
_UNSHOWN: Final = re.compile(r"<(script|style|head)\b.*?</\1>", re.IGNORECASE | re.DOTALL)
_TAG: Final = re.compile(r"<[^<>]*>")


@dataclass(frozen=True, slots=True)
class Thread:
    """What it takes to answer a message within its thread. It travels as text, since it outlasts the daemon."""

    message_id: str
    references: Sequence[str]
    """The messages before it, the oldest first."""
    subject: str

    def packed(self) -> str:
        """Return it as text."""
        return json.dumps([self.message_id, [*self.references], self.subject])

    @classmethod
    def unpacked(cls, text: str) -> "Thread":
        """Return what `packed` made a text of."""
        message_id, references, subject = json.loads(text)
        return cls(message_id, references, subject)


@skips_malformed
def parsed(raw: bytes) -> Message | None:
    """Return a message in its parts; None where there are parts in parts in parts without an end."""
    return BytesParser(policy=compat32).parsebytes(raw)


@skips_malformed
def message_of(mail: Message, place: str, me: str, authority: str | None) -> IncomingMessage | None:
    """Return what a message says; None where a program sent it, or nobody vouches for its sender.

    Args:
        mail: the message.
        place: where it lies in the mailbox; names it where it has no id of its own, and its files.
        me: the bot's address.
        authority: the mail server whose `Authentication-Results` have to vouch for the sender; None asks nobody.
    """
    author = _author(mail)
    if author is None or is_automatic(mail) or (authority is not None and not _is_vouched(mail, authority)):
        return None
    sender_name, sender = author
    if sender == me.lower():
        return None
    message_id = next(iter(_IDS.findall(_header(mail, "Message-ID"))), f"<{place}@prx.invalid>")
    before = _IDS.findall(f"{_header(mail, 'References')} {_header(mail, 'In-Reply-To')}")
    references = list(dict.fromkeys(before))
    references = references[:1] + references[1:][-_MAX_REFERENCES:]
    subject = " ".join(_header(mail, "Subject").split())[:_MAX_SUBJECT]
    return IncomingMessage(
        conversation=sender,
        sender=sender,
        sender_name=sender_name,
        text=_text(mail, subject, is_first=not references),
        event_id=message_id,
        message_id=Thread(message_id, references, subject).packed(),
        thread=(references or [message_id])[0],
        attachments=[_attachment(part, number, place) for number, part in files(mail)],
        sent_at=_moment(_header(mail, "Date")),
    )


def is_automatic(mail: Message) -> bool:
    """Tell whether a program sent a message, which no program may answer: the two would never end."""
    return (
        _header(mail, "Auto-Submitted").strip().lower() not in ("", "no")
        or _header(mail, "Precedence").strip().lower() in _AUTOMATIC
        or _header(mail, "Return-Path").strip() == "<>"
        or mail.get_content_type() == "multipart/report"
        or any(name.lower().startswith("list-") for name in mail.keys())  # noqa: SIM118  # a message is no mapping
    )


def files(mail: Message) -> Iterator[tuple[int, Message]]:
    """Yield the parts that are files, with their numbers."""
    for number, part in enumerate(mail.walk()):
        if not part.is_multipart() and (
            part.get_content_disposition() == "attachment" or part.get_filename()
        ):
            yield number, part


def content(part: Message) -> bytes:
    """Return what a part holds."""
    held = part.get_payload(decode=True)
    return held if isinstance(held, bytes) else b""


def without_quotes(text: str) -> str:
    """Return a text without what it repeats of the one that it answers, and without its signature."""
    kept = text.replace("\r\n", "\n")
    for mark in (_QUOTE, _SIGNATURE):
        if (found := mark.search(kept)) is not None:
            kept = kept[: found.start()]
    lines = [line for line in kept.split("\n") if not line.startswith(">")]
    return "\n".join(lines).strip() or text.strip()


def _author(mail: Message) -> tuple[str, str] | None:
    """Return name and address of who wrote a message; None where that can be read in more than one way.

    Who vouches for a message may read it in the other one: nobody is to be taken for somebody who may talk.
    """
    values = mail.get_all("From", [])
    if len(values) != 1 or _QUOTED.sub("", str(values[0])).count("@") != 1:
        return None
    # Decoded after it is parsed: an encoded name can hold what looks like an address.
    found = [(name, address) for name, address in getaddresses([str(values[0])]) if name or address]
    if len(found) != 1 or not _ADDRESS.fullmatch(found[0][1]):
        return None
    return _readable(found[0][0]), found[0][1].lower()


def _text(mail: Message, subject: str, *, is_first: bool) -> str:
    body = without_quotes(_body(mail))
    # A thread often begins with a subject that is the question; in later ones the app repeats it.
    if is_first and subject and not body.startswith("/"):
        return f"{subject}\n\n{body}".strip()
    return body


def _body(mail: Message) -> str:
    attached = {number for number, _ in files(mail)}
    texts = [
        part
        for number, part in enumerate(mail.walk())
        if part.get_content_maintype() == "text" and not part.is_multipart() and number not in attached
    ]
    for part in texts:
        if part.get_content_subtype() == "plain":
            return _decoded(part)
    for part in texts:
        if part.get_content_subtype() == "html":
            return unescape(_TAG.sub("", _BLOCKS.sub("\n", _UNSHOWN.sub("", _decoded(part)))))
    return ""


def _decoded(part: Message) -> str:
    try:
        return content(part).decode(part.get_content_charset() or "utf-8", errors="replace")
    except (LookupError, ValueError):
        return content(part).decode(errors="replace")


def _attachment(part: Message, number: int, place: str) -> Attachment:
    return Attachment(
        id=f"{place}:{number}",
        name=_readable(part.get_filename() or f"file-{number}"),
        media_type=part.get_content_type(),
        size=len(content(part)),
    )


def _header(mail: Message, name: str) -> str:
    return _readable(mail.get(name, ""))


def _readable(value: object) -> str:
    text = str(value)
    try:
        return str(make_header(decode_header(text)))
    except (HeaderParseError, LookupError, ValueError):
        return text.encode(errors="replace").decode()


def _is_vouched(mail: Message, authority: str) -> bool:
    """Tell whether the first word of the server that took the message is that its `From` is true."""
    for value in mail.get_all("Authentication-Results", []):
        server, _, verdict = str(value).partition(";")
        if server.strip().split(" ")[0].lower() == authority.lower():
            return _dmarc(verdict) == {"pass"}
    return False


def _dmarc(verdict: str) -> set[str]:
    """Return what the results of a mail server say of DMARC; it writes things of the sender's choice beside them."""
    bare, left = _QUOTED.sub("", verdict), 1
    while left:
        bare, left = _COMMENT.subn("", bare)
    if set(bare) & set('"()'):
        return set()
    found = (_DMARC.match(result) for result in bare.split(";"))
    return {result[1].lower() for result in found if result is not None}


def _moment(text: str) -> datetime | None:
    try:
        return parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
