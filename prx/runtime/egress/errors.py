"""Why a request did not leave, or why its answer did not come back. No message holds a header's value or a query."""

from prx.core.errors import PrxError


class EgressError(PrxError):
    """An outgoing request that gave no answer."""

    code = "egress_failed"


class EgressRefusedError(EgressError):
    """The request is not allowed; the message says what would allow it."""

    code = "egress_refused"


class EgressTimeoutError(EgressError):
    """The answer was not complete in time."""

    code = "egress_timeout"


class EgressTooLargeError(EgressError):
    """The answer is larger than the caller takes."""

    code = "egress_too_large"
