"""Whether a URI may be made of a template: every one that was made is, and looking takes no time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.mcp.server.passing import _fits

_PLAIN = st.text(st.characters(exclude_characters="{}"), max_size=8)


@given(st.lists(_PLAIN, min_size=1, max_size=6), st.data())
def test_what_was_made_of_a_template_fits_it(literals: list[str], data: st.DataObject) -> None:
    template = literals[0]
    uri = literals[0]
    for number, literal in enumerate(literals[1:]):
        template += f"{{v{number}}}{literal}"
        uri += data.draw(_PLAIN) + literal
    assert _fits(uri, template)


@pytest.mark.parametrize(
    ("uri", "template"),
    [
        ("a/1/b", "a/{x}/c"),
        ("a/1/b", "b/{x}/b"),
        ("a/b", "a/{x}b/b"),
        ("ab", "ab{x}b"),
        ("a", "b"),
        ("a", 3),
        ("a" * 10_000, "{v}x" * 5_000),
    ],
)
def test_what_was_not_does_not(uri: str, template: object) -> None:
    assert not _fits(uri, template)
