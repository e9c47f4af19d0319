"""What tools gave back for the user during a turn: pictures, sounds and other files, as many as an answer takes."""

import base64
from collections.abc import Sequence
from typing import Any, Final

from prx.core.file import File, fit_media_type, fit_name, suffix_of
from prx.core.tool import ToolFile

MAX_FILES: Final = 10
MAX_BYTES: Final = 16 * 1024 * 1024
"""Of the files of one answer together."""
_KINDS: Final = ("image", "audio", "video")


class Files:
    """Those of one turn. Each counts once, however often tools give it back."""

    def __init__(self) -> None:
        """Start with none."""
        self._kept: list[File] = []
        self._left_out: list[str] = []
        self._more = 0
        self._room = MAX_BYTES

    @property
    def kept(self) -> Sequence[File]:
        """Those that go out with the answer."""
        return tuple(self._kept)

    @property
    def left_out(self) -> Sequence[str]:
        """The names of those that do not, each with the reason; where they are many, how many more there are."""
        return (*self._left_out, f"{self._more} more") if self._more else tuple(self._left_out)

    def add(self, file: ToolFile) -> None:
        """Keep what a tool gave back, where there is room."""
        name, media_type = _about(file)
        try:
            # What is too long is not even decoded.
            content = base64.b64decode(file.data, validate=True) if self._fits(file.data) else None
        except ValueError:
            self._leave_out(f"{name} ({media_type}): what the tool gave is no base64")
            return
        if content is None:
            limits = f"an answer has at most {MAX_FILES} files, of {MAX_BYTES} bytes in all"
            self._leave_out(f"{name} ({media_type}): {limits}")
        elif not any(each.content == content for each in self._kept):
            self._room -= len(content)
            self._kept.append(File(name=self._free(name), media_type=media_type, content=content))

    def _fits(self, data: str) -> bool:
        # Base64 has four characters for three bytes, of which up to two are padding.
        return len(self._kept) < MAX_FILES and len(data) // 4 * 3 <= self._room + 2

    def _leave_out(self, what: str) -> None:
        if len(self._left_out) >= MAX_FILES:
            self._more += 1
        elif what not in self._left_out:
            self._left_out.append(what)

    def _free(self, name: str) -> str:
        """Return a name that no other file of the turn has."""
        taken = {each.name for each in self._kept}
        stem, dot, suffix = name.rpartition(".") if "." in name else (name, "", "")
        names = (name, *(f"{stem}-{number}{dot}{suffix}" for number in range(2, MAX_FILES + 2)))
        return next(each for each in names if each not in taken)


def without(output: Any, files: Sequence[ToolFile]) -> Any:
    """Return a tool's output with each of `files` named in place of what is in it, which no model could read."""
    named = {file.data: "[file {} ({})]".format(*_about(file)) for file in files if file.data}
    return _replaced(output, named) if named else output


def _replaced(value: Any, named: dict[str, str]) -> Any:
    if isinstance(value, str):
        return named.get(value, value)
    if isinstance(value, list):
        return [_replaced(each, named) for each in value]
    if isinstance(value, dict):
        return {key: _replaced(each, named) for key, each in value.items()}
    return value


def _about(file: ToolFile) -> tuple[str, str]:
    """Return name and media type of a file."""
    media_type = fit_media_type(file.media_type)
    kind = media_type.partition("/")[0]
    name = fit_name(file.name) or f"{kind if kind in _KINDS else 'file'}{suffix_of(media_type)}"
    return name, media_type
