"""What adapters build on: the answers of one whose platform cannot do a thing."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from prx.core.channel import Attachment, Capabilities, ChannelContext, Finding, OutgoingMessage, Server
from prx.core.channel_errors import UndeliverableError


class Adapter(ABC):
    """A `ChannelAdapter` without what only some platforms have: edits, typing, files, an account of its own."""

    capabilities: Capabilities
    account: str | None = None
    server: Server | None = None

    @abstractmethod
    async def run(self, context: ChannelContext) -> None:
        """See `ChannelAdapter.run`."""

    @abstractmethod
    async def probe(self) -> float:
        """See `ChannelAdapter.probe`."""

    @abstractmethod
    async def send(self, message: OutgoingMessage) -> str | None:
        """See `ChannelAdapter.send`."""

    @abstractmethod
    async def diagnose(self) -> Sequence[Finding]:
        """See `ChannelAdapter.diagnose`."""

    async def edit(self, message_id: str, message: OutgoingMessage) -> None:  # noqa: ARG002  # as in the protocol
        """See `ChannelAdapter.edit`."""
        raise UndeliverableError(f"message {message_id} cannot be changed: the platform has no edits")

    async def typing(self, conversation: str, thread: str | None) -> None:  # noqa: B027  # doing nothing is an answer
        """See `ChannelAdapter.typing`."""

    async def fetch(self, attachment: Attachment, max_bytes: int) -> bytes:  # noqa: ARG002  # as above
        """See `ChannelAdapter.fetch`."""
        raise UndeliverableError(f'"{attachment.name}" cannot be fetched: the platform has no files')
