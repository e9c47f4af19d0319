"""Every skill by name, kept up with the files that they are: a unit."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from prx.agent.frontmatter import FrontmatterError, parse_skill
from prx.core.ids import now_utc
from prx.core.skill import MAX_SKILLS, Skill, SkillShelf
from prx.core.speaker import without_speaker
from prx.core.unit import Problem
from prx.runtime.logging import get_logger
from prx.runtime.skill_directory import SkillDirectory

# A look is a few stats.
_LOOK_SECS: Final = 1.0
_MAX_PROBLEMS: Final = 32
# More than the longest trigger has, with room for blanks in between.
_MAX_TRIGGER_CHARS: Final = 512

_log = get_logger("agent::skills")


class _Shelved(NamedTuple):
    """One shelf, as it was read."""

    stamp: Hashable
    skills: tuple[tuple[str, Skill], ...]
    """Each with the path of its file."""
    faults: tuple[str, ...]
    """What is wrong with the files that are no skills."""


class Skills:
    """The skills of all sources. A file that is none is a problem to show, and hides no other."""

    name = "agent.skills"

    def __init__(self, shelves: Callable[[], Sequence[SkillShelf]]) -> None:
        """Read nothing yet; `shelves` is asked at each look. Of two skills with one name the earlier shelf's counts."""
        self._shelves = shelves
        self._read: dict[SkillShelf, _Shelved] = {}
        self._skills: dict[str, Skill] = {}
        self._problems: dict[str, Problem] = {}

    async def run(self, started: Callable[[], None]) -> None:
        """See `Unit.run`."""
        await self._look()
        started()
        while True:
            await asyncio.sleep(_LOOK_SECS)
            await self._look()

    def list(self) -> Sequence[Skill]:
        """Return every skill, by name."""
        return [self._skills[name] for name in sorted(self._skills)]

    def triggered_by(self, message: str) -> Skill | None:
        """Return the skill that a message asks for by what it begins with; the longest trigger counts.

        What it says of its speaker does not count.
        """
        begins = " ".join(without_speaker(message)[:_MAX_TRIGGER_CHARS].split()).casefold()
        best: tuple[int, Skill] | None = None
        for skill in self.list():
            for trigger in map(str.casefold, skill.triggers):
                if _begins(begins, trigger) and (best is None or len(trigger) > best[0]):
                    best = len(trigger), skill
        return None if best is None else best[1]

    async def instructions(self, skill: Skill) -> str | None:
        """Return what a skill tells the model, as its file is now; None where that has gone meanwhile."""
        shelves = [shelf for shelf in self._read if shelf.source == skill.source]
        return await asyncio.to_thread(_instructions, shelves, skill.name)

    def problems(self) -> Iterable[Problem]:
        """Return why the daemon is degraded because of skills."""
        return self._problems.values()

    async def _look(self) -> None:
        read = await asyncio.to_thread(_read, self._shelves(), self._read)
        if read == self._read and list(read) == list(self._read):
            return
        self._read = read
        self._skills, faults = _merged(read.values())
        if len(faults) > _MAX_PROBLEMS:
            faults[_MAX_PROBLEMS - 1 :] = [f"{len(faults) - _MAX_PROBLEMS + 1} more skills cannot be used"]
        for fault in faults:
            if fault not in self._problems:
                _log.warning("a skill cannot be used", reason=fault)
        self._problems = {fault: self._problems.get(fault) or self._problem(fault) for fault in faults}

    def _problem(self, fault: str) -> Problem:
        return Problem(self.name, fault, now_utc(), "mend or remove the file: it is read again by itself")


def builtin_skills() -> SkillShelf:
    """Return the skills that PRX ships."""
    return SkillDirectory("builtin", Path(__file__).with_name("builtin_skills"), may_be_link=True)


def _read(shelves: Sequence[SkillShelf], before: Mapping[SkillShelf, _Shelved]) -> dict[SkillShelf, _Shelved]:
    """Look at the shelves in their order, until they hold as many skills as there may be."""
    found: dict[SkillShelf, _Shelved] = {}
    room = MAX_SKILLS
    for shelf in shelves:
        stamp, known = shelf.stamp(), before.get(shelf)
        found[shelf] = known if known is not None and known.stamp == stamp else _shelved(shelf, stamp)
        room -= len(found[shelf].skills)
        if room < 0:
            break
    return found


def _shelved(shelf: SkillShelf, stamp: Hashable) -> _Shelved:
    skills, faults = [], []
    for path, content, fault in shelf.read():
        if fault is not None:
            faults.append(f"{path} {fault}")
            continue
        try:
            name, description, triggers, _ = parse_skill(content)
        except FrontmatterError as error:
            faults.append(f"{path}: {error}")
        else:
            skills.append((path, Skill(name, shelf.source, description, triggers)))
    return _Shelved(stamp, tuple(skills), tuple(faults))


def _instructions(shelves: Iterable[SkillShelf], name: str) -> str | None:
    for shelf in shelves:
        for _, content, fault in shelf.read():
            if fault is None:
                with suppress(FrontmatterError):
                    found = parse_skill(content)
                    if found.name == name:
                        return found.instructions
    return None


def _begins(text: str, trigger: str) -> bool:
    """Tell whether `text` begins with the words of `trigger`, rather than with a part of a longer word."""
    rest = text.removeprefix(trigger)
    return len(rest) < len(text) and not (rest[:1].isalnum() and trigger[-1].isalnum())


def _merged(shelves: Iterable[_Shelved]) -> tuple[dict[str, Skill], list[str]]:
    """Return the skills that count, by name, and what is wrong with others."""
    merged: dict[str, Skill] = {}
    faults: list[str] = []
    everything = [entry for shelf in shelves for entry in shelf.skills]
    for path, skill in everything[:MAX_SKILLS]:
        there = merged.setdefault(skill.name, skill)
        if there is not skill and _kind(there) == _kind(skill):
            faults.append(f'{path}: {there.source} has a skill "{skill.name}" already: rename one of the two')
    if len(everything) > MAX_SKILLS:
        path = everything[MAX_SKILLS][0]
        faults.append(f"{path} and what comes after it: there may be {MAX_SKILLS} skills, remove some")
    return merged, [fault for shelf in shelves for fault in shelf.faults] + faults


def _kind(skill: Skill) -> str:
    return skill.source.partition(":")[0]
