"""Slack's own way to write text: three characters stand for others, and what is between angle brackets is no text."""

import re
from typing import Final

_REFERENCE: Final = re.compile(r"<([^<>]*)>")
_MENTION: Final = re.compile(r"<@(\w+)(?:\|[^<>]*)?>[\s,:]*")


def escaped(text: str) -> str:
    """Return plain text as Slack has to be sent it: nothing of it is a reference, to everybody in a channel least."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def readable(text: str) -> str:
    """Return what a reader of a message sees: `<@U1>` is `@U1`, `<https://a.b|this>` is `this (https://a.b)`."""
    shown = _REFERENCE.sub(lambda found: _shown(found[1]), text)
    return shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def without_address(text: str, me: str) -> str:
    """Return a message without the mention of the bot that it begins with."""
    found = _MENTION.match(text)
    return text[found.end() :] if found is not None and found[1] == me else text


def mentions(text: str, user: str) -> bool:
    """Tell whether a message names `user`."""
    return any(found[1] == user for found in _MENTION.finditer(text))


def _shown(reference: str) -> str:
    target, _, label = reference.partition("|")
    if target.startswith("@"):
        return f"@{label or target[1:]}"
    if target.startswith("#"):
        return f"#{label or target[1:]}"
    if target.startswith("!"):
        return label or f"@{target[1:]}"
    return f"{label} ({target})" if label and label not in target else target
