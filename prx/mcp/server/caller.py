"""Who asks `/mcp` for something, and what their token lets them have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from prx.core.errors import ForbiddenError

LIST: Final = "tools:read"
CALL: Final = "tools:write"


@dataclass(frozen=True, slots=True)
class Caller:
    """The token of one request, as the edge let it in."""

    token_id: str
    token_name: str
    scopes: frozenset[str]
    request_id: str
    still_admitted: Callable[[], bool]
    """Tells whether the token would be let in now: it may have been revoked or have expired."""

    @property
    def may_list(self) -> bool:
        """Whether it sees what there is."""
        return LIST in self.scopes

    @property
    def may_call(self) -> bool:
        """Whether it may call tools."""
        return CALL in self.scopes

    def lacks(self, scope: str) -> ForbiddenError:
        """Return the refusal that names the missing `scope`."""
        return ForbiddenError(f'Token "{self.token_name}" lacks the scope {scope}', details={"scope": scope})
