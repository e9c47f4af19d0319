"""A file on its way from a tool to a user."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is sent."""

    name: str
    media_type: str
    content: bytes
