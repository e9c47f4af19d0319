"""Packages as an author makes them, and as an attacker would."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.components.corpus import component

MANIFEST = '[plugin]\nname = "{name}"\nversion = "{version}"\n'


def contents(
    name: str, version: str = "1.2.0", *, wasm: bytes | None = None, more: str = ""
) -> dict[str, bytes]:
    """Return the files of a package, checksums included; `wasm` defaults to the corpus's echo."""
    manifest = MANIFEST.format(name=name, version=version) + more
    files = {"plugin.toml": manifest.encode(), "plugin.wasm": component("echo") if wasm is None else wasm}
    return files | {"checksums.sha256": checksums(files)}


def checksums(files: Mapping[str, bytes]) -> bytes:
    """Return what `sha256sum` prints of `files`."""
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()


def archive(files: Mapping[str, bytes], extra: Iterable[tarfile.TarInfo] = (), **options: int) -> bytes:
    """Return a tar of `files`, then of `extra` entries without content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", **options) as tar:  # type: ignore[call-overload]
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
        for about in extra:
            tar.addfile(about)
    return packed.getvalue()


def package(
    directory: Path, name: str, version: str = "1.2.0", *, wasm: bytes | None = None, more: str = ""
) -> Path:
    """Put a package into `directory` in one step and return it."""
    path = directory / f"{name}-{version}.prxplugin"
    temporary = directory / f".{path.name}"
    temporary.write_bytes(gzip.compress(archive(contents(name, version, wasm=wasm, more=more))))
    return temporary.rename(path)
