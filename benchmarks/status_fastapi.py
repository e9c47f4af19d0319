"""What one would write instead for `GET /status`: FastAPI with an auth dependency and a response model, on uvloop.

    python status_fastapi.py FILE PORT

The token is compared in constant time with the only one there is, and the figures, which FILE holds, never change. No
scopes, no rate limits, no request ids, no time limit.
"""

import secrets
import sys
from pathlib import Path
from typing import Annotated

import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

TOKEN = "prx_benchmark"  # noqa: S105  # of this server alone


class Channels(BaseModel):
    """How many channels there are."""

    connected: int
    total: int


class Plugins(BaseModel):
    """How many plugins there are."""

    loaded: int
    total: int


class Memory(BaseModel):
    """What is remembered, and where."""

    backend: str
    entries: int


class Provider(BaseModel):
    """The language model."""

    name: str
    model: str


class Problem(BaseModel):
    """One thing that is wrong."""

    unit: str
    reason: str
    since: str
    action: str


class Configuration(BaseModel):
    """Which configuration is current."""

    version: int
    restart_required: bool


class Status(BaseModel):
    """The daemon at a glance."""

    status: str
    version: str
    uptime_secs: int
    active_sessions: int
    channels: Channels
    plugins: Plugins
    memory: Memory
    provider: Provider
    problems: list[Problem]
    loop_lag_ms: float
    memory_rss_bytes: int
    config: Configuration


app = FastAPI()
_figures = Status.model_validate_json(Path(sys.argv[1]).read_bytes())
_bearer = HTTPBearer()


async def authorized(credentials: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]) -> None:
    """Refuse everybody who does not know the token."""
    if not secrets.compare_digest(credentials.credentials, TOKEN):
        raise HTTPException(401)


@app.get("/health")
async def health() -> dict[str, bool]:
    """Say that it serves."""
    return {"ready": True}


@app.get("/status", dependencies=[Depends(authorized)])
async def status() -> Status:
    """The daemon at a glance."""
    return _figures


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[2]),
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
)
