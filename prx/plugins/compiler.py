"""From a component's bytes to compiled code on disk, through the cache, never on the event loop."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from prx.plugins.cache import Cache, cache_key
from prx.plugins.errors import LoadError, SupersededError

_TIMEOUT_SECS = 300.0
_MAX_STDERR = 2000


class Compiler:
    """Compiles components one after the other; the compiler itself uses every core."""

    def __init__(self, cache: Cache) -> None:
        """Keep what is compiled in `cache`."""
        self._cache = cache
        self._one_at_a_time = asyncio.Semaphore(1)

    async def cached(self, digest: str, *, fuel: bool) -> Path | None:
        """Return the compiled code of the component with this SHA-256 if it was compiled before."""
        return await asyncio.to_thread(self._cache.lookup, cache_key(digest, fuel=fuel))

    async def compile(self, wasm: bytes, digest: str, *, fuel: bool, wanted: Callable[[], bool]) -> Path:
        """Compile `wasm`, whose SHA-256 is `digest`, and return where its code is.

        Raises:
            SupersededError: `wanted` says that nobody needs it any more when its turn comes.
            LoadError: it is not a valid component, or compiling it takes too long or too much memory.
        """
        async with self._one_at_a_time:
            if not wanted():
                raise SupersededError("its files changed before they were compiled")
            if (before := await self.cached(digest, fuel=fuel)) is not None:
                return before  # another plugin, or another load, has the same component
            source, target = self._cache.new_file(), self._cache.new_file()
            try:
                await asyncio.to_thread(source.write_bytes, wasm)
                await self._run_worker(source, target, fuel=fuel)
                return await asyncio.to_thread(self._cache.store, cache_key(digest, fuel=fuel), target)
            except OSError as error:
                raise LoadError(
                    f"its compiled code cannot be stored in {source.parent}: {error.strerror}; free some disk space or "
                    "make the directory writable, then reload the plugin"
                ) from error
            finally:
                for leftover in (source, target):
                    with contextlib.suppress(OSError):
                        leftover.unlink()

    async def drop(self, digest: str, *, fuel: bool) -> None:
        """Forget code that the engine refused, so that it is compiled again."""
        await asyncio.to_thread(self._cache.drop, cache_key(digest, fuel=fuel))

    async def _run_worker(self, source: Path, target: Path, *, fuel: bool) -> None:
        process = await asyncio.create_subprocess_exec(
            # -P: a file in the working directory must not take the place of a module.
            sys.executable, "-P", "-m", "prx.plugins.compile_worker", source, target, "fuel" if fuel else "nofuel",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_TIMEOUT_SECS):
                out, err = await process.communicate()
        except TimeoutError:
            raise LoadError(f"compiling it took longer than {_TIMEOUT_SECS:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if process.returncode != 0:
            words = err.decode("utf-8", "replace").strip()[-_MAX_STDERR:].splitlines()
            raise LoadError(
                f"its compiler ended with status {process.returncode}: "
                f"{words[-1] if words else 'out of memory or time, perhaps'}"
            )
        answer = json.loads(out)
        if "error" in answer:
            raise LoadError(f"it is not a valid component: {answer['error']}")
