"""Invites into rooms: whose are accepted, by the policies as they are at that moment."""

from collections import OrderedDict
from typing import Final, NamedTuple

from nio import AsyncClient, InviteMemberEvent, SyncResponse

from prx.channels.adapters.matrix.errors import accepted
from prx.config.platforms.matrix import JoinInvites
from prx.core.channel import ChannelContext
from prx.core.channel_errors import ThrottledError
from prx.core.errors import PrxError
from prx.runtime.logging import get_logger

_MAX_OPEN: Final = 1000

_log = get_logger("channel::matrix")


class _Invite(NamedTuple):
    sender: str
    is_direct: bool


class Invites:
    """Those that nothing came of yet, in one life: one that was left alone is accepted once its sender is welcome."""

    def __init__(self, accepted_of: JoinInvites) -> None:
        """Know of none."""
        self._accepted_of = accepted_of
        self._open: OrderedDict[str, _Invite] = OrderedDict()

    async def answer(self, response: SyncResponse, client: AsyncClient, context: ChannelContext) -> None:
        """Take note of what a sync tells of invites, and join the rooms of who is welcome now."""
        new = self._noted(response, client)
        welcome = []
        for room_id, invite in self._open.items():
            if self._is_welcome(invite, context):
                welcome.append(room_id)
            elif room_id in new:
                _log.info("an invite is left alone", room=room_id, sender=invite.sender)
        for room_id in welcome:
            if not await _is_settled(room_id, client):
                break  # the homeserver wants it slower: the others wait for the next sync, too
            context.alive()
            del self._open[room_id]

    def _noted(self, response: SyncResponse, client: AsyncClient) -> set[str]:
        """Return the rooms that somebody invites to for the first time."""
        for room_id in (*response.rooms.join, *response.rooms.leave):
            self._open.pop(room_id, None)
        new = set()
        for room_id, info in response.rooms.invite.items():
            for event in info.invite_state:
                is_mine = isinstance(event, InviteMemberEvent) and event.state_key == client.user_id
                if is_mine and event.membership == "invite":
                    self._open[room_id] = _Invite(event.sender, event.content.get("is_direct") is True)
                    new.add(room_id)
        while len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
        return new

    def _is_welcome(self, invite: _Invite, context: ChannelContext) -> bool:
        if self._accepted_of != "allowed":
            return self._accepted_of == "all"
        return context.welcomes(invite.sender, is_group=not invite.is_direct)


async def _is_settled(room_id: str, client: AsyncClient) -> bool:
    """Join a room; tell whether there is nothing more to be done about it: not where the homeserver wants a pause."""
    try:
        accepted(await client.join(room_id))
    except ThrottledError:
        return False
    except PrxError as error:  # the room may be gone, or on a server that is
        _log.warning("a room cannot be joined", room=room_id, reason=error.message)
    return True
