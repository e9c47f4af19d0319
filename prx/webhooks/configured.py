"""The hooks of `[[hooks.endpoints]]`: they join the registered ones, and keep their backlog over restarts."""

from collections import Counter
from collections.abc import Iterable
from typing import Final, TypeVar

from prx.config.integrations import HookEndpointConfig, HooksConfig
from prx.core.errors import PrxError
from prx.core.ids import now_utc
from prx.core.unit import Problem
from prx.runtime.logging import get_logger
from prx.webhooks.hook import Hook
from prx.webhooks.registry import Registry, Wanted

_Key = tuple[str, int]
"""A URL, and which one of its tables, for one that several tables have."""
_T = TypeVar("_T", Hook, HookEndpointConfig)
_ACTION: Final = "correct the table in the configuration: it is read again by itself"

_log = get_logger("webhooks")


class ConfiguredHooks:
    """Keeps the registry's hooks of the configuration as the configuration has them."""

    def __init__(self, registry: Registry) -> None:
        """Change nothing before `follow`."""
        self._registry = registry
        self._problems: list[Problem] = []

    def problems(self) -> list[Problem]:
        """Return which tables have no effect, and why."""
        return self._problems

    async def follow(self, config: HooksConfig, before: HooksConfig | None = None) -> None:
        """Have the hooks that `config` wants. What is wrong with one of them is a problem, and hinders no other.

        One that was switched off is tried afresh where its table differs from that of `before`, and at the start.
        """
        wanted = _by_key(config.endpoints)
        known = {} if before is None else _by_key(before.endpoints)
        hooks = _by_key(hook for hook in self._registry.all() if hook.origin == "config")
        problems: list[Problem] = []
        units = {key: f"hooks.endpoints.{place}" for place, key in enumerate(wanted)}
        # Those that go make room.
        for key in [*(hooks.keys() - wanted.keys()), *wanted]:
            try:
                await self._set(hooks.get(key), wanted.get(key), is_known=known.get(key) == wanted.get(key))
            except PrxError as error:
                unit = units.get(key, "hooks.endpoints")
                _log.warning("a webhook of the configuration has no effect", unit=unit, reason=error.message)
                problems.append(Problem(unit, error.message, now_utc(), _ACTION))
        self._problems = problems

    async def _set(self, hook: Hook | None, endpoint: HookEndpointConfig | None, *, is_known: bool) -> None:
        """Make `hook` what `endpoint` says; either may be missing."""
        if endpoint is None:
            if hook is not None:
                await self._registry.remove(hook.id, by="config")
            return
        secret = None if endpoint.secret is None else endpoint.secret.get_secret_value()
        if hook is None:
            await self._registry.register(
                endpoint.url, endpoint.events, secret, active=endpoint.enabled, by="config"
            )
        elif not is_known:
            keys = self._registry.keys(hook)
            is_new = keys is None or keys.newest != secret
            wanted = Wanted(
                url=endpoint.url,
                events=endpoint.events,
                active=endpoint.enabled,
                secret=secret if is_new else None,
            )
            await self._registry.change(hook.id, wanted, by="config")


def _by_key(things: Iterable[_T]) -> dict[_Key, _T]:
    seen = Counter[str]()
    found = {}
    for thing in things:
        found[thing.url, seen[thing.url]] = thing
        seen[thing.url] += 1
    return found
