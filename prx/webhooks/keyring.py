"""The secrets of hooks: open in memory, sealed in the store."""

import asyncio
from datetime import timedelta
from pathlib import Path

from prx.core.errors import PrxError
from prx.core.ids import now_utc
from prx.runtime.sealing import BrokenSealError, Sealer
from prx.webhooks.hook import Fault, Hook, Keys
from prx.webhooks.table import SealedKeys


class Keyring:
    """What deliveries are signed with, by hook."""

    def __init__(self, data_dir: Path) -> None:
        """Seal with the key of `data_dir`."""
        self._sealer = Sealer(data_dir, "remove all webhooks and register them again")
        self._keys: dict[int, Keys] = {}
        self._faults: dict[int, Fault] = {}

    def get(self, hook: Hook) -> Keys | None:
        """Return the secrets of a hook; None where they cannot be read, as `fault` says."""
        return self._keys.get(hook.number)

    def fault(self, hook: Hook) -> Fault | None:
        """Return why the secrets of a hook cannot be read."""
        return self._faults.get(hook.number)

    def put(self, hook: Hook, keys: Keys) -> None:
        """Sign with `keys` from now on."""
        self._keys[hook.number] = keys
        self._faults.pop(hook.number, None)

    def forget(self, hook: Hook) -> None:
        """Have no secrets of `hook` any more."""
        self._keys.pop(hook.number, None)
        self._faults.pop(hook.number, None)

    async def open(self, hook: Hook, sealed: SealedKeys) -> None:
        """Take the secrets of a hook as the store has them; where they cannot be read, `fault` says why."""

        def opened() -> Keys:
            bound = _bound(hook)
            before = None if sealed.before is None else self._sealer.open(sealed.before, bound)
            return Keys(self._sealer.open(sealed.newest, bound), before, sealed.before_until)

        try:
            self.put(hook, await asyncio.to_thread(opened))
        except PrxError as error:
            reason = f"nothing is sent: its secret cannot be read: {error.message}"
            self._faults[hook.number] = Fault(reason, has_key=isinstance(error, BrokenSealError))

    def followed_by(self, hook: Hook, secret: str, overlap: timedelta) -> Keys:
        """Return the secrets of a hook once `secret` takes the place of the newest; said twice it changes nothing."""
        known = self.get(hook)
        if known is None or not overlap:
            return Keys(secret)
        if secret == known.newest:
            return known
        return Keys(secret, known.newest, now_utc() + overlap)

    async def sealed(self, hook: Hook, keys: Keys, *, first: bool = False) -> SealedKeys:
        """Return `keys` as they are stored; the `first` hook's may make the key that seals them.

        Raises:
            PrxError: there is no such key, or it cannot be read or written.
        """

        def sealed() -> SealedKeys:
            bound = _bound(hook)
            with self._sealer.locked():
                newest = self._sealer.seal(keys.newest, bound, make_key=first)
                before = (
                    None if keys.before is None else self._sealer.seal(keys.before, bound, make_key=False)
                )
            return SealedKeys(newest, before, keys.before_until)

        return await asyncio.to_thread(sealed)


def _bound(hook: Hook) -> bytes:
    return f"hook\0{hook.id}".encode()
