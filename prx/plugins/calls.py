"""One guest call: its budget, what it has used, and how it ended."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target
from prx.core.tool import CallContext
from prx.plugins.allowlist import NO_TARGETS, Allowlist
from prx.plugins.asked import NOTHING_ASKED, Asked
from prx.plugins.engine import ticks
from prx.plugins.placeholders import NO_SECRETS, SealedConfig
from prx.plugins.surroundings import NOTHING_AROUND, Surroundings

if TYPE_CHECKING:
    from prx.plugins.grants import Ledger
    from prx.plugins.host.output import GuestOutput
    from prx.plugins.instance import Instance
    from prx.plugins.subscriptions import Subscriptions


class GuestError(Exception):
    """A call that ran and failed; `code` is one of the stable codes of `docs/plugins.md`."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code for programs and the message for people."""
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Limits:
    """What one call may use, after manifest, configuration and defaults are merged."""

    max_fuel: int | None = None
    max_memory_bytes: int = 64 * 1024 * 1024
    max_execution_secs: float = 5.0
    max_output_bytes: int = 1024 * 1024
    max_http_requests: int = 10
    max_kv_bytes: int = 1024 * 1024
    max_concurrency: int = 4
    max_waiting: int = 64
    warm: bool = False

    @property
    def longest_secs(self) -> float:
        """The longest that a call may take with its turn in the queue."""
        return self.max_execution_secs * (1 + self.max_waiting / self.max_concurrency)

    @cached_property
    def ticks(self) -> int:
        """When a call that begins is looked at first, in ticks of the engine's clock."""
        return ticks(self.max_execution_secs)


@dataclass(slots=True)
class Owner:
    """On whose behalf calls run: what one generation of a plugin may do and has.

    What the operator grants is replaced, each part as a whole, when that is decided anew: the next host call obeys,
    and so does every instance that is made from then on.
    """

    plugin: str
    config: Mapping[str, str]
    permissions: frozenset[str]
    limits: Limits
    output: "GuestOutput"
    ledger: "Ledger"
    allowlist: Allowlist = NO_TARGETS
    secrets: SealedConfig = NO_SECRETS
    asked: Asked = NOTHING_ASKED
    surroundings: Surroundings = NOTHING_AROUND
    subscriptions: "Subscriptions | None" = None
    """What its hook hears of; `None` for a plugin that exports none."""

    def remedy(self, permission: str) -> str:
        """Return the least that would allow `permission`."""
        grant = f"prx plugin grant {self.plugin} {permission}"
        if permission in self.asked.permissions:
            return grant
        return f'add "{permission}" to [permissions] optional in plugin.toml, then: {grant}'

    def admit(self, target: Target, *, note: bool = True) -> None:
        """Let a request to `target` go on, or refuse it and, with `note`, put that into the ledger.

        Raises:
            EgressRefusedError: the plugin may not send there; says what would allow it.
        """
        if self.allowlist.covers(target):
            return
        listed = self.asked.entries.targets.covers(target)
        if listed:
            remedy = self.remedy("http-outbound")
        else:
            remedy = f'add "{target.origin}/" to [permissions] http_allowlist in plugin.toml'
        if note:
            self.ledger.note("http-outbound", f"http-outbound.request {target.origin}/", remedy)
        if listed:
            raise EgressRefusedError(
                f"{target.shown} is on the plugin's http_allowlist, but was not when that was granted: {remedy}"
            )
        self.allowlist.admit(target)


class Call:
    """The state of one call, owned by the thread that runs it; host functions find it through `current`."""

    # Defaults live on the class: every call makes one of these, and most never change most of them.
    deadline: float = 0.0
    """On the monotonic clock."""
    interrupted: bool = False
    """Whether nobody wants its result any more."""
    instance: "Instance | None" = None
    host_calls: int = 0
    http_requests: int = 0
    published: int = 0
    host_secs: float = 0.0
    ended: float = 0.0
    """When the exported function returned, on the monotonic clock."""
    guest_secs: float = 0.0
    """In the exported function, host functions included."""
    peak_memory_bytes: int = 0
    fuel_used: int | None = None
    failure: GuestError | None = None
    """What a host function wants the call to end with; the engine only sees a constant error."""
    stderr: bytes = b""
    """The tail of what the guest wrote there."""

    def __init__(self, owner: Owner, context: CallContext) -> None:
        """Begin a call to `owner` with nothing used."""
        self.owner = owner
        self.limits = owner.limits
        self.context = context
        self._waits: list[Callable[[], object]] = []

    @property
    def plugin(self) -> str:
        """The name of the plugin that is called."""
        return self.owner.plugin

    def begin(self) -> None:
        """Let its time run from now."""
        self.deadline = time.monotonic() + self.limits.max_execution_secs

    def interrupt(self) -> None:
        """See `Interruptible.interrupt`."""
        self.interrupted = True
        for wake in tuple(self._waits):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have `wake` called when the call is interrupted in the block, or was before, from any thread."""
        self._waits.append(wake)
        try:
            if self.interrupted:
                wake()
            yield
        finally:
            self._waits.remove(wake)

    def remaining_secs(self) -> float:
        """Return what is left of the wall time, at least 0."""
        return max(0.0, self.deadline - time.monotonic())


class _Current(threading.local):
    call: Call


current = _Current()
"""The call that runs on this thread. Set before the guest is entered: host functions are only reached from there."""
