"""What a chat platform, or the way to it, refuses; see `ChannelAdapter`."""

from prx.core.errors import PermanentError, PrxError, UnavailableError


class AuthenticationError(PermanentError):
    """The platform does not know the token, or the account may not connect: nothing is tried again."""

    code = "authentication"


class AccountInUseError(UnavailableError):
    """Another connection of the same account is there, and the platform allows one."""

    code = "account_in_use"


class ThrottledError(PrxError):
    """The platform wants no more for a while."""

    code = "throttled"

    def __init__(self, message: str, *, retry_after_secs: float) -> None:
        """Keep after how many seconds the platform said it can be tried again."""
        super().__init__(message)
        self.retry_after_secs = retry_after_secs


class MarkupRefusedError(PrxError):
    """The platform cannot read the markup of a text."""

    code = "markup_refused"


class UndeliverableError(PrxError):
    """A message can never be delivered where it is to go."""

    code = "undeliverable"


class FileTooLargeError(UndeliverableError):
    """A file has more bytes than may be."""

    code = "file_too_large"
