"""A client of an MQTT broker that answers on one topic what is written on another."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from hashlib import sha256
from typing import Any, Final

from aiomqtt import Client, Message, MqttCodeError, MqttError, ProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from prx.channels.adapter import Adapter
from prx.channels.adapters.mqtt.topics import topic_for, writer_of
from prx.channels.http import json_of
from prx.channels.reach import tls_context, unreachable
from prx.config.platforms.mqtt import MqttConfig
from prx.core.channel import Capabilities, ChannelContext, Finding, IncomingMessage, OutgoingMessage, Server
from prx.core.channel_errors import AuthenticationError, UndeliverableError
from prx.core.errors import PermanentError, PrxError, UnavailableError
from prx.runtime.logging import get_logger

_CADENCE_SECS: Final = 4.0
_ANSWER_SECS: Final = 5.0
_KEEPALIVE_SECS: Final = 15
_MAX_WAITING: Final = 1000
_MAX_AT_ONCE: Final = 100
"""Messages that the broker sends before those before them are on disk."""
# In the numbers of version 5 and of 3.1.1.
_UNKNOWN_USER: Final = frozenset({134, 135, 4, 5})
_REFUSED_FROM: Final = 128
# The library's word for an end that nobody gave a reason for.
_UNSPECIFIED: Final = 128
# Nobody is subscribed to it: to end that subscription changes nothing, and is answered by every broker.
_ROUND_TRIP: Final = "prx/round-trip"
# Of version 3.1.1, without a name, an account or a session: a broker answers whether it would take such a client.
_ANONYMOUS_CONNECT: Final = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x05\x00\x00"

_log = get_logger("channel::mqtt")


class MqttAdapter(Adapter):
    """See `ChannelAdapter`. It keeps no cursor: the broker keeps what is not acknowledged."""

    capabilities = Capabilities(
        max_length=60_000, unit="bytes", cadence_secs=_CADENCE_SECS, idle_limit_secs=2 * _CADENCE_SECS
    )

    def __init__(self, name: str, config: MqttConfig) -> None:
        """Open nothing yet."""
        whole = json.dumps([name, config.user, config.topic_in])
        self._client_id = config.client_id or f"prx-{sha256(whole.encode()).hexdigest()[:12]}"
        self.account = f"mqtt:{self._client_id}@{config.host}:{config.port}"
        self.server = Server(config.host, config.port, tls=config.tls, hello=_ANONYMOUS_CONNECT)
        self._config = config
        self._client: Client | None = None
        self._sending = asyncio.Lock()
        self._denial: str | None = None
        """What the broker said to the message that is being sent, which the library does not tell whose it is."""

    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""
        async with self._connection(self._client_id) as client:
            # What is not on disk yet is not acknowledged: the broker sends it again.
            client._client.manual_ack_set(True)  # noqa: FBT003, SLF001  # aiomqtt has no way of its own
            self._hear_denials(client)
            await self._subscribe(client)
            self._client = client
            pinging = asyncio.create_task(self._ping(client, context))
            context.connected()
            try:
                async for message in client.messages:
                    context.alive()
                    await self._take(message, context)
                    client._client.ack(message.mid, message.qos)  # noqa: SLF001  # as above
                raise UnavailableError("the broker closed the connection")
            finally:
                self._client = None
                pinging.cancel()
                await asyncio.gather(pinging, return_exceptions=True)

    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        with _translated():
            await self._connected().unsubscribe(_ROUND_TRIP, timeout=_ANSWER_SECS)
        return loop.time() - began

    async def send(self, message: OutgoingMessage) -> None:
        """See `ChannelAdapter.send`."""
        topic = topic_for(message.conversation, self._config.topic_out)
        if topic is None:
            raise UndeliverableError(f'"{message.conversation}" cannot stand in {self._config.topic_out}')
        payload = message.text
        if self._config.payload == "json":
            said = {"text": message.text, "reply_to": message.reply_to, "id": message.key}
            payload = json.dumps(said, ensure_ascii=False)
        async with self._sending:
            self._denial = None
            with _translated():
                await self._connected().publish(
                    topic, payload.encode(), qos=self._config.qos, timeout=_ANSWER_SECS
                )
            if self._denial is not None:
                raise UndeliverableError(
                    f"the broker does not let the bot write {topic}: {self._denial}; change its access rules"
                )

    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""
        where = f"{self._config.host}:{self._config.port}"
        try:
            # Under another name, and nothing that waits for the bot is sent there.
            async with self._connection(f"{self._client_id}-doctor", is_lasting=False) as client:
                await self._subscribe(client)
        except PermanentError as error:
            return [Finding(error.message, "set what it names right, then run this again")]
        except PrxError as error:
            return [Finding(error.message, f"make sure that {where} is the broker, and that it runs")]
        findings = [Finding(f"{where} lets the bot in, and read {self._config.topic_in}")]
        if self._config.qos == 0:
            findings.append(
                Finding("With qos = 0 what comes while the daemon is away is lost", "set qos to 1")
            )
        return findings

    def _connected(self) -> Client:
        if self._client is None:
            raise UnavailableError("it is not connected")
        return self._client

    @asynccontextmanager
    async def _connection(self, client_id: str, *, is_lasting: bool = True) -> AsyncIterator[Client]:
        config = self._config
        context = None
        if config.tls:
            context = await tls_context(config.tls_ca)
            await _check_tls(config.host, config.port, context)
        client = Client(
            config.host,
            config.port,
            username=config.user,
            password=config.password.get_secret_value() if config.password is not None else None,
            identifier=client_id,
            tls_context=context,
            timeout=_ANSWER_SECS,
            keepalive=_KEEPALIVE_SECS,
            max_queued_incoming_messages=_MAX_WAITING,
            **self._version(is_lasting=is_lasting),
        )
        try:
            await client.__aenter__()
        except MqttError as error:
            raise self._refusal(error) from error
        # An end that nobody waits for any more is no news.
        client._disconnected.add_done_callback(_retrieve)  # noqa: SLF001  # aiomqtt leaves it to whoever reads
        try:
            with _translated():
                yield client
        finally:
            try:
                await client.__aexit__(None, None, None)
            except MqttError as error:
                _log.debug("the broker was not told of the end", reason=str(error))

    def _version(self, *, is_lasting: bool) -> dict[str, Any]:
        """Return the options that the versions of the protocol spell differently."""
        if self._config.protocol == "3.1.1":
            return {"protocol": ProtocolVersion.V311, "clean_session": not is_lasting}
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = self._config.session_expiry_secs if is_lasting else 0
        properties.ReceiveMaximum = _MAX_AT_ONCE
        return {"protocol": ProtocolVersion.V5, "clean_start": not is_lasting, "properties": properties}

    def _hear_denials(self, client: Client) -> None:
        """Note which messages the broker refuses; version 3.1.1 has no word for that."""
        library = client._client  # noqa: SLF001  # aiomqtt takes a refusal for a confirmation
        confirmed: Any = library.on_publish

        def on_publish(paho: Any, userdata: Any, mid: int, code: Any, properties: Any) -> None:
            if _number(code) >= _REFUSED_FROM:
                self._denial = str(code)
            confirmed(paho, userdata, mid, code, properties)

        library.on_publish = on_publish

    async def _subscribe(self, client: Client) -> None:
        granted = await client.subscribe(self._config.topic_in, qos=self._config.qos)
        for code in granted:
            if _number(code) >= _REFUSED_FROM:
                raise PermanentError(
                    f"the broker does not let the bot read {self._config.topic_in}: {code}; change its access rules"
                )

    async def _ping(self, client: Client, context: ChannelContext) -> None:
        while True:
            await asyncio.sleep(_CADENCE_SECS)
            try:
                await client.unsubscribe(_ROUND_TRIP, timeout=_CADENCE_SECS)
            except MqttError:
                return  # what the connection comes to is told where messages are waited for
            context.alive()

    async def _take(self, message: Message, context: ChannelContext) -> None:
        if message.retain:
            return  # it is older than the subscription
        if not message.topic.matches(self._config.topic_in):
            return  # the broker keeps what an earlier configuration subscribed to
        topic = str(message.topic)
        said = _said(message.payload, self._config.payload)
        if said is None:
            _log.warning("a message is not what `payload` says, and was left alone", topic=topic)
            return
        text, event_id = said
        writer = writer_of(topic, self._config.topic_in)
        await context.receive(
            IncomingMessage(
                conversation=writer,
                sender=writer,
                text=text,
                event_id=None if event_id is None else f"{writer} {event_id}",
                message_id=event_id,
            )
        )

    def _refusal(self, error: MqttError) -> PrxError:
        if isinstance(error, MqttCodeError):
            if _number(error.rc) in _UNKNOWN_USER:
                return AuthenticationError(f"the broker refuses the login: {error}; check user and password")
            return UnavailableError(f"the broker refuses the connection: {error}")
        cause = error.__context__ or error
        cause = TimeoutError() if "timed out" in str(error).lower() else cause
        return unreachable(self._config.host, self._config.port, cause, tls=self._config.tls)


@contextmanager
def _translated() -> Iterator[None]:
    """Have what the library raises be errors of the contract."""
    try:
        yield
    except MqttError as error:
        reason = error.__cause__ or error
        if isinstance(reason, MqttCodeError) and _number(reason.rc) == _UNSPECIFIED:
            raise UnavailableError("the broker closed the connection") from error
        raise UnavailableError(f"the connection to the broker ended: {reason}") from error


async def _check_tls(host: str, port: int, context: ssl.SSLContext) -> None:
    """Shake hands once before the library does: it leaves its socket open where that fails.

    Raises:
        UnavailableError: the broker is not there, or not the one that it should be.
    """
    try:
        async with asyncio.timeout(_ANSWER_SECS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except OSError as error:
        raise unreachable(host, port, error, tls=True) from error
    writer.transport.abort()


def _retrieve(end: asyncio.Future[None]) -> None:
    if not end.cancelled():
        end.exception()


def _number(code: Any) -> int:
    return int(code.value if isinstance(code, ReasonCode) else code or 0)


def _said(payload: Any, kind: str) -> tuple[str, str | None] | None:
    """Return a message's text and its id; None where it is none."""
    raw = (
        payload
        if isinstance(payload, bytes | bytearray)
        else str("" if payload is None else payload).encode()
    )
    text = raw.decode(errors="replace")
    if kind == "text":
        return text, None
    content = json_of(text)
    if not isinstance(content, dict) or not isinstance(content.get("text"), str):
        return None
    event_id = content.get("id")
    return content["text"], None if event_id is None else str(event_id)
