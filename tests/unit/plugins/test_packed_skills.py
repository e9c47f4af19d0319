"""Skills inside packages."""

import gzip
from pathlib import Path

from prx.core.skill import MAX_SKILL_BYTES, MAX_SKILLS, SkillFile
from prx.plugins.skills import PackedSkills
from tests.support.packages import archive
from tests.support.skills import skill


def shelf(tmp_path: Path, **files: bytes) -> PackedSkills:
    path = tmp_path / "x.prxplugin"
    path.write_bytes(gzip.compress(archive(files)))
    return PackedSkills("plugin:x", path)


def test_the_skills_of_a_package_are_read_from_it_by_name(tmp_path: Path) -> None:
    packed = shelf(tmp_path, **{
        "skills/b/SKILL.md": skill("b"), "README.md": b"no", "skills/SKILL.md": b"no", "skills/a/notes.md": b"no",
        "skills/a/b/SKILL.md": b"no", "skills/.a/SKILL.md": b"no", "skills/a/SKILL.md": skill("a"),
    })  # fmt: skip
    assert packed.read() == [
        SkillFile(f"{packed.path}/skills/{name}/SKILL.md", skill(name)) for name in ("a", "b")
    ]


def test_a_large_skill_is_refused_and_hides_no_other(tmp_path: Path) -> None:
    large, whole = b"x" * (MAX_SKILL_BYTES + 1), b"x" * MAX_SKILL_BYTES
    first, second = shelf(tmp_path, **{"skills/a/SKILL.md": large, "skills/b/SKILL.md": whole}).read()
    assert (first.content, first.fault) == (b"", "is larger than 64 KiB: shorten it")
    assert (second.content, second.fault) == (whole, None)


def test_of_too_many_one_more_than_may_be_is_read(tmp_path: Path) -> None:
    packed = shelf(tmp_path, **{f"skills/{number}/SKILL.md": b"x" for number in range(MAX_SKILLS + 5)})
    assert len(packed.read()) == MAX_SKILLS + 1


def test_a_package_that_is_damaged_or_gone_is_told(tmp_path: Path) -> None:
    packed = shelf(tmp_path)
    before = packed.stamp()
    packed.path.write_bytes(b"damaged")
    assert packed.stamp() != before
    [damaged] = packed.read()
    assert "damaged" in (damaged.fault or "")
    packed.path.unlink()
    assert packed.stamp() == (2,)
    [gone] = packed.read()
    assert "No such file" in (gone.fault or "")
