"""How long terminated sessions are kept."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from prx.agent import session_table
from prx.config.schema import AgentConfig
from prx.runtime.store import Store

_PAUSE_SECS: Final = 60.0
_MAX_TERMINATED: Final = 100_000


class Retention:
    """Removes those that are kept long enough, or are too many: once a minute, however often it is asked."""

    def __init__(self, store: Store, config: Callable[[], AgentConfig]) -> None:
        """Remove from `store`; `config` is asked whenever the time counts."""
        self._store = store
        self._config = config
        self._swept_at: float | None = None

    async def sweep(self, now: datetime) -> None:
        """Remove what is due at the moment `now`.

        Raises:
            UnavailableError: the store cannot write.
        """
        time = asyncio.get_running_loop().time()
        if self._swept_at is not None and time < self._swept_at + _PAUSE_SECS:
            return
        before = now - timedelta(days=self._config().session_retention_days)
        job = partial(session_table.remove_terminated, before=before, most=_MAX_TERMINATED)
        while await self._store.run(job) == session_table.STEP:
            pass
        self._swept_at = time
