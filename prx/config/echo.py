"""What of a wrong value an error message repeats: enough to know a slip of the pen by, nothing that may be a secret.

A secret is easily pasted beside its key, and messages go into logs, to `/status` and to whoever may read it.
"""

import json
import re
from typing import Any, Final

_MOST: Final = 32
_MOST_DIGITS: Final = 12
_BETWEEN: Final = re.compile(r"[ ._:/,+*()\[\]-]+", re.ASCII)
# What people write: words, and numbers with a unit. What mixes letters and digits, or goes on for long, they paste.
_WRITTEN: Final = re.compile(r"[a-z]{0,12}|[A-Z]{1,12}|[A-Z][a-z]{1,11}|[0-9]{1,5}[A-Za-z]{0,3}", re.ASCII)


def echo(value: Any) -> str:
    """Return `value` as JSON where it is short and plain, else what it is."""
    match value:
        case None | bool():
            return json.dumps(value)
        case int() | float():
            text = str(value)
            return text if len(text) <= _MOST_DIGITS else "a long number"
        case str() if len(value) <= _MOST and all(map(_WRITTEN.fullmatch, _BETWEEN.split(value))):
            return json.dumps(value)
        case str():
            return f"text of {len(value)} characters"
        case list():
            return "a list"
        case _:
            return "a table"
