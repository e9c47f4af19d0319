"""The adapter: there is no connection to hold, messages are pushed."""

import asyncio
import json
import re
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from prx.channels.adapter import Adapter
from prx.channels.adapters.webhook.callback import Callback
from prx.config.keys import dotted
from prx.config.platforms.webhook import WebhookConfig
from prx.core.channel import (
    Capabilities,
    ChannelContext,
    Finding,
    IncomingMessage,
    OutgoingMessage,
    PushedRequest,
    PushedResponse,
    Reception,
)
from prx.core.channel_errors import UndeliverableError
from prx.core.errors import BadRequestError, UnauthorizedError, UnavailableError
from prx.core.webhook import SIGNED_HEADERS, is_signed

_MAX_AGE_SECS: Final = 300
_MAX_KNOWN: Final = 1000
_ACCEPTED: Final = 202

_ID: Final = re.compile(r"[!-~]{1,256}", re.ASCII)

_Short = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class _Said(BaseModel):
    """What a program posts."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, StringConstraints(min_length=1)]
    user: _Short
    user_name: Annotated[str, StringConstraints(max_length=256)] = ""
    conversation: _Short | None = None
    thread: _Short | None = None
    group: bool = False
    mentioned: bool = False


class WebhookAdapter(Adapter):
    """See `ChannelAdapter` and `HttpReceiver`."""

    capabilities = Capabilities(max_length=1 << 20, markup="markdown", threads=True)

    def __init__(self, name: str, config: WebhookConfig) -> None:
        """Open nothing yet."""
        self._name = name
        self._config = config
        self._key = dotted(("channels_config", name, "allow_private_callback"))
        self._callback: Callback | None = None
        self._context: ChannelContext | None = None
        self._answers: OrderedDict[str, asyncio.Future[str]] = OrderedDict()
        """What was answered, or will be, by the id of the message: whoever sends it again is told the same."""

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with AsyncExitStack() as stack:
            if (url := self._config.callback_url) is not None:
                opening = Callback.open(url, self._config, self._key)
                self._callback = await stack.enter_async_context(opening)
            self._context = context
            try:
                context.connected()
                while True:
                    await asyncio.sleep(self.capabilities.cadence_secs)
                    context.alive()
            finally:
                self._context = None
                for answer in self._answers.values():
                    answer.cancel()

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`. Without `callback_url` there is nobody to ask."""
        return 0.0 if self._callback is None else await self._callback.reach()

    async def send(self, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.send`."""
        if self._callback is not None:
            await self._callback.post(
                {
                    "text": message.text,
                    "conversation": message.conversation,
                    "thread": message.thread,
                    "reply_to": message.reply_to,
                },
                message.key,
            )
        elif message.reply_to is None:
            raise UndeliverableError("nobody asked for this, and there is no callback_url to post it to")
        else:
            answer = self._answer(message.reply_to)
            if not answer.done():
                answer.set_result(message.text)

    async def pushed(self, request: PushedRequest) -> PushedResponse:
        """See `HttpReceiver.pushed`."""
        if request.method != "POST" or request.path:
            raise BadRequestError("Messages are posted to the channel's own address")
        message_id = self._checked_id(request)
        said = _parsed(request.body)
        context = self._context
        if context is None:
            raise UnavailableError(f'channel "{self._name}" is not connected')
        reception: Reception = "underway"
        if message_id not in self._answers:
            reception = await context.receive(_incoming(message_id, said))
        # It may have been delivered to this life while that was looked up.
        is_coming = reception in ("taken", "underway") or message_id in self._answers
        if is_coming and self._callback is None:
            answer = self._answer(message_id)
            await asyncio.wait({answer}, timeout=self._config.response_timeout_secs)
            if answer.done() and not answer.cancelled():
                return _response(200, {"id": message_id, "accepted": True, "text": answer.result()})
        told = {"id": message_id, "accepted": reception != "refused"}
        if reception in ("underway", "seen"):
            told["repeated"] = True
        return _response(_ACCEPTED, told)

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        found = [Finding(f"Messages are posted to /channels/{self._name} on the daemon's port, and signed")]
        if (url := self._config.callback_url) is None:
            return found
        async with Callback.open(url, self._config, self._key) as callback:
            try:
                await callback.reach()
            except UnavailableError as error:
                return [*found, Finding(error.message, "start the receiver, or correct callback_url")]
        return [*found, Finding("The receiver of answers can be reached")]

    def _checked_id(self, request: PushedRequest) -> str:
        """Return the id of a message that was signed a moment ago by who knows the secret.

        Raises:
            UnauthorizedError: it was not.
        """
        message_id, second, signatures = (request.headers.get(name, "") for name in SIGNED_HEADERS)
        secret = self._config.secret.get_secret_value()
        is_fresh = second.isdecimal() and abs(time.time() - int(second[:12])) <= _MAX_AGE_SECS
        if not (
            _ID.fullmatch(message_id) and is_signed(secret, message_id, second, request.body, signatures)
        ):
            raise UnauthorizedError("The message is not signed with the channel's secret")
        if not is_fresh:
            raise UnauthorizedError(f"The message was signed more than {_MAX_AGE_SECS} s ago, or will be")
        return message_id

    def _answer(self, message_id: str) -> asyncio.Future[str]:
        known = self._answers.get(message_id)
        if known is None:
            known = self._answers[message_id] = asyncio.get_running_loop().create_future()
            while len(self._answers) > _MAX_KNOWN:
                self._answers.popitem(last=False)[1].cancel()
        return known


def _parsed(body: bytes) -> _Said:
    try:
        return _Said.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise BadRequestError(f"{where or 'body'}: {first['msg']}") from error


def _incoming(message_id: str, said: _Said) -> IncomingMessage:
    return IncomingMessage(
        conversation=said.conversation or said.user,
        sender=said.user,
        sender_name=said.user_name,
        text=said.text,
        event_id=message_id,
        message_id=message_id,
        thread=said.thread,
        is_group=said.group,
        mentioned=said.mentioned,
    )


def _response(status: int, content: dict[str, Any]) -> PushedResponse:
    body = json.dumps(content, ensure_ascii=False).encode()
    return PushedResponse(status=status, headers={"content-type": "application/json"}, body=body)
