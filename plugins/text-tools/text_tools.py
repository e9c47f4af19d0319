"""The work behind the component: plain functions, which raise ValueError with words fit for the caller."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

import base64
import difflib
import hashlib
import json
import math
import re
import unicodedata
from collections import Counter
from typing import Any, NamedTuple, NoReturn

_MAX_INDENT = 16
_MAX_DEPTH = 256
_MAX_INTEGER_DIGITS = 4000
_DEFAULT_SLUG_LENGTH = 80
_DEFAULT_CONTEXT_LINES = 3
_HASHES = {
    "sha256": hashlib.sha256,
    "sha512": hashlib.sha512,
    "sha3-256": hashlib.sha3_256,
    "blake2b": hashlib.blake2b,
    "sha1": hashlib.sha1,
    "md5": hashlib.md5,
}
# Letters that Unicode does not take apart into an ASCII letter and a mark.
_TRANSLITERATED = str.maketrans(
    {"ß": "ss", "ẞ": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "đ": "d", "Đ": "d"}
    | {"ł": "l", "Ł": "l", "þ": "th", "Þ": "th", "ð": "d", "Ð": "d", "\u0131": "i", "'": "", "\u2019": ""}
)


class Difference(NamedTuple):
    """How one text becomes another."""

    added_lines: int
    removed_lines: int
    similarity: float
    unified: str


def hash_text(text: str, algorithm: str) -> str:
    """Return the hexadecimal digest of the text's UTF-8 bytes."""
    return _HASHES[algorithm](text.encode(), usedforsecurity=False).hexdigest()


def encode_base64(text: str, *, url_safe: bool) -> str:
    """Return the text's UTF-8 bytes in base64, padded."""
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    return encode(text.encode()).decode("ascii")


def decode_base64(encoded: str) -> str:
    """Return the text behind base64 of either alphabet, padded or not, white space ignored.

    Raises:
        ValueError: it is not base64, or what it holds is not UTF-8 text.
    """
    digits = "".join(encoded.split()).replace("-", "+").replace("_", "/")
    body = digits.rstrip("=")
    if (bad := re.search(r"[^A-Za-z0-9+/]", body)) is not None:
        raise ValueError(f"not base64: it contains {bad.group()!r}")
    if len(body) % 4 == 1 or len(digits) - len(body) > -len(body) % 4:
        raise ValueError("not base64: characters are missing at its end, or too many")
    data = base64.b64decode(body + "=" * (-len(body) % 4))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it decodes to {len(data)} bytes that are not UTF-8 text") from error


def format_json(text: str, indent: int | None, *, sort_keys: bool) -> str:
    """Return the same JSON laid out with `indent` spaces for each level, on one line without it.

    Raises:
        ValueError: it is not JSON, with the place where it stops being so; it holds a key twice or numbers
            or nesting beyond what this tool keeps exactly; or the indent is over 16.
    """
    if indent is not None and indent > _MAX_INDENT:
        raise ValueError(f"indent is {indent}, at most {_MAX_INDENT} are allowed")
    # Before parsing: a guest's stack ends long before Python's recursion limit, in a trap.
    if _depth(text) > _MAX_DEPTH:
        raise ValueError(f"the JSON is nested more than {_MAX_DEPTH} levels deep")
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_float=_float,
            parse_int=_integer,
        )
        laid_out = json.dumps(
            value, ensure_ascii=False, indent=indent, sort_keys=sort_keys, separators=separators
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
    # Half of a surrogate pair is legal in JSON as an escape, and only as one.
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half.group()):04x}", laid_out)


def slugify(text: str, max_length: int | None) -> str:
    """Return the words of `text` in lower-case ASCII, joined by `-` and cut at a word.

    Raises:
        ValueError: no letter or digit of the text has an ASCII form, or the length is 0.
    """
    limit = _DEFAULT_SLUG_LENGTH if max_length is None else max_length
    if limit == 0:
        raise ValueError("max-length is 0, it must be at least 1")
    decomposed = unicodedata.normalize("NFKD", text.translate(_TRANSLITERATED))
    ascii_text = "".join(char for char in decomposed if not unicodedata.combining(char)).lower()
    words = re.findall(r"[a-z0-9]+", ascii_text)
    if not words:
        raise ValueError("no letter or digit of the text has an ASCII form")
    slug = words[0][:limit]
    for word in words[1:]:
        if len(slug) + 1 + len(word) > limit:
            break
        slug += f"-{word}"
    return slug


def diff_texts(before: str, after: str, context_lines: int | None) -> Difference:
    """Compare two texts line by line."""
    old, new = _lines(before), _lines(after)
    context = _DEFAULT_CONTEXT_LINES if context_lines is None else context_lines
    unified = list(difflib.unified_diff(old, new, "before", "after", n=context))
    signs = Counter(line[0] for line in unified[2:])
    both = len(old) + len(new)
    return Difference(
        added_lines=signs["+"],
        removed_lines=signs["-"],
        similarity=2 * (len(old) - signs["-"]) / both if both else 1.0,
        unified="".join(
            line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in unified
        ),
    )


def _lines(text: str) -> list[str]:
    # Not splitlines(): a form feed or a Unicode separator ends no line for `patch`.
    return re.findall(r"[^\n]*\n|[^\n]+", text)


def _depth(json_text: str) -> int:
    deepest = level = 0
    for mark in re.findall(r'"[^"\\]*(?:\\.[^"\\]*)*"|[\[{]|[\]}]', json_text):
        if mark in "[{":
            level += 1
            deepest = max(deepest, level)
        elif mark in "]}":
            level -= 1
    return deepest


def _object(members: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(members)
    if len(value) < len(members):
        [(key, _)] = Counter(key for key, _ in members).most_common(1)
        raise ValueError(f"the key {json.dumps(key)} appears more than once in one object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"not JSON: {name} is not a JSON value")


def _float(digits: str) -> float:
    if not math.isfinite(number := float(digits)):
        raise ValueError(f"the number {digits} is too large")
    return number


def _integer(digits: str) -> int:
    if len(digits) > _MAX_INTEGER_DIGITS:
        raise ValueError(f"a number has {len(digits)} digits, at most {_MAX_INTEGER_DIGITS} are allowed")
    return int(digits)
