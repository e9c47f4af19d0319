"""Jobs on a schedule, whoever brings them."""

from datetime import datetime
from typing import NamedTuple, Protocol


class Due(Protocol):
    """When a job is due: a cron expression in a time zone."""

    @property
    def expression(self) -> str:
        """The expression as it was written."""

    @property
    def timezone(self) -> str:
        """The zone's name in the IANA database."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first time after `moment`."""


class Job(Protocol):
    """Something that runs when its schedule says so."""

    @property
    def name(self) -> str:
        """Its name among those of its source."""

    @property
    def source(self) -> str:
        """Who brings it: `plugin:<name>`."""

    @property
    def due(self) -> Due:
        """When it runs."""

    async def run(self) -> str:
        """Run once; return a word on what was done.

        Raises:
            PrxError: it failed, or could not run; says why.
        """


class JobRun(NamedTuple):
    """How a job ran last."""

    started: datetime
    ended: datetime
    outcome: str
    """What it said of itself, or why it failed."""
    success: bool
