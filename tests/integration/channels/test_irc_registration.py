"""How a bot gets in where ngIRCd is not enough: a server that plays a dialogue, with SASL and refusals."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from prx.channels.adapters.irc.connection import connected
from prx.channels.adapters.irc.registration import register
from prx.config.platforms.irc import IrcConfig
from prx.core.channel_errors import AuthenticationError
from prx.core.errors import PermanentError, UnavailableError
from tests.support.waiting import PATIENCE_SECS

Dialogue = Sequence[tuple[str, Sequence[str]]]
"""What the bot says at last, and what it is answered."""
CREDENTIALS = base64.b64encode(b"\0ada\0hunter2").decode()
IN = ":s 001 prx :Welcome"
WITH_SASL: Dialogue = [
    ("CAP LS 302", [":s CAP * LS * :multi-prefix sasl=PLAIN,EXTERNAL", ":s CAP * LS :account-tag"]),
    ("CAP REQ :account-tag sasl", [":s CAP prx ACK :account-tag sasl"]),
    ("AUTHENTICATE PLAIN", ["AUTHENTICATE +"]),
]


@asynccontextmanager
async def playing(dialogue: Dialogue) -> AsyncIterator[tuple[int, list[str]]]:
    """Play a server for the length of the block; yields its port, and what it was told."""
    told: list[str] = []
    visits: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        left, task = list(dialogue), asyncio.current_task()
        assert task is not None
        visits.append(task)
        while line := await reader.readline():
            told.append(line.decode().rstrip("\r\n"))
            if left and told[-1] == left[0][0]:
                writer.writelines(f"{answer}\r\n".encode() for answer in left.pop(0)[1])
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], told
    finally:
        server.close()
        await asyncio.gather(*visits)
        await server.wait_closed()


async def registered(dialogue: Dialogue, **keys: str) -> tuple[str, list[str]]:
    """Register, and return the nick and what was said for that."""
    async with playing(dialogue) as (port, told):
        config = IrcConfig.model_validate(
            {"server": "127.0.0.1", "port": port, "tls": False, "nick": "prx"} | keys
        )
        async with asyncio.timeout(PATIENCE_SECS), connected(config) as connection:
            return (await register(connection, config, config.nick)).nick, told


async def test_a_bot_logs_in_to_its_account_before_anybody_sees_it() -> None:
    dialogue = [*WITH_SASL, (f"AUTHENTICATE {CREDENTIALS}", [":s 903 prx :done"]), ("CAP END", [IN])]
    nick, told = await registered(dialogue, sasl_user="ada", sasl_password="hunter2")  # noqa: S106
    assert nick == "prx"
    assert told == ["CAP LS 302", "NICK prx", "USER prx 0 * PRX", *(said for said, _ in dialogue[1:]), "QUIT"]


@pytest.mark.parametrize(
    ("dialogue", "keys", "error", "words"),
    [
        (
            [*WITH_SASL, (f"AUTHENTICATE {CREDENTIALS}", [":s 904 prx :SASL authentication failed"])],
            {"sasl_user": "ada", "sasl_password": "hunter2"},
            AuthenticationError,
            "check sasl_user",
        ),
        (
            [("CAP LS 302", [":s CAP * LS :multi-prefix"])],
            {"sasl_password": "hunter2"},
            AuthenticationError,
            "offers no SASL",
        ),
        (
            [("CAP LS 302", [":s 421 * CAP :Unknown command"])],
            {"sasl_password": "hunter2"},
            AuthenticationError,
            "offers no SASL",
        ),
        ([("NICK prx", [":s 464 * :Password incorrect"])], {}, AuthenticationError, "check server_password"),
        ([("NICK prx", [":s 465 * :You are banned"])], {}, PermanentError, "You are banned"),
        ([("NICK prx", [":s 432 * prx :Erroneous nickname"])], {}, PermanentError, "set another one"),
        ([("NICK prx", ["ERROR :Too many connections"])], {}, UnavailableError, "Too many connections"),
    ],
    ids=["wrong account", "no SASL", "no capabilities", "password", "banned", "nick", "later"],
)
async def test_a_refusal_says_what_to_look_at(
    dialogue: Dialogue, keys: dict[str, str], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as refused:
        await registered(dialogue, **keys)
    assert "hunter2" not in str(refused.value)


async def test_a_server_without_capabilities_lets_a_bot_in_all_the_same() -> None:
    nick, _ = await registered([("CAP LS 302", [":s 421 * CAP :Unknown command"]), ("NICK prx", [IN])])
    assert nick == "prx"


async def test_capabilities_that_are_refused_are_done_without() -> None:
    nick, _ = await registered(
        [
            ("CAP LS 302", [":s CAP * LS :account-tag"]),
            ("CAP REQ account-tag", [":s CAP prx NAK :account-tag"]),
            ("CAP END", [IN]),
        ]
    )
    assert nick == "prx"
