"""Why a request did not leave, or why its answer did not come back. No message holds a header's value or a query."""

from prx.core.errors import PrxError


class EgressError(PrxError):
    """An outgoing request that gave no answer."""

    code = "egress_failed"


class EgressRefusedError(EgressError):
    """The request is not allowed; the message says what would allow it."""

    code = "egress_refused"


class EgressAddressError(EgressRefusedError):
    """The host stands for an address that requests may not go to."""

    code = "egress_address"


class EgressTimeoutError(EgressError):
    """The answer was not complete in time."""

    code = "egress_timeout"


class EgressConnectTimeoutError(EgressTimeoutError):
    """There was no connection in time."""

    code = "egress_connect_timeout"


class EgressTooLargeError(EgressError):
    """The answer is larger than the caller takes."""

    code = "egress_too_large"


class EgressNameError(EgressError):
    """The host's name stands for nothing, or nobody can say for what."""

    code = "egress_name"


class EgressConnectionError(EgressError):
    """Nothing took the connection."""

    code = "egress_connection"


class EgressTlsError(EgressError):
    """The two sides did not agree on TLS."""

    code = "egress_tls"


class EgressCertificateError(EgressTlsError):
    """The server is not who it should be."""

    code = "egress_certificate"


class EgressBrokenError(EgressError):
    """The connection ended too early, or what came over it is not HTTP."""

    code = "egress_broken"
