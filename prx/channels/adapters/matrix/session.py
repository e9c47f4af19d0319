"""The bot's session at a homeserver: begun once, kept in the channel's directory with the keys of encrypted rooms."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

from nio import AsyncClientConfig, LoginError, WhoamiError

from prx.channels.adapters.matrix.errors import login_refusal, refusal, translated
from prx.channels.adapters.matrix.keys import Client, KeyStore
from prx.config.platforms.matrix import MatrixConfig
from prx.core.channel_errors import AuthenticationError
from prx.core.private_file import PrivateFile

_REQUEST_SECS: Final = 20.0
_MAX_BYTES: Final = 16_384


@asynccontextmanager
async def session(config: MatrixConfig, directory: Path | None) -> AsyncIterator[Client]:
    """Have the bot be logged in for the length of the block; without a directory it is logged out after it.

    Raises:
        AuthenticationError: the homeserver does not know password or token.
        ThrottledError, UnavailableError: it cannot be reached, or wants a pause.
    """
    client = _client(config, directory)
    try:
        with translated(config.homeserver):
            kept = await asyncio.to_thread(_kept, directory, config)
            if not await _resumed(client, config, kept):
                await _begin(client, config, directory, kept)
        yield client
        if directory is None and config.password is not None:
            await client.logout()
    finally:
        await client.close()
        if client.store is not None:
            with suppress(sqlite3.Error):  # what is not on disk yet, closing brings there, too
                await client.settle()
            client.store.database.close()


def _client(config: MatrixConfig, directory: Path | None) -> Client:
    return Client(
        config.homeserver.rstrip("/"),
        config.user or "",
        store_path="" if directory is None else str(directory),
        config=AsyncClientConfig(
            store=KeyStore,
            encryption_enabled=config.encryption and directory is not None,
            # Who waits and tries again is decided outside.
            max_limit_exceeded=0,
            max_timeouts=0,
            request_timeout=_REQUEST_SECS,
        ),
    )


async def _resumed(client: Client, config: MatrixConfig, kept: dict[str, str]) -> bool:
    """Go on with the session that is there, and tell whether the homeserver knows it."""
    token = kept.get("access_token")
    if config.access_token is not None:
        token = config.access_token.get_secret_value()
    if token is None:
        return False
    client.access_token = token
    me = await client.whoami()
    if isinstance(me, WhoamiError):
        if me.status_code == "M_UNKNOWN_TOKEN" and config.access_token is None:
            return False
        raise refusal(me)
    if client.config.encryption_enabled and not me.device_id:
        raise AuthenticationError(
            "access_token belongs to no device: set encryption to false, or use a password"
        )
    client.restore_login(me.user_id, me.device_id or "", token)
    return True


async def _begin(client: Client, config: MatrixConfig, directory: Path | None, kept: dict[str, str]) -> None:
    client.access_token = ""
    # A session that was ended goes on under its device, whose keys others know.
    client.device_id = kept.get("device_id")
    password = config.password.get_secret_value() if config.password is not None else ""
    answer = await client.login(password, device_name=config.device_name)
    if isinstance(answer, LoginError):
        raise login_refusal(answer)
    if directory is not None:
        begun = {
            "homeserver": config.homeserver,
            "user": config.user,
            "device_id": answer.device_id,
            "access_token": answer.access_token,
        }
        await asyncio.to_thread(_keep, directory, begun)


def _file(directory: Path) -> PrivateFile:
    return PrivateFile(directory / "session.json", max_bytes=_MAX_BYTES)


def _kept(directory: Path | None, config: MatrixConfig) -> dict[str, str]:
    content = None if directory is None else _file(directory).read()
    kept: dict[str, str] = json.loads(content) if content is not None else {}
    is_ours = (kept.get("homeserver"), kept.get("user")) == (config.homeserver, config.user)
    return kept if is_ours else {}


def _keep(directory: Path, begun: dict[str, Any]) -> None:
    file = _file(directory)
    with file.locked():
        file.replace(json.dumps(begun).encode())
