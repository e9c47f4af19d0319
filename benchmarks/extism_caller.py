"""Calls an echo through the Extism SDK as told on standard input; runs in the environment that has it.

    python extism_caller.py WASM

Each line is a way and how many calls; the answer is the microseconds of one call. `warm 2000` calls one plugin,
`fresh 2000` makes a plugin from compiled code for each call, `together 2000` calls two plugins on two threads.
"""

import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread

from extism import Plugin
from extism.extism import CompiledPlugin

_INPUT = b"hello"
_COMPILED = CompiledPlugin(Path(sys.argv[1]).read_bytes(), wasi=False, functions=[])
_PLUGINS = [Plugin(_COMPILED) for _ in range(2)]


def warm(calls: int, plugin: Plugin = _PLUGINS[0]) -> None:
    """Call one plugin again and again."""
    for _ in range(calls):
        plugin.call("echo", _INPUT)


def fresh(calls: int) -> None:
    """Call a plugin once and throw it away."""
    for _ in range(calls):
        Plugin(_COMPILED).call("echo", _INPUT)


def together(calls: int) -> None:
    """Call a plugin on each of two threads."""
    threads = [Thread(target=warm, args=(calls // len(_PLUGINS), plugin)) for plugin in _PLUGINS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


WAYS: dict[str, Callable[[int], None]] = {"warm": warm, "fresh": fresh, "together": together}

assert _PLUGINS[0].call("echo", _INPUT) == _INPUT
gc.collect()
gc.freeze()
for line in sys.stdin:
    way, count = line.split()
    gc.collect()
    began = time.perf_counter()
    WAYS[way](int(count))
    print((time.perf_counter() - began) / int(count) * 1e6, flush=True)
