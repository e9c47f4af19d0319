"""What a version of a plugin asks for, and how much of it a grant covers."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from prx.plugins.allowlist import NO_TARGETS, Allowlist
from prx.plugins.directories import Directory, Entry, find
from prx.plugins.manifest import MAX_LISTED, Manifest, Permissions

LISTED: Final = ("http-outbound", "filesystem", "env")
"""Permissions that are only as wide as a list in the manifest."""


@dataclass(frozen=True, slots=True)
class Entries:
    """A part of what a manifest lists, in the terms in which it takes effect."""

    targets: Allowlist = NO_TARGETS
    directories: tuple[Directory, ...] = ()
    variables: tuple[str, ...] = ()

    def named(self, permission: str) -> tuple[str, ...]:
        """Return the entries that belong to `permission`, as a grant remembers them."""
        match permission:
            case "http-outbound":
                return tuple(target.shown for target in self.targets.entries)
            case "filesystem":
                return tuple(str(directory.real) for directory in self.directories)
            case "env":
                return self.variables
            case _:
                return ()

    def covered(self, permission: str, covers: Sequence[str] | None) -> "Entries":
        """Return the entries of `permission` that a grant of `covers` allows; `None` is a grant of all.

        An entry is also covered by a wider one: to ask for less needs no consent.
        """
        match permission:
            case "http-outbound":
                granted = self.targets if covers is None else Allowlist.parse(covers)
                return Entries(targets=Allowlist(tuple(filter(granted.covers, self.targets.entries))))
            case "filesystem":
                entries = None if covers is None else [Entry.parse(text) for text in covers]
                return Entries(directories=tuple(d for d in self.directories if _has(entries, d.real)))
            case "env":
                names = self.variables if covers is None else covers
                return Entries(variables=tuple(name for name in self.variables if name in names))
            case _:
                return NOTHING

    def __or__(self, other: "Entries") -> "Entries":
        """Return both together."""
        return Entries(
            Allowlist((*self.targets.entries, *other.targets.entries)),
            (*self.directories, *other.directories),
            (*self.variables, *other.variables),
        )


NOTHING: Final = Entries()


@dataclass(frozen=True, slots=True)
class Asked:
    """What the newest files of a plugin, or those of one generation, ask for."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    entries: Entries = NOTHING
    faults: tuple[str, ...] = ()
    """Why some directories cannot be given, whatever is granted."""

    @classmethod
    def of(cls, manifest: Manifest | None, private: Iterable[Path]) -> Self:
        """Look up on this machine what `manifest` asks for; blocks on the file system.

        `private` are directories that no guest may see.
        """
        asked = manifest.permissions if manifest is not None else Permissions()
        found = find(asked.filesystem_allowlist, private)
        return cls(
            tuple(dict.fromkeys(asked.required)),
            tuple(dict.fromkeys(asked.optional)),
            Entries(Allowlist.parse(asked.http_allowlist), found.directories, tuple(asked.env_allowlist)),
            found.faults,
        )

    @property
    def permissions(self) -> frozenset[str]:
        """Everything that it asks for."""
        return frozenset((*self.required, *self.optional))

    def shown(self, permission: str) -> tuple[str, ...]:
        """Return the entries of `permission` for people: a directory also with the place where it really lies."""
        if permission == "filesystem":
            return tuple(directory.shown for directory in self.entries.directories)
        return self.entries.named(permission)

    def consent(self, permission: str, before: Sequence[str]) -> tuple[str, ...] | None:
        """Return what a grant of `permission` covers from now on, `before` included; `None` where it has no list.

        What was granted for an older version stays: the plugin may have to step back to it.
        """
        if permission not in LISTED:
            return None
        return tuple(dict.fromkeys((*self.entries.named(permission), *before)))[:MAX_LISTED]


NOTHING_ASKED: Final = Asked()


def _has(entries: Sequence[Entry] | None, wanted: Entry) -> bool:
    return entries is None or any(entry.covers(wanted) for entry in entries)
