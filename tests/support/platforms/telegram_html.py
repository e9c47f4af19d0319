"""How Telegram reads `parse_mode` HTML: a few tags, properly nested, or no message at all."""

from html.parser import HTMLParser
from typing import Final

TAGS: Final = frozenset(
    (
        *("a", "b", "strong", "i", "em", "u", "ins", "s", "strike", "del", "span"),
        *("code", "pre", "blockquote", "tg-spoiler", "tg-emoji"),
    )
)
ENTITIES: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}


class EntityError(ValueError):
    """A text that Telegram does not take; the message is Telegram's."""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag not in TAGS:
            raise EntityError(f'Unsupported start tag "{tag}" at byte offset {self._offset()}')
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open:
            raise EntityError(f"Unexpected end tag at byte offset {self._offset()}")
        if self.open.pop() != tag:
            raise EntityError(f"Unmatched end tag at byte offset {self._offset()}")

    def handle_data(self, data: str) -> None:
        if "<" in data:
            raise EntityError(f"Can't parse entities: unescaped < at byte offset {self._offset()}")
        self.text += data

    def handle_entityref(self, name: str) -> None:
        self.text += ENTITIES.get(name, f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.text += chr(int(name[1:], 16) if name[0] in "xX" else int(name))

    def _offset(self) -> int:
        return self.getpos()[1]


def plain(html: str) -> str:
    """Return what a reader sees of `html`.

    Raises:
        EntityError: Telegram would refuse it.
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    if reader.open:
        raise EntityError(f'Can\'t find end tag corresponding to start tag "{reader.open[-1]}"')
    return reader.text
