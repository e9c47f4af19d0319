"""Where a request goes: a URL taken apart once, in the one form that is checked, matched and sent."""

import re
from dataclasses import dataclass, replace
from ipaddress import IPv6Address
from typing import Final, Self
from urllib.parse import quote, unquote, urljoin

from prx.core.egress.addresses import Host, parse_host
from prx.core.egress.errors import EgressRefusedError

_MAX_CHARS: Final = 8192
_MAX_PORT: Final = 65535
_MAX_LAYERS: Final = 8
_PORTS: Final = {"http": 80, "https": 443}
_SCHEME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_URL: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#.*)?")
_AUTHORITY: Final = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{0,5}))?")
_UNFIT: Final = re.compile(r"[\x00-\x20\x7f-\x9f\\\ud800-\udfff]")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PATH_SAFE: Final = "/%:@!$&'()*+,;="
_QUERY_SAFE: Final = _PATH_SAFE + "?"
_SEPARATORS: Final = re.compile(r"[/\\]")
_INVISIBLE: Final = "".join(map(chr, range(33)))


@dataclass(frozen=True, slots=True)
class Target:
    """An http or https URL without userinfo and fragment; two spellings of one URL are equal."""

    scheme: str
    host: Host
    port: int
    path: str
    """Normalised: dot segments removed, unreserved characters unescaped, begins with `/`."""
    query: str | None = None

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take `url` apart.

        Raises:
            EgressRefusedError: it is no plain http or https URL; says what is wrong with it.
        """
        if len(url) > _MAX_CHARS:
            raise EgressRefusedError(f"a URL of {len(url)} characters: {_MAX_CHARS} are allowed")
        if found := _UNFIT.search(url):
            raise EgressRefusedError(f"the URL holds the character {found[0]!r}: escape it with %")
        match = _URL.fullmatch(url)
        if match is None:
            raise EgressRefusedError("the URL is not absolute: begin it with https:// and a host")
        scheme, authority, path, query = match[1].lower(), match[2], match[3], match[4]
        if scheme not in _PORTS:
            raise EgressRefusedError(f'the URL\'s scheme is "{scheme}": only http and https leave this host')
        host, port = _host_and_port(authority, _PORTS[scheme])
        return cls(scheme, host, port, _normal_path(path), _normal_query(query))

    def follow(self, location: str) -> Self:
        """Return where a redirect from here to `location` leads.

        Raises:
            EgressRefusedError: as `parse`.
        """
        # urljoin drops some of the characters that `parse` refuses.
        if found := _UNFIT.search(location):
            raise EgressRefusedError(f"the redirect's location holds the character {found[0]!r}")
        # An absolute one is taken as it is: urljoin reads http:path as relative, as no standard says any more.
        return self.parse(location if _SCHEME.match(location) else urljoin(str(self), location))

    def with_query(self, query: str | None) -> Self:
        """Return the same place with another query.

        Raises:
            EgressRefusedError: the query holds what no URL can.
        """
        return replace(self, query=_normal_query(query))

    @property
    def is_literal(self) -> bool:
        """Whether the host is an address rather than a name."""
        return not isinstance(self.host, str)

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port, as the Host header has them."""
        host = f"[{self.host}]" if isinstance(self.host, IPv6Address) else str(self.host)
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """Scheme and authority."""
        return f"{self.scheme}://{self.authority}"

    @property
    def shown(self) -> str:
        """The URL for messages and logs: without its query, which may hold a credential."""
        return self.origin + self.path

    def __str__(self) -> str:
        """Return the whole URL."""
        return self.shown if self.query is None else f"{self.shown}?{self.query}"


def _host_and_port(authority: str, default: int) -> tuple[Host, int]:
    if "@" in authority:
        raise EgressRefusedError("the URL holds a user name: send credentials in the Authorization header")
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise EgressRefusedError(f"the URL's host {authority!r} is no host: write IPv6 addresses in brackets")
    if not match[1]:
        raise EgressRefusedError("the URL has no host")
    port = int(match[2]) if match[2] else default
    if not 0 < port <= _MAX_PORT:
        raise EgressRefusedError(f"the URL's port is {match[2]}: a port is 1 to {_MAX_PORT}")
    return parse_host(match[1]), port


def _normal_path(path: str) -> str:
    segments: list[str] = []
    parts = _escaped(path, _PATH_SAFE).split("/")[1:]
    for part in parts:
        if part == "..":
            del segments[-1:]
        elif part != ".":
            segments.append(part)
    if parts and parts[-1] in {".", ".."}:
        segments.append("")
    normal = "/" + "/".join(segments)
    if _hides_dots(normal):
        raise EgressRefusedError("the URL's path hides a dot segment behind an escape: write the path itself")
    return normal


def _normal_query(query: str | None) -> str | None:
    if not query:
        return None
    if found := _UNFIT.search(query):
        raise EgressRefusedError(f"the URL's query holds the character {found[0]!r}: escape it with %")
    return _escaped(query, _QUERY_SAFE)


def _escaped(text: str, safe: str) -> str:
    """Return `text` with exactly what must be escaped escaped, so that equal ones are spelled alike."""

    def canonical(match: re.Match[str]) -> str:
        if match[1] is None:
            raise EgressRefusedError("the URL holds a % that begins no escape: write it as %25")
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else f"%{match[1].upper()}"

    return quote(_ESCAPE.sub(canonical, text), safe=safe)


def _hides_dots(path: str) -> bool:
    """Tell whether a server that unescapes more than once, or drops path parameters, may climb out of `path`."""
    for _ in range(_MAX_LAYERS):
        segments = (part.partition(";")[0].strip(_INVISIBLE) for part in _SEPARATORS.split(path))
        if any(segment in {".", ".."} for segment in segments):
            return True
        plain = unquote(path, errors="replace")
        if plain == path:
            return False
        path = plain
    return True
