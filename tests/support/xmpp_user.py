"""A person on XMPP."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from slixmpp import JID, ClientXMPP

from tests.support.servers.prosody import DOMAIN, PASSWORD
from tests.support.waiting import PATIENCE_SECS


class XmppUser:
    """Says things, and reads what is said."""

    def __init__(self, client: ClientXMPP) -> None:
        self.client = client
        self.heard: asyncio.Queue[Any] = asyncio.Queue()
        client.add_event_handler("message", self._hear)

    async def say(self, to: str, text: str, **parts: str) -> None:
        """Send a message, and return once the server has it."""
        kind: Any = "groupchat" if to.startswith("lobby@") else "chat"
        message = self.client.make_message(mto=JID(to), mbody=text, mtype=kind)
        message["id"] = self.client.new_id()
        for name, value in parts.items():
            message[name]["id"] = value
        message.send()
        await self.client.plugin["xep_0199"].send_ping(JID(DOMAIN), timeout=PATIENCE_SECS)

    async def read(self) -> Any:
        """Return the next message with a text."""
        async with asyncio.timeout(PATIENCE_SECS):
            return await self.heard.get()

    async def join(self, room: str, nick: str) -> None:
        await self.client.plugin["xep_0045"].join_muc_wait(
            JID(room), nick, maxstanzas=0, timeout=PATIENCE_SECS
        )

    def _hear(self, message: Any) -> None:
        if message["body"] and message["from"].resource != "ada":
            self.heard.put_nowait(message)


@asynccontextmanager
async def xmpp_user(port: int, name: str, certificate: Path) -> AsyncIterator[XmppUser]:
    """Be logged in for the length of the block."""
    context = await asyncio.to_thread(ssl.create_default_context, cafile=str(certificate))
    client = ClientXMPP(f"{name}@{DOMAIN}", PASSWORD)
    client.ssl_context = context
    client.whitespace_keepalive = False
    client.enable_direct_tls = client.enable_plaintext = False
    for plugin in ("xep_0045", "xep_0199", "xep_0308", "xep_0359"):
        client.register_plugin(plugin)
    user = XmppUser(client)
    client.connect("127.0.0.1", port)
    try:
        await client.wait_until("session_start", PATIENCE_SECS)
        client.send_presence()
        yield user
    finally:
        client.cancel_connection_attempt()
        await client.disconnect(wait=1.0, ignore_send_queue=True)
        filters = client._run_out_filters
        if filters is not None:
            filters.cancel()
            await asyncio.gather(filters, return_exceptions=True)
