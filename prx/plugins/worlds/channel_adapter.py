"""Channels that a plugin brings: the adapter that asks it, at the host's own pace. See `ChannelAdapter`."""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final, NoReturn

from prx.config.channels import ChannelConfig
from prx.config.keys import dotted
from prx.core.channel import (
    Attachment,
    ChannelContext,
    Finding,
    OutgoingMessage,
    PushedRequest,
    PushedResponse,
)
from prx.core.channel_errors import (
    AccountInUseError,
    AuthenticationError,
    FileTooLargeError,
    MarkupRefusedError,
    ThrottledError,
    UndeliverableError,
)
from prx.core.errors import BadRequestError, PermanentError, PrxError, UnauthorizedError, UnavailableError
from prx.core.tool import CallContext
from prx.plugins.worlds.binding import Guest, to_json
from prx.plugins.worlds.channel import Platform, attached, incoming, outgoing
from prx.runtime.logging import get_logger

_ERRORS: Final[Mapping[str, type[PrxError]]] = {
    "authentication": AuthenticationError,
    "account_in_use": AccountInUseError,
    "markup_refused": MarkupRefusedError,
    "undeliverable": UndeliverableError,
    "file_too_large": FileTooLargeError,
    "permanent": PermanentError,
    "unavailable": UnavailableError,
}
_LEAST_STATUS: Final = 200
_MOST_STATUS: Final = 599
_HEADERS: Final = {"allow", "cache-control", "content-type", "retry-after", "www-authenticate"}
_MOST_PAUSE_SECS: Final = 3600.0
_OWN_HEADER: Final = re.compile("x-[a-z0-9-]{1,64}")

_log = get_logger("plugins::channel")


class PluginChannels:
    """What makes adapters for the channels of one generation."""

    def __init__(self, plugin: str, guest: Guest, platform: Platform) -> None:
        """Have adapters ask `guest`."""
        self._plugin = plugin
        self._guest = guest
        self._platform = platform

    def connect(self, name: str, config: ChannelConfig) -> "PluginChannel":
        """See `Connect`."""
        kind = ReceivingPluginChannel if self._platform.receives else PluginChannel
        return kind(self._plugin, self._guest, self._platform, name, _settings(name, config, self._plugin))


class PluginChannel:
    """One channel for one life; see `ChannelAdapter`."""

    def __init__(
        self, plugin: str, guest: Guest, platform: Platform, name: str, settings: Sequence[tuple[str, str]]
    ) -> None:
        """Ask nothing yet."""
        self.capabilities = platform.can
        self.account: str | None = None
        self.server = None  # the plugin's own business
        if platform.interval_secs is not None:
            # What tells its channels apart is their settings: two that are alike would take each other's messages.
            self.account = f"plugin:{plugin}:{sha256(to_json(settings).encode()).hexdigest()}"
        self._plugin = plugin
        self._guest = guest
        self._platform = platform
        self._channel = {"name": name, "settings": settings}
        self._context: ChannelContext | None = None

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        cursor = await context.load_cursor()
        await self._ask("health")
        if cursor is None and self._platform.interval_secs is not None:
            # From when on it counts as connected nothing is missed.
            cursor = await self._poll(context, None)
        self._context = context
        try:
            context.connected()
            while True:
                began = asyncio.get_running_loop().time()
                if self._platform.interval_secs is None:
                    await self._ask("health")
                    pause = self.capabilities.cadence_secs
                else:
                    cursor = await self._poll(context, cursor)
                    pause = self._platform.interval_secs
                context.alive()
                await asyncio.sleep(began + pause - asyncio.get_running_loop().time())
        finally:
            self._context = None

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        began = asyncio.get_running_loop().time()
        await self._ask("health")
        return asyncio.get_running_loop().time() - began

    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""
        message_id: str | None = await self._ask("send", outgoing(message))
        return message_id if self.capabilities.edits else None

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.edit`."""
        await self._ask("edit", message_id, outgoing(message))

    async def typing(self, conversation: str, thread: str | None) -> None:
        """See `ChannelAdapter.typing`."""
        await self._ask("typing", conversation, thread)

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:
        """See `ChannelAdapter.fetch`."""
        most = min(max_bytes, self.capabilities.max_download_bytes)
        if not most:
            raise UndeliverableError(f'"{attachment.name}" cannot be fetched: this channel has no files')
        content: bytes = await self._ask("fetch", attached(attachment), most)
        if len(content) > most:
            raise FileTooLargeError(f'"{attachment.name}" has {len(content)} bytes, more than {most}')
        return content

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        try:
            await self._ask("health")
        except PrxError as error:
            return [
                Finding(
                    error.message, f"see the plugin's own documentation, and `prx plugin info {self._plugin}`"
                )
            ]
        return [Finding(f'The plugin "{self._plugin}" reaches the platform, which knows its token')]

    async def _poll(self, context: ChannelContext, cursor: str | None) -> str | None:
        news = await self._ask("poll", cursor, int(self._platform.wait_secs * 1000))
        await self._hand_over(context, news["messages"])
        if news["cursor"] is None or news["cursor"] == cursor:
            return cursor
        await context.save_cursor(news["cursor"])
        return str(news["cursor"])

    async def _hand_over(self, context: ChannelContext, messages: Sequence[Mapping[str, Any]]) -> None:
        for said in messages:
            if (message := incoming(said)) is not None:
                await context.receive(message)
            else:  # it would come again in each life
                _log.warning("a message was left out: nobody says it, or nowhere", plugin=self._plugin)

    async def _ask(self, function: str, *arguments: Any) -> Any:
        """Call a function about this channel.

        Raises:
            PrxError: what the plugin says is wrong; UnavailableError where it could not answer.
        """
        asked = (self._channel, *arguments)
        try:
            result = await self._guest.call(self._platform.functions[function], asked, CallContext())
        except BadRequestError as error:
            raise UndeliverableError(f'plugin "{self._plugin}": {error.message}') from error
        except UnavailableError:
            raise
        except PrxError as error:  # in quarantine, or out of service
            raise UnavailableError(error.message) from error
        if (failure := result.error) is None:
            return result.output
        if failure.code != "tool_error":
            raise UnavailableError(
                f'plugin "{self._plugin}" failed ({failure.code}) in {function}: {failure.message}'
            )
        [(case, said)] = result.output.items()
        if case == "throttled":
            secs = min(said["retry_after_ms"] / 1000, _MOST_PAUSE_SECS)
            raise ThrottledError(failure.message, retry_after_secs=secs)
        raise _ERRORS[case](failure.message)


class ReceivingPluginChannel(PluginChannel):
    """One whose platform sends HTTP requests to the daemon; see `HttpReceiver`."""

    async def pushed(self, request: PushedRequest) -> PushedResponse:
        """See `HttpReceiver.pushed`."""
        asked = {
            "method": request.method,
            "path": request.path,
            "query": [*request.query],
            "headers": [*request.headers.items()],
            "body": request.body,
        }
        if (context := self._context) is None:
            raise UnavailableError(f'channel "{self._channel["name"]}" is not connected')
        try:
            received = await self._ask("receive", asked)
        except AuthenticationError as error:
            raise UnauthorizedError(error.message) from error
        except ThrottledError as error:
            raise UnavailableError(error.message, retry_after_secs=int(error.retry_after_secs) + 1) from error
        except (MarkupRefusedError, PermanentError, UndeliverableError) as error:
            raise BadRequestError(error.message) from error
        except UnavailableError as error:
            # Nobody has checked who asks: what the plugin's code said when it broke is not for them.
            _log.warning("a pushed request was not answered", plugin=self._plugin, reason=error.message)
            told = f'channel "{self._channel["name"]}" cannot take this now'
            raise UnavailableError(told, retry_after_secs=error.retry_after_secs) from error
        await self._hand_over(context, received["messages"])
        response = received["response"]
        if not _LEAST_STATUS <= response["status"] <= _MOST_STATUS:
            raise UnavailableError(f'plugin "{self._plugin}" answered with the status {response["status"]}')
        headers = {name: value for name, value in response["headers"] if _is_fit(name.lower(), value)}
        return PushedResponse(status=response["status"], headers=headers, body=response["body"])


def _is_fit(name: str, value: str) -> bool:
    """Tell whether a platform may be answered with this header; the daemon's own are not a plugin's to set."""
    is_known = name in _HEADERS or _OWN_HEADER.fullmatch(name) is not None
    return is_known and value.isprintable() and value.isascii()


def _settings(name: str, config: ChannelConfig, plugin: str) -> list[tuple[str, str]]:
    """Return the keys of a channel's table that PRX does not know itself.

    Raises:
        PermanentError: one is a secret, which no guest is to see.
    """

    def refuse(value: Any) -> NoReturn:
        raise TypeError(type(value).__name__)

    settings = []
    for key, value in sorted((config.__pydantic_extra__ or {}).items()):
        try:
            settings.append((key, value if isinstance(value, str) else json.dumps(value, default=refuse)))
        except TypeError as error:
            where = dotted(("channels_config", name, key))
            raise PermanentError(
                f'{where} is a secret, which plugins never see: put it into the [config] of plugin "{plugin}" '
                "as secret:NAME (docs/channels/plugin.md), and take it out of the channel's table"
            ) from error
    return settings
