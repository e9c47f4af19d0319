"""Compiles one component in a process of its own: `python -m prx.plugins.compile_worker SOURCE TARGET fuel|nofuel`.

Compiling an 18 MB guest takes seconds and hundreds of megabytes, and hostile input may take more: all of that stays in
here, at low priority and within limits, and dies with its parent. The result is the file at TARGET; stdout has one
line of JSON, `{}` or `{"error": "..."}`.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

from wasmtime import Engine, WasmtimeError
from wasmtime import component as wasm

from prx.plugins.engine import engine_config
from prx.plugins.probe import with_probe

_ADDRESS_SPACE_BYTES = 4 * 1024**3
_CPU_SECS = 300
_PR_SET_PDEATHSIG = 1


def main(source: str, target: str, fuel: str) -> None:
    """Compile `source` into `target`."""
    _restrict()
    engine = Engine(engine_config(fuel=fuel == "fuel"))
    try:
        component = _compiled(engine, Path(source).read_bytes())
    except WasmtimeError as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        print(json.dumps({"error": lines[-1].removeprefix("0: ")}))  # noqa: T201  # the worker's answer
        return
    path = Path(target)
    path.touch(mode=0o600)
    path.write_bytes(component.serialize())
    print(json.dumps({}))  # noqa: T201  # the worker's answer


def _compiled(engine: Engine, content: bytes) -> wasm.Component:
    probed = with_probe(content)
    if probed is not content:
        with suppress(WasmtimeError):  # a form that the probe's reader misread: only the measuring is lost
            return wasm.Component(engine, probed)
    return wasm.Component(engine, content)


def _restrict() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.nice(10)
    resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE_BYTES, _ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECS, _CPU_SECS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(*sys.argv[1:])
