"""The skills that plugins bring: those in their directories and packages."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from prx.core.skill import MAX_SKILL_BYTES, MAX_SKILLS, SKILL_FILE, SkillFile, SkillShelf
from prx.core.text import printable
from prx.plugins.archive import Archive
from prx.plugins.errors import LoadError
from prx.plugins.package import SKILLS, open_package
from prx.plugins.plugin import Plugin
from prx.runtime.skill_directory import SkillDirectory

_SKILL: Final = re.compile(rf"{SKILLS}[^/.][^/]*/{re.escape(SKILL_FILE)}")


def skill_shelves(plugins: Iterable[Plugin]) -> Sequence[SkillShelf]:
    """Return where the skills of those plugins lie that serve from the files that are there now."""
    return [
        _shelf(plugin)
        for plugin in plugins
        # Files that did not load or were stepped back from must not speak for what runs instead of them.
        if plugin.status == "loaded"
        and plugin.fault is None
        and plugin.rolled_back is None
        and plugin.source.kind != "bare"
    ]


def _shelf(plugin: Plugin) -> SkillShelf:
    source, path = f"plugin:{plugin.name}", plugin.source.path
    return (
        PackedSkills(source, path)
        if plugin.source.kind == "package"
        else SkillDirectory(source, path / SKILLS)
    )


@dataclass(frozen=True, slots=True)
class PackedSkills:
    """The skills in one package; see `SkillShelf`."""

    source: str
    path: Path

    def stamp(self) -> tuple[int, ...]:
        """See `SkillShelf.stamp`."""
        try:
            info = os.lstat(self.path)
        except OSError as error:  # it was replaced just now
            return (error.errno or 0,)
        return info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns

    def read(self) -> list[SkillFile]:
        """See `SkillShelf.read`."""
        try:
            with open_package(self.path) as archive:
                return sorted(self._files(archive), key=lambda file: file.path)
        except LoadError as error:
            return [SkillFile(printable(self.path), fault=f"cannot be read: {error.message}")]

    def _files(self, archive: Archive) -> list[SkillFile]:
        found: list[SkillFile] = []
        for entry in archive.entries():
            if entry.directory or not _SKILL.fullmatch(entry.name):
                continue
            path = printable(f"{self.path}/{entry.name}")
            if entry.size > MAX_SKILL_BYTES:
                found.append(SkillFile(path, fault=f"is larger than {MAX_SKILL_BYTES >> 10} KiB: shorten it"))
            else:
                found.append(SkillFile(path, b"".join(archive.content())))
            if len(found) > MAX_SKILLS:
                break
        return found
