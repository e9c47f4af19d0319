"""The port of the daemon: the API over its parts, opened and told of."""

from prx.api.app import PREFIX, build_app
from prx.api.deps import ApiDeps, Figures
from prx.api.server import ApiRunner
from prx.api.tokens import TokenStore
from prx.daemon.life import Life
from prx.daemon.parts import Ground, Parts
from prx.mcp.server.endpoint import McpEndpoint
from prx.runtime.listener import listen
from prx.runtime.logging import get_logger
from prx.runtime.process import Address, announced

_LAST_ANSWERS_SECS = 1.0

_log = get_logger("daemon")


async def open_gateway(ground: Ground, parts: Parts, life: Life) -> tuple[ApiRunner, str]:
    """Listen, answering 503 until the daemon is ready; return the port and the API's address.

    Raises:
        AddressInUseError: another program listens there.
        ConfigError: the address or the certificate cannot be used.
    """
    config = ground.live.current
    tokens = TokenStore(config.daemon.data_dir)
    life.at_end("tokens", tokens.aclose)
    life.in_background(tokens.flush_forever(), "tokens")
    runner = ApiRunner(build_app(_deps(ground, parts, tokens)), shutdown_timeout=_LAST_ANSWERS_SECS)
    await runner.setup()
    life.at_end("gateway", runner.cleanup)
    where = await listen(runner, config.gateway)
    url = f"{where.url}{PREFIX}"
    life.hold(announced(config.daemon.data_dir, Address(url, where.certificate)))
    _log.info("listening", url=url)
    return runner, url


def _deps(ground: Ground, parts: Parts, tokens: TokenStore) -> ApiDeps:
    live = ground.live

    def figures() -> Figures:
        return Figures(
            channels_connected=parts.channels.connected(),
            memory_entries=parts.recollection.entries,
            config_version=live.version,
            restart_required=bool(live.restart_required),
        )

    return ApiDeps(
        tokens=tokens,
        router=ground.points.tools,
        plugins=parts.catalogue,
        skills=parts.skills,
        channels=parts.channels,
        admission=parts.admission,
        sessions=parts.sessions,
        agent=parts.agent,
        webhooks=parts.webhooks,
        mcp_servers=parts.servers,
        status=ground.status,
        metrics=ground.metrics,
        log=ground.book,
        bus=ground.points.bus,
        config=lambda: live.current,
        live=live,
        figures=figures,
        mcp_endpoint=McpEndpoint(ground.points.tools, ground.supervisor, parts.servers),
    )
