"""Which versions of each plugin are kept, and which of them runs instead of what its directory holds."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager

from prx.core.errors import ConflictError, NotFoundError
from prx.core.ids import now_utc
from prx.plugins.blobs import Blobs, Copy
from prx.plugins.kept import Kept, Remembered, Rollback, manifest_of, read_all, write_all
from prx.plugins.sources import Contents, restored
from prx.runtime.store import Store


class Generations:
    """The kept versions of every plugin. What `loaded` and `rolled_back` change is on disk after `save`."""

    def __init__(self, store: Store, blobs: Blobs, most: Callable[[], int]) -> None:
        """Know nothing until `load`; `most` says how many generations of a plugin are kept, the live one included."""
        self._store = store
        self._blobs = blobs
        self._most = most
        self._kept: dict[str, list[Kept]] = {}
        self._rollbacks: dict[str, Rollback] = {}
        self._changed: set[str] = set()
        self._manifests: dict[tuple[str, int], str | None] = {}
        """Of the generations that are not in the store yet."""
        self._saving = asyncio.Lock()

    async def load(self) -> None:
        """Read what was remembered, and forget what nothing is left of."""
        self._kept, self._rollbacks = await self._store.run(read_all)
        await self._blobs.open(self._digests())

    def copying(self) -> AbstractContextManager[Copy]:
        """Give the copy of what one load reads."""
        return self._blobs.copying()

    def of(self, plugin: str) -> list[Kept]:
        """Return what is kept of `plugin`, the newest generation first."""
        return sorted(
            (
                kept
                for kept in self._kept.get(plugin, ())
                if kept.state == "live" or self._blobs.has(kept.digest)
            ),
            key=lambda kept: kept.number,
            reverse=True,
        )

    def live(self, plugin: str) -> Kept | None:
        """Return the generation that runs, or ran last."""
        return next((kept for kept in self._kept.get(plugin, ()) if kept.state == "live"), None)

    def numbered(self, plugin: str, number: int) -> Kept | None:
        """Return generation `number` if it is kept."""
        return next((kept for kept in self.of(plugin) if kept.number == number), None)

    def chosen(self, plugin: str, number: int | None, running: int | None) -> Kept:
        """Return the generation to step back to; `None` is the newest one before the live one that was not rolled back.

        Raises:
            NotFoundError: that generation is not kept.
            ConflictError: there is none to step back to, or it is the one that runs.
        """
        if number is not None:
            kept = self.numbered(plugin, number)
            if kept is None:
                numbers = ", ".join(str(kept.number) for kept in self.of(plugin)) or "none"
                raise NotFoundError(
                    f'generation {number} of plugin "{plugin}" is not kept; there are: {numbers}'
                )
            if number == running:
                raise ConflictError(f'generation {number} of plugin "{plugin}" is the one that runs')
            return kept
        live = self.live(plugin)
        for kept in self.of(plugin):
            if kept.state == "replaced" and (live is None or kept.number < live.number):
                return kept
        raise ConflictError(
            f'plugin "{plugin}" has no older generation to step back to (GET /api/v1/plugins/{plugin}/versions)'
        )

    def count(self, contents: Contents, calls: int, failures: int) -> None:
        """Add calls of a life that ends to those of its generation."""
        kept = self._same(contents.name, contents)
        if kept is not None:
            kept.add(calls, failures)

    @property
    def unsaved(self) -> bool:
        """Whether `save` has something to write."""
        return bool(self._changed)

    def rollback(self, plugin: str) -> Rollback | None:
        """Return the step back that holds for `plugin`."""
        return self._rollbacks.get(plugin)

    def loaded(self, plugin: str, contents: Contents, found: str | None) -> Kept:
        """Note that `contents` run now, and return their generation; `found` identifies what the directory holds."""
        live = self.live(plugin)
        kept = self._same(plugin, contents)
        if kept is None:
            kept = self._added(plugin, contents, live)
        elif kept is not live:
            # One that was rolled back is on probation again, one that merely was replaced is known to be good.
            kept.before = live.number if live is not None and kept.state == "rolled_back" else None
        rollback = self._rollbacks.get(plugin)
        if rollback is not None and (rollback.passed_over, rollback.goal) != (found, kept.number):
            del self._rollbacks[plugin]
            self._changed.add(plugin)
        if kept.signature != contents.signature:
            kept.signature = contents.signature
            self._changed.add(plugin)
        self._make_live(plugin, kept)
        return kept

    def rolled_back(
        self, plugin: str, goal: Kept, found: str | None, reason: str, *, automatic: bool
    ) -> None:
        """Note that `goal` runs now, and what the directory holds does not, until it changes."""
        left = self.live(plugin) or goal
        standing = self._rollbacks.pop(plugin, None)
        passed_over = found if left is goal else left.identity
        if standing is not None:
            passed_over = standing.passed_over
        if passed_over is not None and goal.identity != found:
            self._rollbacks[plugin] = Rollback(
                passed_over, left.number, goal.number, reason, now_utc(), automatic
            )
        goal.before = left.number if goal.state == "rolled_back" else None
        self._make_live(plugin, goal)
        if goal.number < left.number:
            left.state, left.reason = "rolled_back", reason
        self._changed.add(plugin)

    def trim(self) -> None:
        """Let go of what is too many by now, of every plugin."""
        for plugin in [plugin for plugin, all_kept in self._kept.items() if len(all_kept) > self._most()]:
            self._let_go(plugin)
            self._changed.add(plugin)

    async def read(self, plugin: str, kept: Kept) -> tuple[Contents, bytes]:
        """Return a generation as it was read from the directory once.

        Raises:
            LoadError: its copy is gone or changed, or this PRX does not take its manifest any more.
            UnavailableError: the store cannot be read.
        """
        key = (plugin, kept.number)
        if key in self._manifests:
            manifest = self._manifests[key]
        else:
            manifest = await self._store.run(lambda db: manifest_of(db, plugin, kept.number))
        contents = restored(plugin, kept.digest, manifest, kept.signature)
        return contents, await self._blobs.read(kept.digest)

    async def save(self) -> None:
        """Write what changed, of all plugins in one job, and remove the components that nobody needs.

        Raises:
            UnavailableError: the store cannot be written; the next call tries again.
        """
        async with self._saving:
            changed, self._changed = self._changed, set()
            if changed:
                states = [self._state(plugin) for plugin in changed]
                try:
                    await self._store.run(lambda db: write_all(db, states))
                except BaseException:
                    self._changed |= changed
                    raise
                for state in states:
                    for plugin, number in state.manifests:
                        self._manifests.pop((plugin, number), None)
        await self.sweep()

    async def sweep(self) -> None:
        """Remove the components that nobody needs."""
        await self._blobs.sweep(self._digests)

    def forget(self, plugin: str) -> None:
        """Know nothing of `plugin` any more; see `prx.plugins.forgetting` for the store, and `sweep` for the disk."""
        for kept in self._kept.pop(plugin, ()):
            self._manifests.pop((plugin, kept.number), None)
        self._rollbacks.pop(plugin, None)
        self._changed.discard(plugin)

    async def aclose(self) -> None:
        """Let copies that are being written be finished, within seconds."""
        await self._blobs.aclose()

    def _same(self, plugin: str, contents: Contents) -> Kept | None:
        return next((kept for kept in self._kept.get(plugin, ()) if kept.identity == contents.identity), None)

    def _added(self, plugin: str, contents: Contents, live: Kept | None) -> Kept:
        all_kept = self._kept.setdefault(plugin, [])
        rollback = self._rollbacks.get(plugin)
        highest = max([kept.number for kept in all_kept] + ([rollback.left] if rollback is not None else [0]))
        kept = Kept(
            number=highest + 1,
            version=contents.version,
            digest=contents.digest,
            identity=contents.identity,
            signature=contents.signature,
            loaded_at=now_utc(),
            state="replaced",
            before=live.number if live is not None else None,
        )
        all_kept.append(kept)
        self._manifests[plugin, kept.number] = contents.manifest_text
        return kept

    def _make_live(self, plugin: str, kept: Kept) -> None:
        """Let `kept` take the place of the live one, and let go of those that are too many."""
        live = self.live(plugin)
        if kept is live:
            return
        if live is not None:
            live.state = "replaced"
        kept.state, kept.reason, kept.loaded_at = "live", None, now_utc()
        self._let_go(plugin)
        self._changed.add(plugin)

    def _let_go(self, plugin: str) -> None:
        # By their last life, so that the one to fall back to is never among those that go.
        by_age = sorted(self._kept[plugin], key=lambda each: each.loaded_at, reverse=True)
        by_age.sort(key=lambda each: each.state != "live")
        self._kept[plugin] = by_age[: self._most()]

    def _digests(self) -> set[str]:
        return {kept.digest for all_kept in self._kept.values() for kept in all_kept}

    def _state(self, plugin: str) -> Remembered:
        manifests = {key: text for key, text in self._manifests.items() if key[0] == plugin}
        return Remembered(plugin, list(self._kept.get(plugin, ())), self._rollbacks.get(plugin), manifests)
