"""Status: how the daemon is, for people, programs and load balancers."""

from aiohttp import web

from prx import __version__
from prx.agent.providers.known import BUILTIN
from prx.api.answers.status import HealthAnswer, ProblemRow, StatusAnswer
from prx.api.bodies import reply
from prx.api.deps import GLANCE, STATUS, ApiDeps
from prx.api.resident import ResidentMemory
from prx.api.routes import PUBLIC, Routes
from prx.core.ids import iso_utc
from prx.core.unit import Problem

routes = Routes()


@routes.get("/status", scope="status:read", answer=StatusAnswer)
async def get_status(request: web.Request) -> web.Response:
    """The daemon at a glance, with everything that is wrong and what to do about it."""
    return web.Response(body=request.app[GLANCE].get(), content_type="application/json")


@routes.get("/status/health", scope=PUBLIC, answer=HealthAnswer, status=(200, 503))
async def get_health(request: web.Request) -> web.Response:
    """Whether requests are served: 503 while the daemon starts and while it drains."""
    ready = request.app[STATUS].ready
    return reply({"healthy": ready}, status=200 if ready else 503)


def glance(deps: ApiDeps, resident: ResidentMemory) -> StatusAnswer:
    """Return what `GET /status` answers."""
    board, config, figures = deps.status, deps.config(), deps.figures()
    plugins = deps.plugins.summary()
    problems = [_described(problem) for problem in board.problems()]
    return {
        "status": "degraded" if problems else "healthy",
        "version": __version__,
        "uptime_secs": board.uptime_secs,
        "active_sessions": deps.sessions.active,
        "channels": {"connected": figures.channels_connected, "total": len(config.channels_config)},
        "plugins": {"loaded": plugins.loaded, "total": plugins.total},
        "memory": {"backend": config.memory.backend, "entries": figures.memory_entries},
        "provider": {
            "name": config.provider.name,
            # What `provider.model` says is another's.
            "model": BUILTIN if config.provider.name == BUILTIN else config.provider.model,
        },
        "problems": problems,
        "loop_lag_ms": round(board.loop_lag_ms, 3),
        "memory_rss_bytes": resident.bytes_now(),
        "config": {"version": figures.config_version, "restart_required": figures.restart_required},
    }


def _described(problem: Problem) -> ProblemRow:
    return {
        "unit": problem.unit,
        "reason": problem.reason,
        "since": iso_utc(problem.since),
        "action": problem.action,
    }
