"""The methods of Slack's Web API, and what its refusals mean."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from prx.channels.http import HttpAnswer, HttpClient, is_below, pause_secs
from prx.core.channel_errors import AuthenticationError, ThrottledError, UndeliverableError
from prx.core.errors import PrxError, UnavailableError
from prx.core.file import File

ANSWER_SECS: Final = 10.0
INVALID_TOKEN: Final = "Invalid bot token"  # noqa: S105  # no token, what is said of one
_UPLOAD_SECS: Final = 120.0
_DEFAULT_RETRY_SECS: Final = 5.0
_FILE_HOST: Final = "files.slack.com"
_OF_TOKENS: Final = frozenset(
    (
        *("invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired"),
        *("not_allowed_token_type", "team_access_not_granted", "ekm_access_denied"),
    )
)
_PASSING: Final = frozenset(
    ("internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org")
)


class WebApi:
    """The Web API for one bot."""

    def __init__(self, base_url: str, bot_token: str, app_token: str) -> None:
        """Be the bot of `bot_token` in the app of `app_token`."""
        self._http = HttpClient(base_url)
        self._bot = _bearer(bot_token)
        self._app = _bearer(app_token)

    async def __aenter__(self) -> Self:
        """Be ready for calls."""
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self._http.__aexit__(kind, error, trace)

    async def call(self, method: str, fields: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Call a method as the bot and return what it is answered.

        Raises:
            PrxError: as `ChannelAdapter.run` and `send` say.
        """
        return _result(await self._post(method, fields or {}, self._bot))

    async def scopes(self) -> frozenset[str]:
        """Return what the bot's token allows. Raises as `call`."""
        answer = await self._post("auth.test", {}, self._bot)
        _result(answer)
        return frozenset(answer.headers.get("x-oauth-scopes", "").replace(" ", "").split(","))

    async def socket_url(self) -> str:
        """Return where one connection of Socket Mode can be made.

        Raises:
            AuthenticationError: Slack does not know the app's token.
            PrxError: as `call`.
        """
        try:
            return str(_result(await self._post("apps.connections.open", {}, self._app))["url"])
        except AuthenticationError as error:
            raise AuthenticationError("Invalid app token") from error

    def socket(self, url: str) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        """Connect there; see `HttpClient.websocket`."""
        return self._http.websocket(url, within_secs=ANSWER_SECS)

    async def upload(self, file: File) -> str:
        """Have Slack hold a file, which nobody sees yet; return its id. Raises as `call`."""
        described = {"filename": file.name, "length": len(file.content)}
        place = await self.call("files.getUploadURLExternal", described)
        # The address is the secret: nobody who has it needs a token.
        answer = await self._http.post_file(place["upload_url"], file, within_secs=_UPLOAD_SECS)
        if answer.status != 200:  # noqa: PLR2004  # OK
            raise UnavailableError(f"Slack answered {answer.status} for the file")
        return str(place["file_id"])

    async def download(self, url: str, max_bytes: int) -> bytes:
        """Return a file that a message told of.

        Raises:
            FileTooLargeError: it has more than `max_bytes`.
            UndeliverableError: it is not at Slack's.
            UnavailableError: it cannot be fetched.
        """
        if URL(url).host != _FILE_HOST and not is_below(url, str(self._http.base_url)):
            raise UndeliverableError("the file is not at Slack's own address, which alone may see the token")
        return await self._http.download(url, max_bytes, within_secs=_UPLOAD_SECS, headers=self._bot)

    async def _post(self, method: str, fields: Mapping[str, Any], headers: Mapping[str, str]) -> HttpAnswer:
        # As a form: what only reads takes no JSON.
        form = aiohttp.FormData({key: _written(value) for key, value in fields.items() if value is not None})
        return await self._http.request(
            "POST", f"/{method}", body=form, within_secs=ANSWER_SECS, headers=headers
        )


def _bearer(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _result(answer: HttpAnswer) -> dict[str, Any]:
    body = answer.body
    if answer.status == 429:  # noqa: PLR2004  # Too Many Requests
        secs = pause_secs(answer.headers.get("Retry-After"), _DEFAULT_RETRY_SECS)
        raise ThrottledError(f"Slack wants to be left alone for {secs:g} s", retry_after_secs=secs)
    if not isinstance(body, dict) or "ok" not in body:
        raise UnavailableError(f"no Slack answers at base_url, but something that says {answer.status}")
    if not body["ok"]:
        raise _refusal(body)
    return body


def _refusal(body: Mapping[str, Any]) -> PrxError:
    reason = str(body.get("error", "no reason given"))
    if reason in _OF_TOKENS:
        return AuthenticationError(INVALID_TOKEN)
    if reason == "ratelimited":
        return ThrottledError("Slack wants to be left alone", retry_after_secs=_DEFAULT_RETRY_SECS)
    if reason in _PASSING:
        return UnavailableError(f"Slack answered {reason}")
    if reason == "missing_scope":
        return UndeliverableError(f"the bot lacks the scope {body.get('needed')}: see prx channel doctor")
    return UndeliverableError(f"Slack answered {reason}")
