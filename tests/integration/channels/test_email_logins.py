"""Why a mail server lets nobody in: a wrong password is for ever, what a server cannot check now is not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import pytest

from prx.channels.adapters.email.imap import logged_in
from prx.channels.adapters.email.sending import check
from prx.config.platforms.email import EmailConfig
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PrxError, UnavailableError


@asynccontextmanager
async def speaking(greeting: str, answers: Mapping[str, str]) -> AsyncIterator[EmailConfig]:
    """Be a server that answers each line by the command in it, and tell how both protocols get there."""
    visitors: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(f"{greeting}\r\n".encode())
            while line := (await reader.readline()).decode().strip():
                tag, command = line.split()[0], next(each for each in answers if each in line)
                writer.write(f"{answers[command].format(tag=tag)}\r\n".encode())
            await reader.read()
        finally:
            writer.close()

    def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        yield EmailConfig.model_validate(
            {
                "address": "bot@test.example", "password": "hunter2",
                "imap_host": "127.0.0.1", "imap_port": port, "imap_security": "none",
                "smtp_host": "127.0.0.1", "smtp_port": port, "smtp_security": "none",
            }
        )  # fmt: skip
    await asyncio.gather(*visitors)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("454 4.7.0 Temporary authentication failure", UnavailableError),
        ("421 4.3.2 Shutting down", UnavailableError),
        ("535 5.7.8 Authentication failed", AuthenticationError),
    ],
)
async def test_smtp_refuses_for_now_or_for_good(answer: str, error: type[PrxError]) -> None:
    answers = {"EHLO": "250-mail.test.example\r\n250 AUTH PLAIN", "AUTH": answer, "QUIT": "221 bye"}
    async with speaking("220 mail.test.example ESMTP", answers) as config:
        with pytest.raises(PrxError) as raised:
            await check(config)
    assert type(raised.value) is error


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("[UNAVAILABLE] Temporary authentication failure", UnavailableError),
        ("[LIMIT] Too many connections", UnavailableError),
        ("[InUse] Somebody else is there", UnavailableError),
        ("[AUTHENTICATIONFAILED] Authentication failed", AuthenticationError),
        ("Invalid credentials", AuthenticationError),
    ],
)
async def test_imap_refuses_for_now_or_for_good(answer: str, error: type[PrxError]) -> None:
    answers = {"CAPABILITY": "* CAPABILITY IMAP4rev1\r\n{tag} OK done", "LOGIN": f"{{tag}} NO {answer}"}
    async with speaking("* OK hello", answers) as config:
        with pytest.raises(PrxError) as raised:
            async with logged_in(config):
                pass
    assert isinstance(raised.value, error)
