"""The reader of `SKILL.md`."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.agent.frontmatter import Frontmatter, FrontmatterError, parse_skill
from tests.support.skills import skill

WORDS = st.lists(st.text(string.ascii_letters + string.digits + string.punctuation + "äß漢🎲", min_size=1, max_size=9),
                 min_size=1, max_size=5).map(" ".join)  # fmt: skip
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", fullmatch=True)


def test_name_description_and_triggers_are_read() -> None:
    text = b"---\nname: code_review\ndescription: >\n  Review\n  it\ntriggers: [/review, review this]\n---\nDo it\n"
    assert parse_skill(text) == Frontmatter("code_review", "Review it", ("/review", "review this"), "Do it")


def test_texts_that_yaml_takes_for_other_values_stay_texts() -> None:
    text = b"---\nname: 0x10\ndescription: on\ntriggers:\n- no\n- 2026-01-01\n- 1e3\n---\nDo it\n"
    assert parse_skill(text) == Frontmatter("0x10", "on", ("no", "2026-01-01", "1e3"), "Do it")


def test_keys_of_other_programs_and_windows_line_ends_are_fine() -> None:
    text = skill("x").replace(b"name:", b"license: MIT\nmetadata: {a: [1, {b: c}]}\nname:", 1)
    assert parse_skill(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n")).name == "x"


@given(NAMES, WORDS, st.lists(WORDS, min_size=1, max_size=32))
def test_whatever_is_written_is_read_back(name: str, description: str, triggers: list[str]) -> None:
    # JSON is YAML: the quickest writer that is not the library's own.
    header = json.dumps({"name": name, "description": description, "triggers": triggers}, ensure_ascii=False)
    assert parse_skill(f"---\n{header}\n---\nDo it".encode()) == (name, description, tuple(triggers), "Do it")


@given(st.one_of(st.binary(), st.text().map(str.encode), st.text("-:[]{}&*!|>'\"%@,#? \t\nab0\\xuU").map(str.encode)),
       st.booleans())  # fmt: skip
def test_anything_else_is_refused_with_a_reason_that_can_be_shown(content: bytes, framed: bool) -> None:  # noqa: FBT001
    try:
        found = parse_skill(b"---\n" + content + b"\n---\nDo it" if framed else content)
    except FrontmatterError as error:
        assert str(error).isprintable()  # noqa: PT017  # the property
    else:
        assert all(text.isprintable() for text in (found.name, found.description, *found.triggers))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "begins without frontmatter"),
        (b"# Review\n", "begins without frontmatter"),
        (b"---\nname: x\n", "begins without frontmatter"),
        (b"\n---\nname: x\n---\nDo it", "begins without frontmatter"),
        (b"---\n---\nDo it", "is no mapping"),
        (b"---\n- x\n---\nDo it", "is no mapping"),
        (b"---\nname: [\n---\nDo it", "no valid YAML"),
        (b"---\nname: x\nname: y\n---\nDo it", "line 3: name is there twice"),
        (b"---\nname: x\nother: *nothing\n---\nDo it", "line 3: no valid YAML: found undefined alias"),
        (b"---\nname: " + b"[{" * 129 + b"\n---\nDo it", "more than 256 opening brackets"),
        (b"---\n" + b"- " * 4000 + b"\n---\nDo it", "no valid YAML, or nested too deeply"),
        (b'---\nname: "\\UFFFFFFFF"\n---\nDo it', "no valid YAML"),
        (b"---\nname: \x01\n---\nDo it", "no valid YAML"),
        (b"---\nx: " + b"a" * 9000 + b"\n---\nDo it", "has more than 8192 characters"),
        (b"---\nname: \xff\n---\nDo it", "line 2: not UTF-8 text"),
        (skill("x").partition(b"\n\n#")[0], "nothing stands behind the frontmatter"),
        (skill("''"), "name: expected"),
        (skill("../x"), "name: expected"),
        (skill("x" * 65), "name: expected"),
        (skill("[x]"), "name: expected"),
        (skill("x", ""), "description: expected"),
        (skill("x", '"\\ud800"'), "description: expected"),
        (skill("x", '"\\e[31m"'), "description: expected"),
        (skill("x", "a" * 1025), "description: expected"),
        (skill("x", triggers="/x"), "triggers: expected a list"),
        (skill("x", triggers="[]"), "triggers: expected a list"),
        (skill("x", triggers="[a, '']"), "triggers: expected a list"),
        (skill("x", triggers="[a, [b]]"), "triggers: expected a list"),
        (skill("x", triggers=str(["a"] * 33)), "triggers: expected a list"),
        (skill("x").replace(b"triggers:", b"trigers:"), "triggers: expected a list"),
    ],
    ids=range(30),
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(content: bytes, why: str) -> None:
    with pytest.raises(FrontmatterError) as caught:
        parse_skill(content)
    assert why in str(caught.value)


def test_aliases_and_tags_make_nothing() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdefgh", "bcdefghi", strict=True)
    )
    tagged = "evil: !!python/object/apply:os.abort []\n"
    content = skill("x").replace(b"name:", f"{bomb}{tagged}loop: &l [*l]\nname:".encode(), 1)
    assert parse_skill(content).name == "x"
