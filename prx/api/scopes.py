"""What a token may do: scopes, and the roles that bundle them."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

from prx.core.errors import BadRequestError

Role = Literal["admin", "operator", "viewer"]

GROUPS: Final = (
    "sessions",
    "channels",
    "hooks",
    "mcp",
    "plugins",
    "skills",
    "status",
    "config",
    "logs",
    "tools",
    "events",
)
WILDCARD: Final = "*"
PLUGINS_ADMIN: Final = "plugins:admin"
"""Plugin install, removal and grants."""

ALL_SCOPES: Final = frozenset(f"{group}:{verb}" for group in GROUPS for verb in ("read", "write")) | {
    PLUGINS_ADMIN
}
ROLES: Final[Mapping[Role, frozenset[str]]] = {
    "admin": ALL_SCOPES,
    "operator": ALL_SCOPES - {"config:write", PLUGINS_ADMIN},
    "viewer": frozenset(scope for scope in ALL_SCOPES if scope.endswith(":read")),
}


def check_scopes(role: Role, scopes: Collection[str]) -> None:
    """Refuse what `granted` could not honour.

    Raises:
        BadRequestError: a scope does not exist, or lies beyond the role.
    """
    for scope in scopes:
        if scope != WILDCARD and scope not in ALL_SCOPES:
            known = ", ".join(sorted(ALL_SCOPES))
            raise BadRequestError(f'unknown scope "{scope}"; the scopes are {WILDCARD}, {known}')
        if not granted("admin", [scope]) <= ROLES[role]:
            raise BadRequestError(
                f'scope "{scope}" is beyond the role {role}; choose a wider role or leave the scope out'
            )


def granted(role: Role, scopes: Collection[str] | None) -> frozenset[str]:
    """Return every single scope that a token of `role`, narrowed to `scopes` where given, has."""
    if scopes is None or WILDCARD in scopes:
        return ROLES[role]
    return ROLES[role].intersection(scopes)
