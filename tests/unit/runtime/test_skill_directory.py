"""A directory of skills, read without a step outside of it."""

import os
from pathlib import Path

import pytest

from prx.core.skill import MAX_SKILL_BYTES, MAX_SKILLS, SkillFile
from prx.runtime.skill_directory import SkillDirectory
from tests.support.skills import put, skill


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "skills").mkdir()
    return tmp_path / "skills"


def test_what_has_a_skill_is_read_by_name_and_the_rest_left_alone(root: Path) -> None:
    second, first = put(root, "b"), put(root, "a", b"any content")
    put(root, ".git")
    (root / "README.md").touch()
    (root / "assets").mkdir()
    os.mkfifo(root / "pipe")
    found = SkillDirectory("workspace", root).read()
    assert found == [SkillFile(str(first), b"any content"), SkillFile(str(second), skill("b"))]


def test_a_directory_that_is_not_there_holds_none(tmp_path: Path) -> None:
    assert SkillDirectory("workspace", tmp_path / "none").read() == []


def test_links_pipes_and_large_files_are_refused_and_hide_nothing(root: Path, tmp_path: Path) -> None:
    outside = put(tmp_path / "outside", "secret")
    (root / "directory-link").symlink_to(outside.parent)
    for name in ("file-link", "piped", "folder"):
        (root / name).mkdir()
    (root / "file-link" / "SKILL.md").symlink_to(outside)
    os.mkfifo(root / "piped" / "SKILL.md")
    (root / "folder" / "SKILL.md").mkdir()
    put(root, "large", b"x" * (MAX_SKILL_BYTES + 1))
    put(root, "whole", b"x" * MAX_SKILL_BYTES)
    found = {Path(file.path).parent.name: file for file in SkillDirectory("workspace", root).read()}
    assert found["whole"].fault is None
    assert all(not file.content for name, file in found.items() if name != "whole")
    assert {name: file.fault for name, file in found.items() if file.fault} == {
        "directory-link": '"directory-link" is a symbolic link: put the directory itself there',
        "file-link": "is a symbolic link: put the file itself there",
        "folder": "is no regular file: put the file itself there",
        "piped": "is no regular file: put the file itself there",
        "large": "is larger than 64 KiB: shorten it",
    }


def test_a_linked_directory_is_read_only_where_it_may_be_one(root: Path, tmp_path: Path) -> None:
    put(root, "x")
    link = tmp_path / "link"
    link.symlink_to(root)
    [refused] = SkillDirectory("plugin:x", link).read()
    assert (refused.path, refused.fault) == (str(link), "cannot be read: Not a directory")
    [found] = SkillDirectory("workspace", link, may_be_link=True).read()
    assert found.fault is None


def test_a_name_that_a_terminal_would_obey_is_shown_escaped(root: Path) -> None:
    put(root, "\x1b[31m")
    put(root, os.fsdecode(b"\xff"), b"content")
    assert all(file.path.isprintable() for file in SkillDirectory("workspace", root).read())


def test_of_too_many_one_more_than_may_be_is_read(root: Path) -> None:
    for number in range(MAX_SKILLS + 5):
        put(root, f"{number:03}")
    assert len(SkillDirectory("workspace", root).read()) == MAX_SKILLS + 1


def test_the_stamp_changes_with_each_file_that_comes_changes_or_goes(root: Path) -> None:
    shelf = SkillDirectory("workspace", root)
    stamps = [shelf.stamp()]

    def changed() -> bool:
        stamps.append(shelf.stamp())
        return stamps[-1] not in stamps[:-1]

    path = put(root, "x")
    assert changed()
    path.write_bytes(b"other content")
    assert changed()
    assert not changed()
    path.unlink()
    assert changed()
    path.parent.rmdir()
    assert changed()
    root.rmdir()
    assert changed()
