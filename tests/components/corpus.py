"""The components that tests run, kept as text: `specimens` behave, `hostile` ones attack the host.

The first line of each file says what it shows or attacks, the second, `;; Outcome:`, what a PRX host makes
of it: `runs`; `refused` at load; or the error code that its `run` (of a tool, `execute`) ends with.
`manifests` are hostile `plugin.toml` files; their second line, `# Refused:`, has words that the refusal contains.
"""

from functools import cache
from pathlib import Path
from typing import Literal

from wasmtime import wat2wasm

_ROOT = Path(__file__).parent
_OUTCOME = ";; Outcome: "
_REFUSED = "# Refused: "


@cache
def component(name: str) -> bytes:
    """Return the binary form of the file `name`.wat."""
    return bytes(wat2wasm(source(name)))


def outcome(name: str) -> str:
    """Return what the header of `name` says a host makes of it."""
    line = source(name).splitlines()[1]
    if not line.startswith(_OUTCOME):
        raise ValueError(f'{name}.wat: the second line is "{line}", not "{_OUTCOME}..."')
    return line.removeprefix(_OUTCOME)


def names(room: Literal["hostile", "specimens"]) -> list[str]:
    """Return the names of all components in `room`."""
    return sorted(path.stem for path in (_ROOT / room).glob("*.wat"))


def source(name: str) -> str:
    """Return the text of `name`.wat, whichever room it is in."""
    [path] = _ROOT.glob(f"*/{name}.wat")
    return path.read_text(encoding="utf-8")


def hostile_manifests() -> dict[str, tuple[str, str]]:
    """Return the text of each manifest that attacks the host, and the words that its refusal must contain, by name."""
    found = {}
    for path in sorted((_ROOT / "manifests").glob("*.toml")):
        text = path.read_text(encoding="utf-8")
        words = text.splitlines()[1]
        if not words.removeprefix(_REFUSED):
            raise ValueError(f'{path.name}: the second line is "{words}", not "{_REFUSED}..."')
        found[path.stem] = text, words.removeprefix(_REFUSED)
    return found
