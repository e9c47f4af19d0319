"""The endpoint that one would write instead: FastAPI and uvicorn on uvloop around the Extism SDK, and nothing else.

    python extism_server.py WASM PORT

No token, no limits, no receipt. A plugin serves one call at a time, so each thread of the pool has its own. The paths
that end in `inline` make the call on the event loop, which is quicker for a guest that returns at once and stops every
other request for one that does not.
"""

import json
import sys
import threading
from pathlib import Path
from typing import Any

import uvicorn
from extism import Plugin
from extism.extism import CompiledPlugin
from fastapi import FastAPI
from pydantic import BaseModel

_COMPILED = CompiledPlugin(Path(sys.argv[1]).read_bytes(), wasi=False, functions=[])


class Call(BaseModel):
    """What a tool is called with."""

    arguments: dict[str, Any] = {}


class Outcome(BaseModel):
    """What a tool returned."""

    success: bool
    output: str


class _Own(threading.local):
    def __init__(self) -> None:
        self.plugin = Plugin(_COMPILED)


app = FastAPI()
_own = _Own()


def _run(plugin: Plugin, call: Call) -> Outcome:
    output = plugin.call("echo", json.dumps(call.arguments).encode())
    return Outcome(success=True, output=output.decode())


@app.get("/health")
def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/warm")
def warm(call: Call) -> Outcome:
    return _run(_own.plugin, call)


@app.post("/fresh")
def fresh(call: Call) -> Outcome:
    return _run(Plugin(_COMPILED), call)


@app.post("/warm-inline")
async def warm_inline(call: Call) -> Outcome:
    return _run(_own.plugin, call)


@app.post("/fresh-inline")
async def fresh_inline(call: Call) -> Outcome:
    return _run(Plugin(_COMPILED), call)


uvicorn.run(
    app,
    host="127.0.0.1",
    port=int(sys.argv[2]),
    loop="uvloop",
    http="httptools",
    access_log=False,
    log_level="warning",
)
