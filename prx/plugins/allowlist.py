"""`http_allowlist`: where a plugin may send requests, as origins and path prefixes, never compared as text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target
from prx.plugins.errors import LoadError

_EVERYTHING_BELOW: Final = "/*"
_MAX_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Allowlist:
    """The URLs that one plugin may ask for. An empty one allows nothing.

    An entry is a URL: scheme, host and port must be the same, and its path is a prefix in whole segments:
    `https://api.example.com/v1` allows `/v1` and `/v1/x`, not `/v10`. A final `/*` says the same and is the only
    wildcard: hosts are named one by one.
    """

    entries: tuple[Target, ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """Read the entries of a manifest.

        Raises:
            LoadError: one of them is no URL, or means less or more than it seems to; names it.
        """
        return cls(tuple(map(_entry, entries)))

    def covers(self, target: Target) -> bool:
        """Tell whether an entry allows `target`, or, of another entry, everything that it allows."""
        return any(_covers(entry, target) for entry in self.entries)

    def admit(self, target: Target) -> None:
        """Let a request to `target` go on.

        Raises:
            EgressRefusedError: no entry covers it; says which would.
        """
        if not self.covers(target):
            allowed = ", ".join(entry.shown for entry in self.entries[:_MAX_SHOWN]) or "nothing"
            more = " and more" if len(self.entries) > _MAX_SHOWN else ""
            raise EgressRefusedError(
                f"{target.shown} is not on the plugin's http_allowlist, which allows {allowed}{more}: add "
                f'"{target.origin}/" or a longer prefix of the URL to [permissions] http_allowlist in plugin.toml'
            )


NO_TARGETS: Final = Allowlist()


def _entry(text: str) -> Target:
    url = text.removesuffix("*") if text.endswith(_EVERYTHING_BELOW) else text
    if "*" in url:
        raise _unfit(
            text, 'a "*" stands only at the end, for everything below a path; name each host by itself'
        )
    if "?" in url or "#" in url:
        raise _unfit(text, "an entry ends with a path; leave out what begins with ? or #")
    try:
        return Target.parse(url)
    except EgressRefusedError as error:
        raise _unfit(text, error.message) from error


def _unfit(text: str, why: str) -> LoadError:
    return LoadError(f'plugin.toml: [permissions] http_allowlist: "{text}": {why}')


def _covers(entry: Target, target: Target) -> bool:
    if (entry.scheme, entry.host, entry.port) != (target.scheme, target.host, target.port):
        return False
    prefix = entry.path.rstrip("/")
    return target.path == prefix or target.path.startswith(f"{prefix}/")
