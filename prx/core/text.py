"""Text that comes from elsewhere, made fit to be shown."""


def printable(value: object) -> str:
    """Return the text with everything escaped that a terminal would obey rather than show."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Do as `printable`, and keep the line breaks."""
    return "\n".join(map(printable, text.split("\n")))
