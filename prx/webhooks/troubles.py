"""What keeps events from a hook, in words for `/status`."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from prx.core.ids import iso_utc, now_utc
from prx.core.unit import Problem
from prx.webhooks.hook import Failing, Fault, Hook

_MANY_ATTEMPTS: Final = 3


def problems_of(hook: Hook, fault: Fault | None, losing_since: datetime | None) -> Iterator[Problem]:
    """Yield what is wrong with `hook`.

    Args:
        hook: as it is now.
        fault: why its secrets cannot be read.
        losing_since: since when events fell out of its backlog.
    """
    unit = _unit(hook)
    since = datetime.fromisoformat(hook.since or hook.created_at)
    if hook.origin == "config":
        change = "change its table in [[hooks.endpoints]] or restart the daemon"
    else:
        change = f"`prx hook enable {hook.id}`"
    if hook.reason is not None:
        yield Problem(
            unit,
            f"switched off: {hook.reason}",
            since,
            f"mend the receiver, then {change}: its backlog goes on",
        )
    if fault is not None:
        yield Problem(unit, fault.reason, since, _remedy(hook, fault))
    if losing_since is not None:
        reason = f"{hook.lost} events fell out of its backlog, which is bounded"
        yield Problem(unit, reason, losing_since, f"mend the receiver; once you have seen this, {change}")


def failing_problem(hook: Hook, failing: Failing, next_try_ms: int) -> Problem | None:
    """Return what is wrong with a receiver that is still tried; None where it may be a hiccup."""
    if failing.attempts < _MANY_ATTEMPTS:
        return None
    # Always a time: words that came and went would be news each time.
    due = max(datetime.fromtimestamp(next_try_ms / 1000, UTC), now_utc())
    return Problem(
        _unit(hook),
        f"its events wait: {failing.attempts} attempts failed, one after the other; it is tried again at "
        f"{iso_utc(due)}; the last one: {failing.error}",
        datetime.fromisoformat(failing.since),
        f"mend the receiver: `prx hook test {hook.id}` tries it now, and `prx hook deliveries {hook.id}` names what "
        "waits, for `prx hook retry`",
    )


def _remedy(hook: Hook, fault: Fault) -> str:
    restore = "restore secrets.key from a backup and restart the daemon"
    if not fault.has_key:
        return f"{restore}, or do what the reason says"
    if hook.origin == "config":
        return f"{restore}, or set another secret in the configuration"
    return f"{restore}, or have another secret made with `prx hook rotate {hook.id}`"


def _unit(hook: Hook) -> str:
    return f"hook.{hook.id}"
