"""How fast lines may be sent: a server throws out who sends many at once."""

import asyncio


class Pace:
    """A few turns at once, and then one after each interval."""

    def __init__(self, burst: int, interval_secs: float) -> None:
        """Start with all of the burst to be had."""
        self._allowance = burst * interval_secs
        self._interval = interval_secs
        self._free_at = 0.0

    async def turn(self) -> None:
        """Wait for the next turn; who comes first has the first one."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now - self._allowance) + self._interval
        if self._free_at > now:
            await asyncio.sleep(self._free_at - now)
