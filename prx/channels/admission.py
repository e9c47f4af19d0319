"""Letting in who asked to be: the one place where a code becomes a user who may talk."""

from collections.abc import Sequence

from prx.channels.inbox import Inbox
from prx.channels.pairing import Pairing, Pairings
from prx.config.keys import dotted
from prx.config.live import LiveConfig
from prx.core.errors import ConflictError, NotFoundError

_WELCOME = "You can talk to me now."


class Admission:
    """Those who wait, and their approval, which the configuration keeps: `allowed_users` says who may talk, alone."""

    def __init__(self, pairings: Pairings, live: LiveConfig, inbox: Inbox) -> None:
        """Use these parts of the daemon."""
        self._pairings = pairings
        self._live = live
        self._inbox = inbox

    async def list(self) -> Sequence[Pairing]:
        """Return those who wait, the longest waiting first.

        Raises:
            UnavailableError: the store cannot be read.
        """
        return await self._pairings.list()

    async def approve(self, code: str) -> Pairing:
        """Let the one with this code talk, from the next message on, and tell them.

        Raises:
            NotFoundError: nobody has this code, or the channel is gone.
            ConflictError: the configuration cannot be changed, or a later layer of it says who may talk.
            UnavailableError: store or configuration cannot be written.
        """
        pairing = await self._pairings.find(code)
        config = self._live.current.channels_config.get(pairing.channel)
        if config is None:
            raise NotFoundError(f'Channel "{pairing.channel}" is not there any more')
        if pairing.sender not in config.allowed_users:
            key = dotted(("channels_config", pairing.channel, "allowed_users"))
            outcome, _ = await self._live.patch({key: [*config.allowed_users, pairing.sender]})
            if key in outcome.hidden:
                raise ConflictError(
                    f"{outcome.hidden[key]} sets {key}, and counts: add {pairing.sender} there"
                )
        await self._pairings.remove(pairing.code)
        await self._inbox.tell(pairing.channel, pairing.address, _WELCOME)
        return pairing
