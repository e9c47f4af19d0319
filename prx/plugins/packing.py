"""Making packages: the same files give the same bytes, and what was made was read before it is there."""

import gzip
import hashlib
import os
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

from prx.core.errors import PrxError
from prx.plugins.errors import LoadError
from prx.plugins.files import MAX_WASM_BYTES, read_regular, refuse_links
from prx.plugins.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from prx.plugins.package import (
    CHECKSUMS_NAME,
    MAX_PACKAGE_BYTES,
    SIGNATURE_NAME,
    SKILLS,
    is_extra,
    open_package,
    package_name,
    read_package,
)


@dataclass(frozen=True, slots=True)
class Packed:
    """A package that was made."""

    path: Path
    names: list[str]
    """The files in it."""
    left_out: list[str]
    """What else lies at the top of the directory."""


def pack(directory: Path, output: Path | None = None) -> Packed:
    """Make a package of the plugin in `directory`: `output`, or `<name>-<version>.prxplugin` where one works.

    Raises:
        LoadError: the directory is no plugin, or does not make a package; says why.
        PrxError: the package cannot be written.
    """
    text = read_regular(directory / MANIFEST_NAME, MAX_MANIFEST_BYTES)
    manifest = parse_manifest(text)
    component = PurePosixPath(manifest.plugin.wasm).as_posix()
    files = {MANIFEST_NAME: text, component: _read(directory, component, MAX_WASM_BYTES)}
    for name in _extras(directory):
        files.setdefault(name, _read(directory, name, MAX_PACKAGE_BYTES))
    lines = (
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n"
        for name in sorted(files.keys() - {SIGNATURE_NAME})
    )
    files[CHECKSUMS_NAME] = "".join(lines).encode()
    path = output if output is not None else Path(package_name(manifest))
    _write(path, files)
    tops = {name.partition("/")[0] for name in files}
    return Packed(
        path, sorted(files), sorted(entry.name for entry in directory.iterdir() if entry.name not in tops)
    )


def replace_signature(path: Path, signature: bytes) -> None:
    """Put `signature` into the package at `path`, in place of the one that is there.

    Raises:
        LoadError: it is no whole package.
        PrxError: it cannot be written.
    """
    with open_package(path) as archive:
        files = {
            entry.name: b"".join(archive.content()) for entry in archive.entries() if not entry.directory
        }
    _write(path, files | {SIGNATURE_NAME: signature})


def _extras(directory: Path) -> Iterator[str]:
    for entry in directory.iterdir():
        if entry.name == SIGNATURE_NAME or (is_extra(entry.name) and not entry.is_dir()):
            yield entry.name
    for inside, _, names in os.walk(directory / SKILLS):
        for name in names:
            yield (Path(inside) / name).relative_to(directory).as_posix()


def _read(directory: Path, name: str, most: int) -> bytes:
    refuse_links(directory, directory / name)
    return read_regular(directory / name, most)


def _write(path: Path, files: dict[str, bytes]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(_archived(files))
        read_package(temporary)
        temporary.replace(path)
    except OSError as error:
        raise PrxError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _archived(files: dict[str, bytes]) -> bytes:
    packed = BytesIO()
    # Nothing in it tells when, where or by whom it was made.
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w|", format=tarfile.USTAR_FORMAT) as archive,
    ):
        # The manifest first: a scan reads no further.
        for name in sorted(files, key=lambda name: (name != MANIFEST_NAME, name)):
            about = tarfile.TarInfo(name)
            about.size = len(files[name])
            try:
                archive.addfile(about, BytesIO(files[name]))
            except ValueError as error:
                raise LoadError(f'the name "{name}" is too long for a package: shorten it') from error
    return packed.getvalue()
