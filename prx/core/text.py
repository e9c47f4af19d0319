"""Text that comes from elsewhere, made fit to be shown."""


def well_formed(text: str) -> str:
    """Return a text that every encoding takes: halves of surrogate pairs put together, single ones replaced.

    JSON may hold such halves, and a model's answer may be cut between two.
    """
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def printable(value: object) -> str:
    """Return the text with everything escaped that a terminal would obey rather than show."""
    text = str(value)
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def printable_lines(text: str) -> str:
    """Do as `printable`, and keep the line breaks."""
    return "\n".join(map(printable, text.split("\n")))
