"""Telling a connection that was kept from one that was made for a request."""

from dataclasses import dataclass
from types import SimpleNamespace

from aiohttp import ClientSession, TraceConfig, TraceConnectionReuseconnParams


@dataclass(slots=True)
class UsedConnection:
    """What is known of the connection that a request is sent over."""

    was_kept: bool = False
    """Whether another request was sent over it before."""


def noting_kept_connections() -> TraceConfig:
    """Return what tells the `UsedConnection` that is a request's `trace_request_ctx` that it was kept."""
    config = TraceConfig()
    config.on_connection_reuseconn.append(_note)
    return config


async def _note(
    _session: ClientSession, context: SimpleNamespace, _parameters: TraceConnectionReuseconnParams
) -> None:
    if isinstance(context.trace_request_ctx, UsedConnection):
        context.trace_request_ctx.was_kept = True
