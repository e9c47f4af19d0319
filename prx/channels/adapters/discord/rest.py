"""The REST API of Discord, and what its refusals mean."""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from prx import __version__
from prx.channels.http import HttpAnswer, HttpClient, add_file, is_below, pause_secs
from prx.core.channel_errors import AuthenticationError, ThrottledError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError
from prx.core.file import File

ANSWER_SECS: Final = 10.0
_UPLOAD_SECS: Final = 120.0
_DEFAULT_RETRY_SECS: Final = 5.0
_FILE_HOSTS: Final = ("cdn.discordapp.com", "media.discordapp.net")
INVALID_TOKEN: Final = "Invalid bot token"  # noqa: S105  # no token, what is said of one


class RestApi:
    """The REST API for one bot."""

    def __init__(self, base_url: str, token: str) -> None:
        """Be the bot of `token`."""
        agent = f"DiscordBot (PRX, {__version__})"
        self._http = HttpClient(base_url, {"Authorization": f"Bot {token}", "User-Agent": agent})

    async def __aenter__(self) -> Self:
        """Be ready for calls."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._http.__aexit__(kind, error, trace)

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Make a request and return the JSON that it is answered.

        Raises:
            PrxError: as `ChannelAdapter.run` and `send` say.
        """
        return _result(await self._http.request(method, path, body=body, within_secs=ANSWER_SECS))

    async def upload(self, path: str, body: Mapping[str, Any], files: Sequence[File]) -> Any:
        """Post a message with files. Raises as `call`."""
        form = aiohttp.FormData()
        form.add_field("payload_json", json.dumps(body), content_type="application/json")
        for number, file in enumerate(files):
            add_file(form, f"files[{number}]", file)
        return _result(await self._http.request("POST", path, body=form, within_secs=_UPLOAD_SECS))

    async def download(self, url: str, max_bytes: int) -> bytes:
        """Return a file that a message told of.

        Raises:
            FileTooLargeError: it has more than `max_bytes`.
            UndeliverableError: it is not at Discord's.
            UnavailableError: it cannot be fetched.
        """
        if URL(url).host not in _FILE_HOSTS and not is_below(url, str(self._http.base_url)):
            raise UndeliverableError("the file is not at one of Discord's own addresses")
        return await self._http.download(url, max_bytes, within_secs=_UPLOAD_SECS)

    def gateway(
        self, url: str, close_code: int
    ) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """Connect to the gateway; see `HttpClient.websocket`."""
        where = URL(url).with_query(v="10", encoding="json")
        return self._http.websocket(str(where), within_secs=ANSWER_SECS, close_code=close_code)


def _result(answer: HttpAnswer) -> Any:
    if answer.status >= 300:  # noqa: PLR2004  # beyond the statuses of success
        raise _refusal(answer)
    if answer.body is None and answer.status != 204:  # noqa: PLR2004  # No Content
        raise UnavailableError(f"no Discord answers at base_url, but something that says {answer.status}")
    return answer.body


def _refusal(answer: HttpAnswer) -> PrxError:
    body: Mapping[str, Any] = answer.body if isinstance(answer.body, dict) else {}
    said = str(body.get("message", "no reason given"))
    match answer.status:
        case status if status != 429 and "message" not in body:  # noqa: PLR2004  # too many requests
            return UnavailableError(f"no Discord answers at base_url, but something that says {status}")
        case 401:
            return AuthenticationError(INVALID_TOKEN)
        case 429:
            # Without JSON it is the network before Discord that wants less.
            given = body.get("retry_after", answer.headers.get("Retry-After", _DEFAULT_RETRY_SECS))
            secs = pause_secs(given, _DEFAULT_RETRY_SECS)
            return ThrottledError(f"Discord wants to be left alone for {secs:g} s", retry_after_secs=secs)
        case 400 | 403 | 404 | 413:
            return UndeliverableError(f"{said} ({body.get('code')})")
        case status:
            return UnavailableError(f"Discord answered {status}: {said}")
