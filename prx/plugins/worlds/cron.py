"""The PRX `cron` world: a job that the manifest puts on one or more schedules."""

from prx.core.errors import CallFailedError
from prx.core.tool import CallContext
from prx.plugins.abi.wit import Prim, ResultType
from prx.plugins.worlds.binding import Binding, Guest, Signature
from prx.runtime.schedule import Schedule

INTERFACE = "prx:plugin/cron-exports"

RUN = Signature(result=ResultType(Prim.STRING, Prim.STRING))
SIGNATURES = {"run": RUN}


class PluginJob:
    """One generation's `run` on one schedule; see `Job`."""

    def __init__(self, plugin: str, guest: Guest, run: Binding, name: str, due: Schedule) -> None:
        """Run `guest` as the job `name`."""
        self.name = name
        self.source = f"plugin:{plugin}"
        self.due = due
        self._guest = guest
        self._run = run

    async def run(self) -> str:
        """See `Job.run`."""
        result = await self._guest.call(self._run, (), CallContext())
        if (failure := result.error) is not None:
            raise CallFailedError(failure.message, details={"code": failure.code})
        return str(result.output)
