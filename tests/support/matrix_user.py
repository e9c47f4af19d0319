"""A person on Matrix, with an app of their own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from nio import AsyncClient, AsyncClientConfig, JoinError, RoomCreateResponse, SyncResponse

from tests.support.servers.synapse import PASSWORD
from tests.support.waiting import PATIENCE_SECS


class MatrixUser:
    """Makes rooms, says things there, and reads what others say."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client
        self._heard: list[dict[str, Any]] = []

    async def sync(self) -> None:
        answer = await self.client.sync(1000)
        assert isinstance(answer, SyncResponse), answer
        await self.client.send_to_device_messages()
        if self.client.should_upload_keys:
            await self.client.keys_upload()
        if self.client.should_query_keys:
            await self.client.keys_query()
        if self.client.should_claim_keys:
            await self.client.keys_claim(self.client.get_users_for_key_claiming())
        for info in answer.rooms.join.values():
            self._heard += [
                event.source for event in info.timeline.events if event.sender != self.client.user_id
            ]

    async def invite(self, *people: str, direct: bool = True, encrypted: bool = False) -> str:
        """Make a room and invite people; return its id."""
        state = [
            {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        ]
        made = await self.client.room_create(
            is_direct=direct, invite=people, initial_state=state if encrypted else ()
        )
        assert isinstance(made, RoomCreateResponse), made
        return made.room_id

    async def joined_by(self, room_id: str, *people: str) -> None:
        """Wait until these are in a room."""
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                await self.sync()
                room = self.client.rooms.get(room_id)
                joined = set(room.users) - set(room.invited_users) if room is not None else set()
                if set(people) <= joined:
                    return

    async def say(self, room_id: str, text: str, **content: Any) -> str:
        sent = await self.client.room_send(
            room_id,
            "m.room.message",
            {"msgtype": "m.text", "body": text, **content},
            ignore_unverified_devices=True,
        )
        return str(getattr(sent, "event_id", sent))

    async def read(self, *kinds: str) -> dict[str, Any]:
        """Return the next message of somebody else, or the next event of these kinds; waits for it."""
        kinds = kinds or ("m.room.message",)
        async with asyncio.timeout(PATIENCE_SECS):
            while True:
                for number, event in enumerate(self._heard):
                    if event["type"] in kinds:
                        del self._heard[: number + 1]
                        return event
                await self.sync()

    async def join(self, room_id: str) -> None:
        answer = await self.client.join(room_id)
        assert not isinstance(answer, JoinError), answer


@asynccontextmanager
async def matrix_user(url: str, name: str, directory: Path) -> AsyncIterator[MatrixUser]:
    """Be logged in for the length of the block, with keys in `directory`."""
    await asyncio.to_thread(directory.mkdir, exist_ok=True)
    config = AsyncClientConfig(encryption_enabled=True, max_timeouts=0)
    client = AsyncClient(url, name, store_path=str(directory), config=config)
    try:
        await client.login(PASSWORD)
        user = MatrixUser(client)
        await user.sync()
        yield user
    finally:
        await client.close()
        if client.store is not None:
            client.store.database.close()
