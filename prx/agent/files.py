"""What tools gave back for the user during a turn: pictures, sounds and other files, as many as an answer takes."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from prx.core.file import File, fit_media_type, fit_name, suffix_of

MAX_FILES: Final = 10
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of the files of one answer together."""


class _Found(NamedTuple):
    """A file in the result of a tool, not decoded yet."""

    name: str
    media_type: str
    data: str
    """In base64."""


class Files:
    """Those of one turn. Each counts once, however often tools give it back."""

    def __init__(self) -> None:
        """Start with none."""
        self._kept: list[File] = []
        self._left_out: list[str] = []
        self._room = MAX_BYTES

    @property
    def kept(self) -> Sequence[File]:
        """Those that go out with the answer."""
        return tuple(self._kept)

    @property
    def left_out(self) -> Sequence[str]:
        """The names of some that do not, each with the reason."""
        return tuple(self._left_out)

    def add(self, result: Mapping[str, Any]) -> None:
        """Keep what an MCP server's `CallToolResult` has for the user, where there is room."""
        for found in _found(result):
            self._add(found)

    def _add(self, found: _Found) -> None:
        about = f"{found.name} ({found.media_type})"
        try:
            # Base64 has four characters for three bytes; what is too long is not even decoded.
            content = base64.b64decode(found.data, validate=True) if self._fits(found.data) else None
        except ValueError:
            self._leave_out(f"{about}: what the tool gave is no base64")
            return
        if content is None:
            self._leave_out(f"{about}: an answer has at most {MAX_FILES} files, of {MAX_BYTES} bytes in all")
        elif not any(each.content == content for each in self._kept):
            self._room -= len(content)
            self._kept.append(File(name=self._free(found.name), media_type=found.media_type, content=content))

    def _fits(self, data: str) -> bool:
        return len(self._kept) < MAX_FILES and len(data) // 4 * 3 <= self._room + 2

    def _leave_out(self, what: str) -> None:
        if what not in self._left_out and len(self._left_out) < MAX_FILES:
            self._left_out.append(what)

    def _free(self, name: str) -> str:
        """Return a name that no other file of the turn has."""
        taken = {each.name for each in self._kept}
        stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
        names = (name, *(f"{stem}-{number}{dot}{suffix}" for number in range(2, MAX_FILES + 2)))
        return next(each for each in names if each not in taken)


def _found(result: Mapping[str, Any]) -> Iterator[_Found]:
    """Yield the files of a result; none of what is not for the user. A text is one only where it says that it is."""
    content = result.get("content")
    for block in content if isinstance(content, list) else ():
        match block:
            case {"annotations": {"audience": [*audience]}} if "user" not in audience:
                continue
            case {"type": "image" | "audio" as kind, "data": str(data)}:
                media_type = fit_media_type(block.get("mimeType"))
                yield _Found(kind + suffix_of(media_type), media_type, data)
            case {"type": "resource", "resource": {"blob": str(data), **about}}:
                yield _resource(about, data)
            case {
                "type": "resource",
                "annotations": {"audience": _},
                "resource": {"text": str(text), **about},
            }:
                yield _resource(about, base64.b64encode(text.encode(errors="replace")).decode())


def _resource(about: Mapping[Any, Any], data: str) -> _Found:
    media_type = fit_media_type(about.get("mimeType"))
    return _Found(_name(about.get("uri"), media_type), media_type, data)


def _name(uri: Any, media_type: str) -> str:
    """Return the last part of a resource's address, where that is a name."""
    try:
        path = urlsplit(uri).path if isinstance(uri, str) else ""
    except ValueError:
        path = ""
    return fit_name(unquote(path.rpartition("/")[2])) or f"file{suffix_of(media_type)}"
