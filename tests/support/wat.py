"""Components written for one test."""

from functools import cache

from wasmtime import wat2wasm


@cache
def binary(text: str) -> bytes:
    """Return the binary form of a component's text."""
    return bytes(wat2wasm(text))


def importing_http(text: str) -> str:
    """Return the same component with an import of `wasi:http`: it then gets its streams from the host itself."""
    return text.replace("(component", '(component (import "wasi:http/types@0.2.3" (instance))', 1)
