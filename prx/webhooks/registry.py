"""Who wants events: the hooks of the store, those of the configuration among them."""

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from prx.config.integrations import HooksConfig
from prx.core.egress.target import Target
from prx.core.errors import BadRequestError, ConflictError, NotFoundError
from prx.core.ids import iso_utc, new_id, now_utc
from prx.core.unit import Problem
from prx.core.webhook import canonical, key_of, target_of
from prx.runtime.egress.resolver import Names
from prx.runtime.logging import get_logger
from prx.runtime.store import Store
from prx.runtime.tasks import Tasks
from prx.webhooks import deliveries, table
from prx.webhooks.deliveries import Result
from prx.webhooks.hook import Hook, Keys, Origin
from prx.webhooks.keyring import Keyring
from prx.webhooks.signing import new_secret
from prx.webhooks.targets import check_target
from prx.webhooks.troubles import problems_of

MAX_HOOKS: Final = 100
MAX_OVERLAP: Final = timedelta(days=7)

_log = get_logger("webhooks")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody wants of a hook; None leaves it as it is."""

    url: str | None = None
    events: Sequence[str] | None = None
    active: bool | None = None
    secret: str | None = None
    """The secret to sign with from now on; the one before is used beside it for `overlap`."""
    overlap: timedelta = timedelta(days=1)


class Registry:
    """The hooks by id. Changes are on disk before they count, and are made one at a time."""

    def __init__(self, store: Store, data_dir: Path, names: Names, config: Callable[[], HooksConfig]) -> None:
        """Use `load` before anything else; secrets are sealed with the key of `data_dir`."""
        self._store = store
        self._names = names
        self._config = config
        self._keyring = Keyring(data_dir)
        self._hooks: dict[str, Hook] = {}
        self._losing_since: dict[str, datetime] = {}
        """Since when it is known in this run that a hook has lost events."""
        self._changing = asyncio.Lock()
        self._tasks = Tasks(_log, lambda: None)
        self.wanted: frozenset[str] = frozenset()
        """Every event that some hook gets when it happens, `*` among them where one gets all."""
        self.changed: Callable[[Hook], None] = lambda _: None
        """Called after each change of a hook, its removal included, on the event loop."""

    async def load(self) -> None:
        """Read what the store has.

        Raises:
            UnavailableError: the store does not answer.
        """
        for hook, sealed in await self._store.run(table.load):
            await self._keyring.open(hook, sealed)
            self._know(hook)

    async def aclose(self) -> None:
        """Give up the changes that are being made."""
        await self._tasks.aclose()

    def all(self) -> list[Hook]:
        """Return every hook, in the order of registration."""
        return sorted(self._hooks.values(), key=lambda hook: hook.number)

    def get(self, hook_id: str) -> Hook:
        """Return the hook of this id.

        Raises:
            NotFoundError: there is none.
        """
        if (hook := self._hooks.get(hook_id)) is None:
            raise NotFoundError(f'Hook "{hook_id[:80]}" not found; GET /api/v1/hooks lists what there is')
        return hook

    def current(self, hook: Hook) -> Hook | None:
        """Return `hook` as it is now; None once it is removed."""
        return self._hooks.get(hook.id)

    def keys(self, hook: Hook) -> Keys | None:
        """Return the secrets of a hook; None where they cannot be read, as `problems` says."""
        return self._keyring.get(hook)

    async def register(
        self,
        url: str,
        events: Sequence[str],
        secret: str | None,
        *,
        active: bool = True,
        by: Origin = "api",
    ) -> tuple[Hook, str | None]:
        """Add a hook for `by`; return it, and its secret where none was given: nobody is told it again.

        Raises:
            BadRequestError: url, events or secret do not fit; `details.errors` says why.
            ConflictError: there are `MAX_HOOKS` already.
            PrxError: the secret cannot be sealed, or the store not be written.
        """
        await self._check(Wanted(url=url, events=events, secret=secret), by)
        made = secret or new_secret()
        hook = Hook(
            number=0,
            id=new_id("hook"),
            url=url,
            events=tuple(dict.fromkeys(events)),
            origin=by,
            created_at=iso_utc(now_utc()),
            active=active,
        )
        hook = await self._tasks.whole(self._add(hook, made))
        return hook, made if secret is None else None

    async def change(self, hook_id: str, wanted: Wanted, *, by: Origin = "api") -> Hook:
        """Change a hook; switched on, it goes on with its backlog.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it is not the business of `by`.
            BadRequestError: what is wanted does not fit; `details.errors` says why.
        """
        _check_is_of(by, self.get(hook_id), "changed")
        await self._check(wanted, by)
        return await self._tasks.whole(self._change(hook_id, wanted))

    async def remove(self, hook_id: str, *, by: Origin = "api") -> None:
        """Remove a hook, and what it was still to get.

        Raises:
            NotFoundError: there is none of this id.
            ConflictError: it is not the business of `by`.
        """
        _check_is_of(by, self.get(hook_id), "removed")
        await self._tasks.whole(self._remove(hook_id))

    async def switch_off(self, hook: Hook, result: Result, reason: str) -> bool:
        """Write down the attempt after which nothing more is sent to `hook`, and why; return whether that is so.

        It is not where somebody had the event tried afresh while the attempt was under way.

        Raises:
            UnavailableError: the store cannot be written.
        """
        async with self._changing:
            current = self._hooks.get(hook.id)
            if current is None:
                return True
            current = replace(current, active=False, reason=reason, since=result.outcome.at)

            def job(connection: sqlite3.Connection) -> bool:
                counts = deliveries.write(connection, result)
                if counts:
                    table.update(connection, current)
                return counts

            if not await self._store.run(job):
                return False
            self._know(current)
        _log.warning("webhook switched off", hook=hook.id, reason=reason)
        return True

    async def prune(self, hook: Hook, *, max_backlog: int, before: str) -> bool:
        """Remove some of what is not kept of a hook; return whether there is more. See `deliveries.prune`.

        Raises:
            UnavailableError: the store cannot be written.
        """
        async with self._changing:
            lost, more = await self._store.run(
                lambda db: deliveries.prune(db, hook.number, max_backlog=max_backlog, before=before)
            )
            current = self._hooks.get(hook.id)
            if lost and current is not None:
                self._know(replace(current, lost=current.lost + lost))
                _log.warning("events fell out of a webhook's backlog", hook=hook.id, events=lost)
        return more

    def problems(self) -> list[Problem]:
        """Return the hooks that do not get what they want."""
        return [
            problem
            for hook in self.all()
            for problem in problems_of(hook, self._keyring.fault(hook), self._losing_since.get(hook.id))
        ]

    async def _check(self, wanted: Wanted, by: Origin) -> None:
        errors: list[tuple[str, str]] = []
        if wanted.events is not None:
            if not wanted.events:
                errors.append(("events", "name at least one event, or * for all"))
            errors += [
                (f"events.{place}", fault)
                for place, event in enumerate(wanted.events)
                if (fault := _fault(canonical, event))
            ]
        if wanted.secret is not None and (fault := _fault(key_of, wanted.secret)):
            errors.append(("secret", fault))
        if wanted.url is not None:
            try:
                allow_private = self._config().allow_private_targets
                if by == "api":
                    await check_target(wanted.url, self._names, allow_private=allow_private)
                else:  # names are not looked up: the daemon starts before the network is there
                    target_of(wanted.url, allow_private=allow_private)
            except ValueError as error:
                errors.append(("url", str(error)))
        if errors:
            raise BadRequestError(
                f"The hook does not fit: {errors[0][0]}: {errors[0][1]}",
                details={"errors": [{"field": field, "message": message} for field, message in errors]},
            )

    async def _add(self, hook: Hook, secret: str) -> Hook:
        async with self._changing:
            if len(self._hooks) >= MAX_HOOKS:
                raise ConflictError(f"{MAX_HOOKS} hooks are registered already: remove one that is not used")
            keys = Keys(secret)
            sealed = await self._keyring.sealed(hook, keys, first=not self._hooks)
            hook = await self._store.run(lambda db: table.insert(db, hook, sealed))
            self._keyring.put(hook, keys)
            self._know(hook)
        _log.info("webhook registered", hook=hook.id, to=_place(hook.url), events=", ".join(hook.events))
        return hook

    async def _change(self, hook_id: str, wanted: Wanted) -> Hook:
        async with self._changing:
            before = self.get(hook_id)
            hook = before
            if wanted.url is not None:
                hook = replace(hook, url=wanted.url)
            if wanted.events is not None:
                hook = replace(hook, events=tuple(dict.fromkeys(wanted.events)))
            if wanted.active is not None:
                hook = replace(hook, active=wanted.active, reason=None, since=None, lost=0)
            keys = sealed = None
            if wanted.secret is not None:
                keys = self._keyring.followed_by(hook, wanted.secret, wanted.overlap)
                sealed = await self._keyring.sealed(hook, keys)

            def job(connection: sqlite3.Connection) -> None:
                table.update(connection, hook, sealed)
                if hook.url != before.url or wanted.active:
                    deliveries.try_again(connection, hook.number)

            await self._store.run(job)
            if keys is not None:
                self._keyring.put(hook, keys)
            self._know(hook)
        return hook

    async def _remove(self, hook_id: str) -> None:
        async with self._changing:
            hook = self.get(hook_id)
            await self._store.run(lambda db: table.remove(db, hook))
            del self._hooks[hook_id]
            self._keyring.forget(hook)
            self._losing_since.pop(hook_id, None)
            self._tell(hook)
        _log.info("webhook removed", hook=hook_id)

    def _know(self, hook: Hook) -> None:
        self._hooks[hook.id] = hook
        if hook.lost:
            self._losing_since.setdefault(hook.id, now_utc())
        else:
            self._losing_since.pop(hook.id, None)
        self._tell(hook)

    def _tell(self, hook: Hook) -> None:
        self.wanted = frozenset(
            canonical(event) for each in self._hooks.values() if each.queues for event in each.events
        )
        self.changed(hook)


def _fault(check: Callable[[str], object], text: str) -> str | None:
    try:
        check(text)
    except ValueError as error:
        return str(error)
    return None


def _check_is_of(by: Origin, hook: Hook, what: str) -> None:
    if hook.origin != by:
        raise ConflictError(
            f"Hook {hook.id} comes from [[hooks.endpoints]] of the configuration and is {what} there"
        )


def _place(url: str) -> str:
    # Not the path or the query: they may be what proves to the receiver that we may post there.
    return Target.parse(url).origin
