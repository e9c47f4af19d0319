"""The access token that requests to a server carry: renewed before it ends, by one request however many wait."""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

import httpx2

from prx.core.errors import UnavailableError
from prx.mcp.client.logins import Login, LoginStore

_MARGIN_SECS: Final = 60.0
_RENEW_SECS: Final = 30.0
_REFUSED: Final = frozenset({400, 401, 403})


class LoginOverError(UnavailableError):
    """The login does not hold any more: somebody has to log in again."""


class Tokens:
    """The login of one server, for one connection."""

    def __init__(
        self, store: LoginStore, server: str, url: str, obtain: Callable[[], Awaitable[Login]] | None
    ) -> None:
        """Use what `store` has; `obtain` makes a login without anybody's help, where that is configured."""
        self._store = store
        self._server = server
        self._url = url
        self._obtain = obtain
        self._login: Login | None = None
        self._known = False
        self._renewing = asyncio.Lock()

    async def current(self, client: httpx2.AsyncClient) -> str | None:
        """Return the access token, renewed where it ends soon; None where nobody logged in.

        Raises:
            LoginOverError: it has ended and is not renewed.
            UnavailableError: the authorization server cannot be reached.
        """
        if not self._known:
            self._login = await asyncio.to_thread(self._store.get, self._server, self._url)
            self._known = True
        login = self._login
        if login is None:
            return None
        if login.expires_at is not None and login.expires_at - _MARGIN_SECS < time.time():
            return await self.renewed(client, login.access_token)
        return login.access_token

    async def renewed(self, client: httpx2.AsyncClient, refused: str | None) -> str | None:
        """Return another access token than `refused`; None where there is no way to one.

        Raises:
            LoginOverError, UnavailableError: see `current`.
        """
        async with self._renewing:
            stored = await asyncio.to_thread(self._store.get, self._server, self._url)
            if stored is not None and stored.access_token != refused:
                self._login = stored  # somebody was quicker, perhaps `prx mcp login`
            elif self._obtain is not None:
                await self._keep(await self._obtain())
            elif stored is not None and stored.refresh_token is not None:
                await self._keep(await _refreshed(client, stored, stored.refresh_token))
            else:
                self._login = None
            return None if self._login is None else self._login.access_token

    async def _keep(self, login: Login) -> None:
        self._login = login
        await asyncio.to_thread(self._store.set, self._server, self._url, login)


async def _refreshed(client: httpx2.AsyncClient, login: Login, refresh_token: str) -> Login:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": login.client_id}
    headers = {}
    if login.resource is not None:
        form["resource"] = login.resource
    if login.client_auth == "client_secret_post":
        form["client_secret"] = login.client_secret or ""
    elif login.client_auth == "client_secret_basic":
        pair = f"{quote(login.client_id, safe='')}:{quote(login.client_secret or '', safe='')}"
        headers["authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    try:
        async with asyncio.timeout(_RENEW_SECS):
            answer = await client.post(login.token_endpoint, data=form, headers=headers)
    except (TimeoutError, httpx2.HTTPError) as error:
        raise UnavailableError(
            f"its login cannot be renewed: {type(error).__name__} {error}".strip()
        ) from error
    if answer.status_code in _REFUSED:
        raise LoginOverError(f"its login has ended (HTTP {answer.status_code} when it was renewed)")
    return _merged(login, answer)


def _merged(login: Login, answer: httpx2.Response) -> Login:
    try:
        given: Any = answer.json() if answer.is_success else None
    except ValueError:
        given = None
    if not isinstance(given, dict) or not isinstance(token := given.get("access_token"), str):
        raise UnavailableError(f"its login cannot be renewed: HTTP {answer.status_code} without a token")
    changes: dict[str, Any] = {"access_token": token, "expires_at": expiry_of(given.get("expires_in"))}
    if isinstance(rotated := given.get("refresh_token"), str):
        changes["refresh_token"] = rotated
    return login.model_copy(update=changes)


def expiry_of(expires_in: Any) -> float | None:
    """Return when a token ends that holds for so many seconds from now on; None where nobody said."""
    return time.time() + expires_in if isinstance(expires_in, int | float) and expires_in > 0 else None
