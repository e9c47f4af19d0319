"""Whether a text names the bot, on platforms where a mention is nothing but its name."""

import re


def addressed(text: str, name: str) -> tuple[str, bool]:
    """Return a text without the bot's name before it, and whether that is anywhere in it as a word of its own."""
    escaped = re.escape(name)
    before = re.match(rf"@?{escaped}[:,]\s*", text, re.IGNORECASE)
    if before is not None and before.end() < len(text):
        return text[before.end() :], True
    return text, re.search(rf"(?<![\w-]){escaped}(?![\w-])", text, re.IGNORECASE) is not None
