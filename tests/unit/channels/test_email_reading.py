"""Messages of email, read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.channels.adapters.email.reading import Thread, is_automatic, message_of, parsed, without_quotes
from prx.core.channel import IncomingMessage

HEADERS = st.sampled_from(
    [b"From", b"To", b"Subject", b"Content-Type", b"Content-Transfer-Encoding", b"Message-ID", b"References",
     b"Date", b"Content-Disposition", b"Authentication-Results", b"Auto-Submitted"]
)  # fmt: skip


def read(raw: str | bytes, authority: str | None = None) -> IncomingMessage | None:
    raw = raw.encode() if isinstance(raw, str) else raw
    mail = parsed(raw)
    return None if mail is None else message_of(mail, "1:2", "prx@x.example", authority)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Yes.\n\nOn Mon, 1 Jan, Ada <a@x> wrote:\n> Really?\n", "Yes."),
        ("Yes.\n\nOn Mon, 1 Jan 2026 at 10:00, somebody with a long name\n<a@x> wrote:\n> Really?\n", "Yes."),
        ("Ja.\n\nAm 1. Januar schrieb Ada:\n> Wirklich?\n", "Ja."),
        ("Yes.\r\n-----Original Message-----\r\nFrom: Ada\r\n", "Yes."),
        ("> first?\nYes.\n> second?\nNo.\n", "Yes.\nNo."),
        ("Yes.\n-- \nAda\n", "Yes."),
        ("> only a quote\n", "> only a quote"),
        ("On the table I wrote: nothing", "On the table I wrote: nothing"),
    ],
    ids=["on", "two lines", "German", "Outlook", "between", "signature", "nothing else", "not a quote"],
)
def test_what_is_repeated_is_cut(text: str, said: str) -> None:
    assert without_quotes(text) == said


def test_html_alone_is_read_as_text() -> None:
    message = read(
        "From: ada@x.example\nContent-Type: text/html; charset=utf-8\n\n"
        "<html><head><style>p {}</style></head><body><p>One &amp; <b>two</b></p><p>three</p></body></html>"
    )
    assert message is not None
    assert message.text == "One & two\nthree"


def test_a_command_stands_alone_whatever_the_subject_is() -> None:
    message = read("From: ada@x.example\nSubject: begin\n\n/new\n")
    assert message is not None
    assert message.text == "/new"


@pytest.mark.parametrize(
    "author",
    [
        "=?utf-8?q?ada=40x.example=2C?= <eve@evil.example>",
        '"ada@x.example" <eve@evil.example>',
        '"ada@x.example,\\"" <eve@evil.example>',
    ],
)
def test_a_name_that_looks_like_an_address_is_a_name(author: str) -> None:
    message = read(f"From: {author}\n\nhi\n")
    assert message is not None
    assert (message.sender, message.conversation) == ("eve@evil.example", "eve@evil.example")
    assert "ada@x.example" in message.sender_name


@pytest.mark.parametrize(
    "headers",
    [
        "From: ada@x.example, eve@evil.example",
        "From: ada@x.example<eve@evil.example>",
        "From: <ada@x.example> <eve@evil.example>",
        "From: ada@x.example (<eve@evil.example>)",
        "From: eve@evil.example (ada@x.example)",
        'From: "Ada" <ada@x.example>eve@evil.example',
        "From: ada@x.example\nFrom: eve@evil.example",
        "From: =?utf-8?b?YWRhQHguZXhhbXBsZSw=?= eve@evil.example",
        "From: Ada",
        "To: ada@x.example",
    ],
)
def test_a_message_of_nobody_or_of_several_is_left_alone(headers: str) -> None:
    assert read(f"{headers}\n\nhi\n") is None


@pytest.mark.parametrize(
    ("verdict", "is_heard"),
    [
        ("dmarc=pass", True),
        ("spf=pass (mx: domain of a@x.example is fine) smtp.mailfrom=a@x.example; dmarc=pass (p=NONE)", True),
        ("dkim=pass header.d=x.example;\n\tDMARC = pass header.from=x.example; spf=none", True),
        ("dmarc=fail", False),
        ("dmarc=passed", False),
        ("spf=pass smtp.mailfrom=dmarc=pass@evil.example; dmarc=fail", False),
        ('spf=pass smtp.mailfrom="a; dmarc=pass"@evil.example', False),
        ("spf=pass (domain of a; dmarc=pass (really)) smtp.mailfrom=a@evil.example", False),
        ("dmarc=pass header.from=evil.example; dmarc=fail header.from=x.example", False),
        ('spf=pass smtp.mailfrom="; dmarc=pass', False),
        ("none", False),
    ],
)  # fmt: skip
def test_the_mail_server_alone_says_who_is_vouched_for(verdict: str, *, is_heard: bool) -> None:
    raw = f"Authentication-Results: mx.x.example; {verdict}\nFrom: ada@x.example\n\nhi\n"
    assert (read(raw, "mx.x.example") is not None) is is_heard


def test_a_message_without_an_id_is_known_by_its_place() -> None:
    message = read("From: Ada <ADA@x.example>\n\nhi\n")
    assert message is not None
    assert (message.sender, message.sender_name, message.event_id) == (
        "ada@x.example",
        "Ada",
        "<1:2@prx.invalid>",
    )


@pytest.mark.parametrize(
    "headers",
    ["Auto-Submitted: auto-generated", "Precedence: list", "List-Unsubscribe: <x>", "Return-Path: <>"],
)
def test_programs_are_known(headers: str) -> None:
    mail = parsed(f"From: ada@x.example\n{headers}\n\nhi".encode())
    assert mail is not None
    assert is_automatic(mail)
    assert not is_automatic(parsed(b"From: ada@x.example\nAuto-Submitted: no\n\nhi"))


@pytest.mark.parametrize(
    ("results", "is_heard"),
    [
        ("mx.x.example; dmarc=pass", True),
        ("mx.x.example; dmarc=fail", False),
        ("mx.evil.example; dmarc=pass", False),
        ("mx.x.example.evil.example; dmarc=pass", False),
    ],
    ids=["pass", "fail", "another server", "one like it"],
)
def test_a_sender_is_vouched_for_by_the_named_server_alone(results: str, is_heard: bool) -> None:  # noqa: FBT001
    raw = f"From: ada@x.example\nAuthentication-Results: {results}\n\nhi"
    assert (read(raw, "mx.x.example") is not None) == is_heard


def test_the_first_word_of_that_server_counts() -> None:
    forged = "Authentication-Results: mx.x.example; dmarc=pass"
    raw = f"Authentication-Results: mx.x.example; dmarc=fail\n{forged}\nFrom: ada@x.example\n\nhi"
    assert read(raw, "mx.x.example") is None


@given(st.lists(st.tuples(HEADERS, st.binary(max_size=60))), st.binary(max_size=200))
def test_whatever_is_sent_is_read_or_left_alone(headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    lines = b"".join(name + b": " + value.replace(b"\n", b"\n ") + b"\n" for name, value in headers)
    read(b"From: ada@x.example\n" + lines + b"\n" + body, None)


@given(st.text(), st.lists(st.text()), st.text())
def test_a_thread_travels_as_text(message_id: str, references: list[str], subject: str) -> None:
    thread = Thread(message_id, references, subject)
    assert Thread.unpacked(thread.packed()) == thread


@pytest.mark.parametrize("depth", [10, 300, 2000])
def test_parts_in_parts_end_no_connection_however_deep_they_are(depth: int) -> None:
    raw = "Content-Type: text/plain\n\nhi\n"
    for number in range(depth):
        raw = f"Content-Type: multipart/mixed; boundary=b{number}\n\n--b{number}\n{raw}\n--b{number}--\n"
    message = read(f"From: ada@x.example\n{raw}")
    assert (message is None) == (depth == 2000)
