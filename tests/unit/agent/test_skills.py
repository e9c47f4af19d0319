"""The skills of several places as one list, with what is wrong told and nothing else hidden."""

from pathlib import Path

import pytest

from prx.agent.skills import Skills, builtin_skills
from prx.core.skill import MAX_SKILLS
from prx.runtime.skill_directory import SkillDirectory
from tests.support.skills import looking, put, skill
from tests.support.waiting import eventually


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
def skills(tmp_path: Path, workspace: Path) -> Skills:
    plugins = [SkillDirectory(f"plugin:{name}", tmp_path / name) for name in ("one", "two")]
    return Skills(lambda: [SkillDirectory("workspace", workspace), *plugins, builtin_skills()])


def shown(skills: Skills) -> dict[str, str]:
    return {skill.name: skill.source for skill in skills.list()}


async def test_workspace_goes_before_plugins_and_plugins_before_builtin(
    tmp_path: Path, workspace: Path, skills: Skills
) -> None:
    put(tmp_path / "one", "summarize")
    put(tmp_path / "one", "forecast")
    put(workspace, "forecast")
    async with looking(skills):
        expected = {"code_review": "builtin", "forecast": "workspace", "summarize": "plugin:one"}
        assert shown(skills) == expected
        assert not list(skills.problems())


async def test_one_name_twice_on_the_same_level_is_told(
    tmp_path: Path, workspace: Path, skills: Skills
) -> None:
    put(tmp_path / "one", "forecast")
    put(tmp_path / "two", "forecast")
    put(workspace, "a", skill("same"))
    put(workspace, "b", skill("same"))
    async with looking(skills):
        assert (shown(skills)["forecast"], shown(skills)["same"]) == ("plugin:one", "workspace")
        reasons = [problem.reason for problem in skills.problems()]
        assert [str(tmp_path / "two") in reasons[1], str(workspace / "b") in reasons[0]] == [True, True]
        assert all("already: rename one of the two" in reason for reason in reasons)


async def test_a_bad_skill_is_a_problem_until_it_is_mended_and_hides_no_other(
    workspace: Path, skills: Skills
) -> None:
    put(workspace, "good")
    path = put(workspace, "bad", b"no frontmatter")
    async with looking(skills):
        [problem] = skills.problems()
        assert (problem.unit, str(path) in problem.reason) == ("agent.skills", True)
        assert set(shown(skills)) == {"code_review", "good", "summarize"}
        put(workspace, "worse", b"\xff")
        await eventually(lambda: len(list(skills.problems())) == 2)
        assert problem in skills.problems(), "it began when it began"
        put(workspace, "bad")
        put(workspace, "worse")
        await eventually(lambda: not list(skills.problems()))
        assert {"bad", "good", "worse"} < set(shown(skills))


async def test_skills_beyond_the_most_that_there_may_be_are_told(
    tmp_path: Path, workspace: Path, skills: Skills
) -> None:
    for number in range(MAX_SKILLS - 1):
        put(workspace, f"w{number:03}")
    put(tmp_path / "one", "last")
    put(tmp_path / "two", "too-many")
    async with looking(skills):
        assert len(skills.list()) == MAX_SKILLS
        assert shown(skills)["last"] == "plugin:one"
        [problem] = skills.problems()
        assert str(tmp_path / "two" / "too-many") in problem.reason


async def test_many_bad_skills_are_told_in_few_lines(workspace: Path, skills: Skills) -> None:
    for number in range(50):
        put(workspace, f"bad{number}", b"bad")
    async with looking(skills):
        problems = list(skills.problems())
        assert (len(problems), problems[-1].reason) == (32, "19 more skills cannot be used")
        assert set(shown(skills)) == {"code_review", "summarize"}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("do it", "short"),
        ("DO  it, please", "short"),
        ("do it again and again", "long"),
        ("do items", None),
        ("please do it", None),
        ("/do", "short"),
        ("/dont", None),
        ("[Ada (1)]: /do", "short"),
        ("[do it]: what?", None),
        ("", None),
    ],
)
async def test_a_message_asks_for_a_skill_by_the_words_that_it_begins_with(
    workspace: Path, skills: Skills, message: str, found: str | None
) -> None:
    put(workspace, "short", skill("short"))
    put(workspace, "long", skill("long", triggers="[do it again]"))
    async with looking(skills):
        triggered = skills.triggered_by(message)
        assert (triggered and triggered.name) == found


async def test_instructions_are_those_of_the_file_as_it_is_now(workspace: Path, skills: Skills) -> None:
    path = put(workspace, "short", skill("short"))
    put(workspace, "bad", b"no frontmatter")
    async with looking(skills):
        triggered = skills.triggered_by("do it")
        assert triggered is not None
        assert await skills.instructions(triggered) == "# short\n\nDo it well."
        path.write_bytes(skill("short").replace(b"well", b"better"))
        assert await skills.instructions(triggered) == "# short\n\nDo it better."
        path.unlink()
        assert await skills.instructions(triggered) is None
