"""Dotted keys: read as TOML reads them, written so that they are read again, and trees of them."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.config.keys import MAX_PARTS, at, dotted, holds, leaves, merged, parse_key

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
KEYS = st.lists(NAMES, min_size=1, max_size=MAX_PARTS).map(tuple)
TREES = st.recursive(
    st.integers(0, 3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
).filter(lambda tree: isinstance(tree, dict))


@given(key=KEYS)
def test_a_key_is_read_as_it_is_written_by_us_and_by_toml(key: tuple[str, ...]) -> None:
    text = dotted(key)
    assert parse_key(text) == key
    assert at(tomllib.loads(f"{text} = 1"), key) == 1


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("gateway.port", ("gateway", "port")),
        (' plugins . settings."my.plugin" .x', ("plugins", "settings", "my.plugin", "x")),
        ("a.'b\"c'.d-e", ("a", 'b"c', "d-e")),
        (r'"a\"b\u00e9"', ('a"bé',)),
        ('""', ("",)),
        ("a.1.b", ("a", "1", "b")),
    ],
)
def test_quotes_and_spaces_mean_what_they_mean_in_toml(text: str, key: tuple[str, ...]) -> None:
    assert parse_key(text) == key


NO_KEYS = ["", ".", "a.", ".a", "a..b", "a b", "ä", 'a."b', "a.'b", '"a\nb"', '"""a"""', r'"\x"', "a=1", "a#"]


@pytest.mark.parametrize("text", [*NO_KEYS, "a" + ".a" * MAX_PARTS])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # its message is for people; that of tomllib is as good
        parse_key(text)


@given(text=st.text(max_size=30))
def test_no_text_does_anything_but_parse_or_be_refused(text: str) -> None:
    try:
        key = parse_key(text)
    except ValueError:
        return
    assert parse_key(dotted(key)) == key


@given(below=TREES, above=TREES)
def test_the_upper_tree_wins_key_by_key(below: dict[str, object], above: dict[str, object]) -> None:
    result = merged(below, above)
    for key, value in leaves(above):
        if value != {}:
            assert at(result, key) == value
    for key, value in leaves(result):
        assert (holds(above, key) and at(above, key) == value) or at(below, key) == value
