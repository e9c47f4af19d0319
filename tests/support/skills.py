"""Skills as their authors write them, and the unit that keeps up with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from prx.agent.skills import Skills
from tests.support.waiting import PATIENCE_SECS


def skill(name: str, description: str = "Does it", triggers: str = "[/do, do it]") -> bytes:
    """Return the text of a skill."""
    header = f"name: {name}\ndescription: {description}\ntriggers: {triggers}\n"
    return f"---\n{header}---\n\n# {name}\n\nDo it well.\n".encode()


def put(directory: Path, name: str, content: bytes | None = None) -> Path:
    """Write `directory/name/SKILL.md`, in one step as editors do."""
    path = directory / name / "SKILL.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(".SKILL.md.new")
    temporary.write_bytes(skill(name) if content is None else content)
    return temporary.rename(path)


@asynccontextmanager
async def looking(skills: Skills) -> AsyncIterator[Skills]:
    """Run the unit for the length of the block, which begins once it serves."""
    serving = asyncio.Event()
    unit = asyncio.ensure_future(skills.run(serving.set))
    try:
        async with asyncio.timeout(PATIENCE_SECS):
            await serving.wait()
        yield skills
    finally:
        unit.cancel()
        await asyncio.wait({unit}, timeout=PATIENCE_SECS)
    assert unit.cancelled(), "the unit ended by itself"
