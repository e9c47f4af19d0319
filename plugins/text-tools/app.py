"""The component's exports: text_tools.py in the types that its WIT interface asks for."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

from collections.abc import Iterator
from contextlib import contextmanager

import text_tools
from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.text_tools import Algorithm, Alphabet, Difference


@contextmanager
def _errors_for_the_caller() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise Err(str(error)) from error


class TextTools(exports.TextTools):
    """One method for each function of `samples:text-tools/text-tools`."""

    def hash_text(self, text: str, algorithm: Algorithm) -> str:
        return text_tools.hash_text(text, algorithm.name.lower().replace("_", "-"))

    def encode_base64(self, text: str, alphabet: Alphabet | None) -> str:
        return text_tools.encode_base64(text, url_safe=alphabet is Alphabet.URL_SAFE)

    def decode_base64(self, encoded: str) -> str:
        with _errors_for_the_caller():
            return text_tools.decode_base64(encoded)

    def format_json(self, json: str, indent: int | None, sort_keys: bool | None) -> str:  # noqa: FBT001  # as the WIT says
        with _errors_for_the_caller():
            return text_tools.format_json(json, indent, sort_keys=bool(sort_keys))

    def slugify(self, text: str, max_length: int | None) -> str:
        with _errors_for_the_caller():
            return text_tools.slugify(text, max_length)

    def diff_texts(self, before: str, after: str, context_lines: int | None) -> Difference:
        return Difference(*text_tools.diff_texts(before, after, context_lines))
