"""The platforms whose servers are real, each ready to be rehearsed on."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Final

from tests.support.channel_kit import Rehearsal
from tests.support.rehearsals.email import EmailRehearsal
from tests.support.rehearsals.irc import irc_rehearsal
from tests.support.rehearsals.matrix import matrix_rehearsal
from tests.support.rehearsals.mqtt import mqtt_rehearsal
from tests.support.rehearsals.xmpp import xmpp_rehearsal
from tests.support.servers.mail import mail_server
from tests.support.servers.synapse import synapse

Open = Callable[[Path, Path, Path], AbstractAsyncContextManager[Rehearsal]]
"""Opens a platform with a certificate, a directory that is kept and one that is not."""


@asynccontextmanager
async def _on_irc(certificate: Path, _cache: Path, _directory: Path) -> AsyncIterator[Rehearsal]:
    async with irc_rehearsal(certificate) as rehearsal:
        yield rehearsal


@asynccontextmanager
async def _on_matrix(_certificate: Path, cache: Path, directory: Path) -> AsyncIterator[Rehearsal]:
    with synapse(cache) as server:
        async with matrix_rehearsal(server, directory) as rehearsal:
            yield rehearsal


@asynccontextmanager
async def _on_email(certificate: Path, _cache: Path, _directory: Path) -> AsyncIterator[Rehearsal]:
    with mail_server(certificate) as server:
        yield EmailRehearsal(server, certificate)


@asynccontextmanager
async def _on_mqtt(certificate: Path, _cache: Path, _directory: Path) -> AsyncIterator[Rehearsal]:
    async with mqtt_rehearsal(certificate) as rehearsal:
        yield rehearsal


@asynccontextmanager
async def _on_xmpp(certificate: Path, _cache: Path, _directory: Path) -> AsyncIterator[Rehearsal]:
    async with xmpp_rehearsal(certificate) as rehearsal:
        yield rehearsal


PLATFORMS: Final[dict[str, Open]] = {
    "email": _on_email,
    "irc": _on_irc,
    "matrix": _on_matrix,
    "mqtt": _on_mqtt,
    "xmpp": _on_xmpp,
}
