"""What keeps events from a hook, in words for `/status`."""

from collections.abc import Iterator
from datetime import datetime

from prx.core.unit import Problem
from prx.webhooks.hook import Hook


def problems_of(hook: Hook, fault: str | None, losing_since: datetime | None) -> Iterator[Problem]:
    """Yield what is wrong with `hook`.

    Args:
        hook: as it is now.
        fault: why its secrets cannot be read.
        losing_since: since when events fell out of its backlog.
    """
    unit = f"hook.{hook.id}"
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
        where = "in the configuration" if hook.origin == "config" else f"with PATCH /api/v1/hooks/{hook.id}"
        yield Problem(unit, fault, since, f"restore secrets.key from a backup, or set another secret {where}")
    if losing_since is not None:
        reason = f"{hook.lost} events fell out of its backlog, which is bounded"
        yield Problem(unit, reason, losing_since, f"mend the receiver; once you have seen this, {change}")
