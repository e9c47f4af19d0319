"""What lies in the plugins directory: one source for each plugin, found without reading components."""

import hashlib
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Literal

from prx.plugins.component_binary import MAX_SECTIONS, PREAMBLE
from prx.plugins.errors import LoadError
from prx.plugins.files import MAX_WASM_BYTES, open_regular, read_regular, refuse_links
from prx.plugins.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    MAX_NAME_CHARS,
    Manifest,
    parse_manifest,
    read_manifest,
)
from prx.plugins.package import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_NAME,
    SUFFIX,
    is_cut_short,
    package_name,
    read_package,
    read_package_manifest,
)

_BARE_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
_CORE_PREAMBLE = b"\0asm\x01\0\0\0"

Stamp = tuple[tuple[int, int, int, int], ...]
Kind = Literal["bare", "directory", "package"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a plugin comes from."""

    path: Path
    """The `.wasm` or `.prxplugin` file, or the directory with a `plugin.toml`."""
    stamp: Stamp
    """Changes when one of its files does."""
    kind: Kind
    """A `bare` file has no manifest."""

    @property
    def fallback_name(self) -> str:
        """The name to list it under while its own cannot be read."""
        # That of a package is no plugin's name: one that is damaged must not stand in the way of a whole one.
        name = self.path.stem if self.kind == "bare" else self.path.name
        # A name that is not UTF-8 could neither be sent nor stored.
        return os.fsencode(name).decode(errors="backslashreplace")


@dataclass(frozen=True, slots=True)
class Contents:
    """A source, read."""

    name: str
    version: str
    manifest: Manifest | None
    digest: str
    """SHA-256 of the component, in hexadecimal."""
    manifest_text: str | None = None
    """The manifest as it was written; `None` for a bare file."""
    signature: bytes | None = None
    """The text of its signature file, if it has one: read with the rest and not verified yet."""
    warnings: tuple[str, ...] = ()
    """What is odd about it and harms nothing."""

    @property
    def identity(self) -> str:
        """What tells two versions apart, whatever they call themselves: a hash of component and manifest."""
        return hashlib.sha256(f"{self.digest}\n{self.manifest_text or ''}".encode()).hexdigest()

    @property
    def manifest_digest(self) -> str:
        """SHA-256 of the manifest's bytes, of none for a bare file."""
        return _digest((self.manifest_text or "").encode())


def scan(directory: Path) -> list[Source]:
    """Return every plugin in `directory`, good or bad, by path; other files are ignored.

    Raises:
        OSError: the directory cannot be listed.
    """
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    sources = [source_at(Path(entry.path)) for entry in found if not entry.name.startswith(".")]
    return [source for source in sources if source is not None]


def read(source: Source) -> tuple[Contents, bytes]:
    """Read a source's manifest and component; the second is large, and nobody keeps it.

    Raises:
        LoadError: a file is missing, too large, a symlink, or the manifest or package is wrong.
    """
    match source.kind:
        case "bare":
            return _read_bare(source.path)
        case "directory":
            return _read_directory(source.path)
        case "package":
            return _read_package(source.path)


def restored(name: str, digest: str, manifest_text: str | None, signature: bytes | None) -> Contents:
    """Return what was read once, from what was kept of it.

    Raises:
        LoadError: this PRX does not take that manifest any more.
    """
    if manifest_text is None:
        return Contents(name, "0.0.0", None, digest, signature=signature)
    manifest = parse_manifest(manifest_text.encode())
    about, warnings = manifest.plugin, tuple(manifest.warnings())
    return Contents(name, about.version, manifest, digest, manifest_text, signature, warnings)


def manifest_of(source: Source) -> Manifest | None:
    """Read a source's manifest and no more; `None` for a bare file.

    Raises:
        LoadError: it is missing, too large, a symlink, or wrong.
    """
    match source.kind:
        case "bare":
            return None
        case "directory":
            return read_manifest(source.path / MANIFEST_NAME)
        case "package":
            return read_package_manifest(source.path)


def signature_path(source: Source) -> Path | None:
    """Return where the signature of a bare file or directory lies; that of a package is inside it."""
    match source.kind:
        case "bare":
            return _beside(source.path)
        case "directory":
            return source.path / SIGNATURE_NAME
        case "package":
            return None


def _read_bare(path: Path) -> tuple[Contents, bytes]:
    if len(path.stem) > MAX_NAME_CHARS or not _BARE_NAME.fullmatch(path.stem):
        raise LoadError(
            f'"{path.name[:80]}" gives no plugin name: use lower-case letters, digits, "-" and "_", '
            f"beginning with a letter, {MAX_NAME_CHARS} at most"
        )
    wasm = read_regular(path, MAX_WASM_BYTES)
    signature = _read_signature(_beside(path))
    return Contents(path.stem, "0.0.0", None, _digest(wasm), signature=signature), wasm


def _read_directory(directory: Path) -> tuple[Contents, bytes]:
    text = read_regular(directory / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(text)
    path = directory / manifest.plugin.wasm
    refuse_links(directory, path)
    wasm = read_regular(path, MAX_WASM_BYTES)
    return _contents(manifest, text, wasm, _read_signature(directory / SIGNATURE_NAME)), wasm


def _read_package(path: Path) -> tuple[Contents, bytes]:
    package = read_package(path)
    contents = _contents(package.manifest, package.manifest_text, package.component, package.signature)
    usual = package_name(package.manifest)
    if path.name != usual:
        warning = (
            f'the file is named "{path.name}", and what is in it "{usual}": rename it, lest people mistake it'
        )
        contents = replace(contents, warnings=(*contents.warnings, warning))
    return contents, package.component


def _contents(manifest: Manifest, text: bytes, wasm: bytes, signature: bytes | None) -> Contents:
    about, warnings = manifest.plugin, tuple(manifest.warnings())
    return Contents(about.name, about.version, manifest, _digest(wasm), text.decode(), signature, warnings)


def _read_signature(path: Path) -> bytes | None:
    return read_regular(path, MAX_SIGNATURE_BYTES) if os.path.lexists(path) else None


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sig")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def check_component(wasm: bytes, name: str) -> None:
    """Refuse what is not a component by its first bytes: anything else could be taken for WAT text.

    Raises:
        LoadError: says what it is instead and how to build a component.
    """
    if wasm.startswith(PREAMBLE):
        return
    if wasm.startswith(_CORE_PREAMBLE):
        raise LoadError(
            f"{name} is a core WebAssembly module, not a component: wrap it with `wasm-tools component new` or "
            "`jco new`, or build for a component target (docs/plugins.md)"
        )
    if wasm.startswith(b"\0asm"):
        raise LoadError(
            f"{name} is WebAssembly of an unknown version ({wasm[4:8].hex(' ')}), expected a component "
            f"({PREAMBLE[4:].hex(' ')}): rebuild it with a current toolchain"
        )
    what = "an empty file" if not wasm else "not WebAssembly"
    raise LoadError(f"{name} is {what}: expected a WebAssembly component (docs/plugins.md)")


def is_unfinished(source: Source) -> bool:
    """Tell whether the component looks like one that is still being written: it begins well and ends too early."""
    try:
        path = source.path
        if source.kind == "package":
            return is_cut_short(path)
        if source.kind == "directory":
            path /= read_manifest(path / MANIFEST_NAME).plugin.wasm
        with os.fdopen(open_regular(path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not PREAMBLE.startswith(file.read(len(PREAMBLE))):
                return False
            at = len(PREAMBLE)
            for _ in range(MAX_SECTIONS):
                if at >= size:
                    break
                at = _section_end(file, at)
            return at > size
    except (OSError, LoadError):
        return False


def _section_end(file: BinaryIO, start: int) -> int:
    file.seek(start)
    head = file.read(6)
    length = 0
    for position, byte in enumerate(head[1:]):
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:  # noqa: PLR2004  # LEB128: the top bit says that more follows
            return start + 2 + position + length
    return start + len(head) + 1  # cut inside the length itself: past the end of the file


@dataclass(frozen=True, slots=True)
class _Known:
    stamp: Stamp
    name: str
    nested: Path | None
    """The component, where it lies in a directory of its own inside the plugin's."""


class Names:
    """The plugin name of each source; its manifest is read again only when its files change."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._known: dict[Path, _Known] = {}

    def by_name(self, directory: Path) -> dict[str, list[Source]]:
        """Scan `directory` and group what is there by plugin name; two under one name is an error to tell.

        Raises:
            OSError: the directory cannot be listed.
        """
        grouped: dict[str, list[Source]] = {}
        known: dict[Path, _Known] = {}
        for source in scan(directory):
            about = known[source.path] = self._about(source)
            nested = _stamp_of_any(about.nested) if about.nested is not None else ()
            grouped.setdefault(about.name, []).append(replace(source, stamp=source.stamp + nested))
        self._known = known
        return grouped

    def _about(self, source: Source) -> _Known:
        before = self._known.get(source.path)
        if before is not None and before.stamp == source.stamp:
            return before
        try:
            manifest = manifest_of(source)
        except LoadError:  # it keeps the name it had; loading it tells what is wrong
            return replace(before or _Known((), source.fallback_name, None), stamp=source.stamp)
        if manifest is None:
            return _Known(source.stamp, source.fallback_name, None)
        about = manifest.plugin
        if source.kind == "package":
            return _Known(source.stamp, about.name, None)
        wasm = source.path / about.wasm
        return _Known(source.stamp, about.name, wasm if wasm.parent != source.path else None)


def source_at(path: Path) -> Source | None:
    """Return the plugin at `path`, or `None`: no `.wasm` or `.prxplugin` file and no directory with a `plugin.toml`."""
    try:
        if path.is_dir():
            manifest = path / MANIFEST_NAME
            return Source(path, _stamp(path), "directory") if os.path.lexists(manifest) else None
        if path.suffix == ".wasm":
            return Source(path, _file_stamp(path) + _stamp_of_any(_beside(path)), "bare")
        if path.suffix == SUFFIX:
            return Source(path, _file_stamp(path), "package")
    except OSError:  # deleted since it was listed
        return None
    return None


def _stamp(directory: Path) -> Stamp:
    # Every few seconds for every plugin: plain paths, which cost half of what `Path` does.
    with os.scandir(directory) as entries:
        found = sorted(entry.path for entry in entries if entry.name.endswith((".toml", ".wasm", ".sig")))
    return tuple(stamp for path in found for stamp in _file_stamp(path))


def _stamp_of_any(path: Path) -> Stamp:
    try:
        return _file_stamp(path)
    except OSError:  # missing for now; loading it tells so
        return ()


def _file_stamp(path: str | Path) -> Stamp:
    info = os.lstat(path)
    return ((info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns),)
