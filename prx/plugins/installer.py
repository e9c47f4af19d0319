"""Installing and removing plugins while the daemon runs: checked first, then put in place or taken out by renames."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from prx.config.schema import PluginsConfig
from prx.core.errors import BadRequestError, ConflictError, NotFoundError, UnavailableError
from prx.plugins.activation import Activation
from prx.plugins.errors import LoadError
from prx.plugins.inventory import Inventory
from prx.plugins.manifest import Permission
from prx.plugins.package import MAX_PACKAGE_BYTES, MAX_SIGNATURE_BYTES, SUFFIX, package_name
from prx.plugins.plugin import Plugin
from prx.plugins.sources import Contents, Source, check_component, read, source_at
from prx.plugins.staging import Placed, Removed, Upload, Writer, leftovers, place, take_out
from prx.runtime.logging import get_logger

log = get_logger("plugins::installer")

MAX_UPLOAD_BYTES = MAX_PACKAGE_BYTES + 1024 * 1024
"""Of everything that one installation sends."""
_MAX_UPLOADS = 4
_MAX_NAME_BYTES = 200
"""Of an uploaded file: a package's full name fits with ease, and every file system takes it with a suffix."""


@dataclass(frozen=True, slots=True)
class Part:
    """One file of an upload, as it arrives."""

    name: str
    content: AsyncIterator[bytes]


class Installer:
    """What changes the plugins directory on behalf of operators, one change at a time."""

    def __init__(
        self,
        config: Callable[[], PluginsConfig],
        plugins: dict[str, Plugin],
        activation: Activation,
        inventory: Inventory,
        forget: Callable[[str, bool], Awaitable[None]],
        progress: asyncio.Event,
    ) -> None:
        """Act on the directory of `config`; `inventory` sees what changes there, `forget` ends all trust in a name."""
        self._config = config
        self._plugins = plugins
        self._activation = activation
        self._inventory = inventory
        self._forget = forget
        self._progress = progress
        self._changing = asyncio.Lock()
        self._slots = _MAX_UPLOADS
        self._uploads: set[Path] = set()

    async def tidy(self) -> None:
        """Finish what a daemon that was killed had begun to remove, and drop what it had begun to receive."""
        for leftover in await asyncio.to_thread(leftovers, self._config().directory):
            if leftover.room in self._uploads:
                continue
            if leftover.removed is not None:
                try:
                    await self._forget(leftover.removed, leftover.purge)
                except UnavailableError as error:
                    log.warning("a removal is not finished", plugin=leftover.removed, reason=error.message)
                    continue
            await asyncio.to_thread(leftover.delete)

    async def receive(self, parts: AsyncIterator[Part]) -> Upload:
        """Write what arrives into the plugins directory, where nobody looks at it; `install` takes it from there.

        Raises:
            BadRequestError: it is not one plugin, with a signature if it is a bare file.
            UnavailableError: others send too, or it cannot be written.
        """
        if self._slots == 0:
            raise UnavailableError(f"{_MAX_UPLOADS} plugins are being installed already; try again shortly")
        self._slots -= 1
        try:
            return await self._received(parts)
        except BaseException:
            self._slots += 1
            raise

    async def install(self, upload: Upload) -> tuple[Plugin, bool]:
        """Check what was received, put it in place and load it; return the plugin, and whether its name is new.

        A required permission that is not granted is no reason to refuse it: the plugin then waits for that.

        Raises:
            BadRequestError: it would not load; says why.
            ConflictError: it does not go with what is there, or did not load there: what was there still is.
            UnavailableError: the directory cannot be written.
        """
        try:
            source, contents = await self._checked(upload)
            async with self._changing:
                await self._inventory.reconcile()
                target, before = self._target(source, contents)
                plugin, new = await self._put(upload, target, before, contents.name)
        finally:
            self._slots += 1
            await self._discard(upload)
        log.info("plugin installed", plugin=plugin.name, version=contents.version, path=str(target), new=new)
        return plugin, new

    async def remove(self, name: str, *, purge: bool) -> None:
        """Take the plugin out of service, remove its files and end all trust in its name; `purge` also drops its data.

        Raises:
            NotFoundError: there is none.
            ConflictError: two have this name, or it came anew meanwhile.
            UnavailableError: the directory or the store cannot be written; everything is as it was.
        """
        async with self._changing:
            plugin = self._plugins.get(name)
            if plugin is None:
                raise NotFoundError(f'Plugin "{name}" not found; GET /api/v1/plugins lists what there is')
            if plugin.doubled:
                raise ConflictError(plugin.error or f'two plugins are named "{name}"')
            # Whoever decides about it meanwhile finds that it is gone.
            async with plugin.changing:
                async with self._inventory.moving:
                    removed = await self._take_out(plugin, purge=purge)
                # Its last calls end without: what was purged is not written anew.
                self._activation.loader.revoke(name, get_args(Permission))
                self._activation.unload(plugin)
                await self._inventory.reconcile()
            await asyncio.to_thread(removed.delete)
        log.info("plugin removed", plugin=name, path=str(plugin.source.path), purged=purge)

    async def _take_out(self, plugin: Plugin, *, purge: bool) -> Removed:
        """Move its files out and forget it, or leave everything as it was."""
        name = plugin.name
        listed = self._plugins.get(name)
        if listed is not None and listed is not plugin:
            raise ConflictError(f'plugin "{name}" was changed meanwhile: look at it and try again')
        # Off the list first: what its calls come to while it is forgotten must not be noted under its name.
        self._plugins.pop(name, None)
        try:
            removed = await asyncio.to_thread(take_out, plugin.source, name, purge=purge)
            try:
                await self._forget(name, purge)
            except BaseException:
                await asyncio.to_thread(removed.undo)
                raise
        except BaseException:
            if listed is not None:
                self._plugins[name] = listed
            raise
        return removed

    async def _received(self, parts: AsyncIterator[Part]) -> Upload:
        async for part in parts:
            upload = self._chosen(part)
            self._uploads.add(upload.room)
            try:
                await _whole(upload.begin)
                await _write(upload.path, part)
                async for more in parts:
                    path = await asyncio.to_thread(_signature_path, upload, more.name)
                    await _write(path, more, most=MAX_SIGNATURE_BYTES)
            except BaseException:
                await self._discard(upload)
                raise
            return upload
        raise BadRequestError(
            "the request holds no file: send a .wasm or .prxplugin file as multipart/form-data"
        )

    def _chosen(self, part: Part) -> Upload:
        known = part.name.endswith((".wasm", SUFFIX)) and not part.name.startswith(".")
        if (
            not known
            or "/" in part.name
            or "\0" in part.name
            or len(os.fsencode(part.name)) > _MAX_NAME_BYTES
        ):
            raise _not_one(part.name)
        return Upload.of(self._config().directory, part.name)

    async def _discard(self, upload: Upload) -> None:
        await _whole(upload.discard)
        self._uploads.discard(upload.room)

    async def _checked(self, upload: Upload) -> tuple[Source, Contents]:
        """Return what was received, once it is known that it would load."""
        try:
            source = await asyncio.to_thread(_source, upload)
            contents, component = await asyncio.to_thread(read, source)
            check_component(component, upload.path.name)
            await self._activation.loader.rehearse(contents, component, self._config())
        except LoadError as error:
            raise BadRequestError(f"it is not installed: {error.message}", details=error.details) from error
        return source, contents

    def _target(self, source: Source, contents: Contents) -> tuple[Path, Path | None]:
        """Return where it goes, and where the version before it lies.

        Raises:
            ConflictError: its name or its place belongs to something else.
        """
        directory, name = self._config().directory, contents.name
        file = source.path.name if contents.manifest is None else package_name(contents.manifest)
        target = directory / file
        plugin = self._plugins.get(name)
        if plugin is not None and plugin.doubled:
            raise ConflictError(plugin.error or f'two plugins are named "{name}"')
        if plugin is not None and plugin.source.kind != source.kind:
            raise ConflictError(
                f'plugin "{name}" is there already as {plugin.source.path}, which is another form '
                f"({plugin.source.kind}): remove that first, or replace it there"
            )
        before = plugin.source.path if plugin is not None else None
        for other in self._plugins.values():
            if other.source.path == target and other is not plugin:
                if other.manifest is not None or before is not None:
                    raise ConflictError(f'{target} is the plugin "{other.name}": rename that file first')
                before = target  # it cannot even be read
        return target, before

    async def _put(self, upload: Upload, target: Path, before: Path | None, name: str) -> tuple[Plugin, bool]:
        new = name not in self._plugins
        async with self._inventory.moving:
            placed = await asyncio.to_thread(place, upload, target, before)
        self._activation.expect(name)
        await self._inventory.reconcile()
        plugin = await self._settled(name)
        if plugin is None:
            raise ConflictError(f"{target} was removed while it was loaded: install it again")
        if plugin.fault is not None and not plugin.waits_for_grant:
            fault = plugin.fault
            await self._undo(placed, name)
            raise ConflictError(f"it is not installed: {fault}")
        return plugin, new

    async def _undo(self, placed: Placed, name: str) -> None:
        async with self._inventory.moving:
            await asyncio.to_thread(placed.undo)
        await self._inventory.reconcile()
        await self._settled(name)

    async def _settled(self, name: str) -> Plugin | None:
        """Return the plugin once it is loaded or has failed, if it is there."""
        while (plugin := self._plugins.get(name)) is not None and plugin.loading:
            self._progress.clear()
            await self._progress.wait()
        return plugin


async def _write(path: Path, part: Part, *, most: int = MAX_UPLOAD_BYTES) -> None:
    writer = Writer(path)
    try:
        await _whole(writer.open)
        size = 0
        async for piece in part.content:
            size += len(piece)
            if size > most:
                raise BadRequestError(f"{path.name} has more than {most} bytes")
            await _whole(writer.write, piece)
        await _whole(writer.finish)
    finally:
        await _whole(writer.close)


async def _whole(work: Callable[..., None], *arguments: object) -> None:
    """Do `work` on a thread and wait for its end, even if the sender goes away: what follows may clean up after it."""
    doing = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        await asyncio.shield(doing)
    except asyncio.CancelledError:
        # What it failed with is of no interest any more.
        await asyncio.gather(doing, return_exceptions=True)
        raise


def _signature_path(upload: Upload, name: str) -> Path:
    """Return where the second file of an upload goes, which can only be the signature of a bare one."""
    path = upload.path.with_name(f"{upload.path.name}.sig")
    if upload.path.suffix != ".wasm" or name != path.name or path.exists():
        raise _not_one(name)
    return path


def _source(upload: Upload) -> Source:
    source = source_at(upload.path)
    if source is None:
        raise LoadError("somebody removed the upload: install it again")
    return source


def _not_one(name: str) -> BadRequestError:
    return BadRequestError(
        f'"{name[:80]}" cannot be installed: send one .wasm or .prxplugin file, and for weather.wasm its signature '
        "weather.wasm.sig after it, if there is one"
    )
