"""Which channel uses which account: two that poll with one token would take each other's messages."""

from collections.abc import Iterator
from contextlib import contextmanager

from prx.core.channel_errors import AccountInUseError


class Accounts:
    """The accounts that are connected. One is free again when the life that used it is over, not when it is told to."""

    def __init__(self) -> None:
        """Start with none in use."""
        self._users: dict[str, str] = {}

    @contextmanager
    def used_by(self, channel: str, account: str | None) -> Iterator[None]:
        """Have `channel` use an account for the length of the block; None is no account to take turns with.

        Raises:
            AccountInUseError: another channel uses it.
        """
        if account is None:
            yield
            return
        user = self._users.setdefault(account, channel)
        if user != channel:
            raise AccountInUseError(
                f'channel "{user}" is connected with the same account: give each its own, or disable one of them'
            )
        try:
            yield
        finally:
            del self._users[account]
