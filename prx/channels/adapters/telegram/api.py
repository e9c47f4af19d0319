"""The methods of the Bot API, and what its refusals mean."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import aiohttp

from prx.channels.http import HttpAnswer, HttpClient, add_file, pause_secs
from prx.core.channel_errors import (
    AccountInUseError,
    AuthenticationError,
    MarkupRefusedError,
    ThrottledError,
    UndeliverableError,
)
from prx.core.errors import PrxError, UnavailableError
from prx.core.file import File

ANSWER_SECS: Final = 10.0
_UPLOAD_SECS: Final = 120.0
_DEFAULT_RETRY_SECS: Final = 5.0


class BotApi:
    """The Bot API for one bot. The token is in each URL, so no URL may be shown."""

    def __init__(self, base_url: str, token: str) -> None:
        """Be the bot of `token`."""
        self._http = HttpClient(base_url)
        self._token = token

    async def __aenter__(self) -> Self:
        """Be ready for calls."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._http.__aexit__(kind, error, trace)

    async def call(
        self, method: str, fields: Mapping[str, Any] | None = None, *, within_secs: float = ANSWER_SECS
    ) -> Any:
        """Call a method and return its result.

        Raises:
            PrxError: as `ChannelAdapter.run` and `send` say.
        """
        known = {key: value for key, value in (fields or {}).items() if value is not None}
        path = f"/bot{self._token}/{method}"
        return _result(await self._http.request("POST", path, body=known, within_secs=within_secs))

    async def upload(self, method: str, fields: Mapping[str, Any], field: str, file: File) -> Any:
        """Call a method with a file. Raises as `call`."""
        form = aiohttp.FormData()
        for key, value in fields.items():
            if value is not None:
                form.add_field(key, value if isinstance(value, str) else json.dumps(value))
        add_file(form, field, file)
        path = f"/bot{self._token}/{method}"
        return _result(await self._http.request("POST", path, body=form, within_secs=_UPLOAD_SECS))

    async def download(self, file_path: str, max_bytes: int) -> bytes:
        """Return a file that `getFile` told of.

        Raises:
            FileTooLargeError: it has more than `max_bytes`.
            UnavailableError: it cannot be fetched.
        """
        url = f"{self._http.base_url}/file/bot{self._token}/{file_path}"
        return await self._http.download(url, max_bytes, within_secs=_UPLOAD_SECS)


def _result(answer: HttpAnswer) -> Any:
    body = answer.body
    if not isinstance(body, dict) or "ok" not in body:
        raise UnavailableError(f"no Bot API answers at base_url, but something that says {answer.status}")
    if not body["ok"]:
        raise _refusal(body)
    return body["result"]


def _refusal(body: Mapping[str, Any]) -> PrxError:
    description = str(body.get("description", "no reason given"))
    match body.get("error_code"):
        case 401 | 404:
            return AuthenticationError("Invalid bot token")
        case 409:
            return AccountInUseError(
                f"another program receives this bot's messages: end it, or give PRX a bot of its own ({description})"
            )
        case 429:
            parameters = body.get("parameters")
            told = parameters.get("retry_after") if isinstance(parameters, dict) else None
            secs = pause_secs(told, _DEFAULT_RETRY_SECS)
            return ThrottledError(f"Telegram wants to be left alone for {secs:g} s", retry_after_secs=secs)
        # Markup around nothing, such as an empty block of code, is no text to Telegram.
        case 400 if "can't parse" in description or "text is empty" in description:
            return MarkupRefusedError(description)
        case 400 | 403 | 413:
            return UndeliverableError(description)
        case code:
            return UnavailableError(f"Telegram answered {code}: {description}")
