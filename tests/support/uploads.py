"""Plugins on their way into a catalogue, as the API hands them over."""

from collections.abc import AsyncIterator
from pathlib import Path

from prx.plugins.catalogue import Plugin
from prx.plugins.installer import Part
from tests.support.plugin_host import PluginHost


async def install(host: PluginHost, *files: Path) -> tuple[Plugin, bool]:
    """Install `files` as one upload."""
    return await host.catalogue.install(parts(*((file.name, file.read_bytes()) for file in files)))


async def parts(*files: tuple[str, bytes]) -> AsyncIterator[Part]:
    """Give `files` as they would arrive."""
    for name, content in files:
        yield Part(name, _pieces(content))


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), 1000):
        yield content[at : at + 1000]
