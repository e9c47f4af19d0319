"""What the running daemon says of itself."""

from collections.abc import Iterator
from typing import Final

from prx import __version__
from prx.cli.doctor.connections import MCP_UNIT
from prx.cli.doctor.findings import Finding, Site
from prx.cli.output import moment

_LATE_MS: Final = 1000
PLUGIN_UNIT: Final = "plugin."


def running(site: Site) -> Iterator[Finding]:
    """Repeat what `/status` calls a problem, but for plugins and MCP servers, which have checks of their own."""
    if site.ask is None:
        return
    status = site.ask("/status")
    for problem in status["problems"]:
        if not problem["unit"].startswith((PLUGIN_UNIT, MCP_UNIT)):
            yield Finding(
                f"{problem['unit']}: {problem['reason']}",
                f"the daemon is degraded since {moment(problem['since'])}",
                problem["action"],
            )
    if status["config"]["restart_required"]:
        yield Finding(
            "the configuration has changed keys that wait for a restart",
            "the daemon runs with their old values",
            "restart the daemon",
            "advice",
        )
    if status["version"] != __version__:
        yield Finding(
            f"the daemon runs version {status['version']}, and this command is version {__version__}",
            "an upgrade takes effect with the next start",
            "restart the daemon",
            "advice",
        )
    if status["loop_lag_ms"] > _LATE_MS:
        yield Finding(
            f"the event loop was {status['loop_lag_ms']:.0f} ms late",
            "every answer waits that long",
            "give the daemon more of the processor, or see its log for what keeps it busy",
            "advice",
        )
