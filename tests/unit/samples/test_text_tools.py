"""The work of the sample text-tools, without WebAssembly around it."""

import json
import runpy
import string
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

_SOURCE = Path(__file__).parents[3] / "plugins/text-tools/text_tools.py"
text_tools = SimpleNamespace(**runpy.run_path(str(_SOURCE)))

_TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
_FEW_LINES = st.text("ab\n\r\f", max_size=12)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("md5", "900150983cd24fb0d6963f7d28e17f72"),
    ],
)
def test_hashes_are_those_of_the_standards(algorithm: str, digest: str) -> None:
    assert text_tools.hash_text("abc", algorithm) == digest


@pytest.mark.parametrize(("algorithm", "digits"), [("sha512", 128), ("blake2b", 128)])
def test_longer_hashes_have_their_length(algorithm: str, digits: int) -> None:
    assert len(text_tools.hash_text("é", algorithm)) == digits


@given(text=_TEXTS, url_safe=st.booleans(), padded=st.booleans())
def test_base64_comes_back_as_the_text_it_was_made_of(text: str, *, url_safe: bool, padded: bool) -> None:
    encoded = text_tools.encode_base64(text, url_safe=url_safe)
    assert text_tools.decode_base64(encoded if padded else encoded.rstrip("=")) == text


def test_base64_may_be_broken_into_lines() -> None:
    assert text_tools.decode_base64("aMOp\nw6k/\r\n Pz4=") == "héé??>"


@pytest.mark.parametrize(
    ("encoded", "reason"),
    [
        ("a*bc", r"it contains '\*'"),
        ("abcde", "missing at its end"),
        ("abc==", "too many"),
        ("ab=c", "it contains '='"),
        ("/w==", "1 bytes that are not UTF-8"),
    ],
)
def test_what_is_not_base64_of_a_text_is_refused_with_the_reason(encoded: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        text_tools.decode_base64(encoded)


@given(value=_JSON, indent=st.none() | st.integers(0, 16), sort_keys=st.booleans())
def test_json_means_the_same_after_formatting(value: Any, indent: int | None, *, sort_keys: bool) -> None:
    formatted = text_tools.format_json(json.dumps(value), indent, sort_keys=sort_keys)
    assert json.loads(formatted) == value
    assert text_tools.format_json(formatted, indent, sort_keys=sort_keys) == formatted


def test_json_is_laid_out_with_the_indent_and_sorted_on_request() -> None:
    assert text_tools.format_json('{"b":[1],"a":{}}', 2, sort_keys=True) == (
        '{\n  "a": {},\n  "b": [\n    1\n  ]\n}'
    )
    assert text_tools.format_json('{ "b": [1, 2], "a": {} }', None, sort_keys=False) == '{"b":[1,2],"a":{}}'


def test_half_a_surrogate_pair_stays_an_escape() -> None:
    assert text_tools.format_json(r'"\ud83d\ude00 \uDC00"', None, sort_keys=False) == '"😀 \\udc00"'


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a":\n}', "Expecting value at line 2, column 1"),
        ("[NaN]", "NaN is not a JSON value"),
        ("[-1e999]", "-1e999 is too large"),
        ("1" * 4001, "4001 digits"),
        ('{"a":1,"b":2,"a":3}', 'key "a" appears more than once'),
        ("[" * 257 + "]" * 257, "more than 256 levels"),
        ("[" * 100_000, "more than 256 levels"),
    ],
)
def test_what_is_not_json_or_would_not_stay_the_same_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        text_tools.format_json(text, None, sort_keys=False)


def test_brackets_inside_strings_are_no_nesting() -> None:
    text = json.dumps("[" * 1000 + '"')
    assert text_tools.format_json(text, 2, sort_keys=False) == text


def test_an_indent_over_the_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="indent is 17, at most 16"):
        text_tools.format_json("{}", 17, sort_keys=False)


@pytest.mark.parametrize(
    ("text", "slug"),
    [
        ("Größe & Æsir — Łódź: “Don\u2019t” 2026!", "grosse-aesir-lodz-dont-2026"),
        ("  Hello,   World  ", "hello-world"),
        ("北京 map", "map"),
        ("½ of ﬁve", "1-2-of-five"),
    ],
)
def test_slugs_spell_letters_in_ascii(text: str, slug: str) -> None:
    assert text_tools.slugify(text, None) == slug


@given(st.text(min_size=1), st.integers(1, 40))
def test_slugs_hold_only_words_and_keep_to_the_length(text: str, limit: int) -> None:
    slug = text_tools.slugify(f"a{text}", limit)
    assert len(slug) <= limit
    assert set(slug) <= set(string.ascii_lowercase + string.digits + "-")
    assert all(slug.split("-"))


@pytest.mark.parametrize(("text", "limit"), [("北京", None), ("", None), ("abc", 0)])
def test_a_slug_of_nothing_is_refused(text: str, limit: int | None) -> None:
    with pytest.raises(ValueError, match=r"no letter or digit|max-length is 0"):
        text_tools.slugify(text, limit)


@given(_FEW_LINES, _FEW_LINES)
def test_a_diff_with_all_its_context_holds_both_texts(before: str, after: str) -> None:
    difference = text_tools.diff_texts(before, after, 100)
    if before == after:
        assert difference == (0, 0, 1.0, "")
    else:
        body = difference.unified.split("\n", 3)[3]
        assert (_side(body, " -"), _side(body, " +")) == (before, after)


def _side(body: str, signs: str) -> str:
    """Read one of the two texts back out of the body of a unified diff."""
    text, kept = "", False
    for line in body.split("\n")[:-1]:
        if line == "\\ No newline at end of file":
            text = text[:-1] if kept else text
        elif kept := line[0] in signs:
            text += line[1:] + "\n"
    return text


def test_a_diff_counts_and_shows_what_changed() -> None:
    difference = text_tools.diff_texts("a\nb\nc\nd\n", "a\nB\nc\nd\ne\n", 1)
    assert (difference.added_lines, difference.removed_lines) == (2, 1)
    assert difference.similarity == pytest.approx(2 * 3 / 9)
    assert difference.unified == "--- before\n+++ after\n@@ -1,4 +1,5 @@\n a\n-b\n+B\n c\n d\n+e\n"


def test_texts_without_a_line_in_common_are_not_similar() -> None:
    assert text_tools.diff_texts("a\n", "b\n", None).similarity == 0.0
