"""Calls as the plugin host makes them, for tests of what works on their behalf."""

import time
from collections.abc import Mapping
from typing import Any

from prx.core.tool import CallContext
from prx.plugins.calls import Call, Limits, Owner
from prx.plugins.grants import Ledger
from prx.plugins.host.output import GuestOutput
from prx.plugins.settings import ALWAYS_GRANTED


def call_of(
    plugin: str = "weather",
    *,
    permissions: tuple[str, ...] = (),
    config: Mapping[str, str] | None = None,
    **limits: Any,
) -> Call:
    """Return a call to `plugin` that has just begun; `limits` are fields of `Limits`."""
    owner = Owner(
        plugin,
        config or {},
        frozenset({*ALWAYS_GRANTED, *permissions}),
        Limits(**limits),
        GuestOutput(plugin),
        Ledger(),
    )
    call = Call(owner, CallContext())
    call.deadline = time.monotonic() + owner.limits.max_execution_secs
    return call
