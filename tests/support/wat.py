"""Components written for one test."""

from functools import cache

from wasmtime import wat2wasm


@cache
def binary(text: str) -> bytes:
    """Return the binary form of a component's text."""
    return bytes(wat2wasm(text))
