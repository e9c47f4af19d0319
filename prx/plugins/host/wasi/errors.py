"""The `error-code` of `wasi:http`, and which of them stands for which refusal or failure of the guard."""

from typing import Any, Final

from prx.core.egress.errors import (
    EgressAddressError,
    EgressBrokenError,
    EgressCertificateError,
    EgressConnectionError,
    EgressConnectTimeoutError,
    EgressNameError,
    EgressRefusedError,
    EgressTimeoutError,
    EgressTlsError,
    EgressTooLargeError,
)
from prx.core.errors import PrxError
from prx.plugins.abi.wit import OptionType, Prim, RecordType, VariantType, WitType
from prx.plugins.host.http import MAX_BODY_BYTES

_TEXT: Final = OptionType(Prim.STRING)
_U32: Final = OptionType(Prim.U32)
_U64: Final = OptionType(Prim.U64)
_DNS: Final = RecordType((("rcode", _TEXT), ("info-code", OptionType(Prim.U16))))
_ALERT: Final = RecordType((("alert-id", OptionType(Prim.U8)), ("alert-message", _TEXT)))
_FIELD: Final = RecordType((("field-name", _TEXT), ("field-size", _U32)))

_CASES: Final[dict[str, WitType | None]] = {
    "DNS-timeout": None,
    "DNS-error": _DNS,
    "destination-not-found": None,
    "destination-unavailable": None,
    "destination-IP-prohibited": None,
    "destination-IP-unroutable": None,
    "connection-refused": None,
    "connection-terminated": None,
    "connection-timeout": None,
    "connection-read-timeout": None,
    "connection-write-timeout": None,
    "connection-limit-reached": None,
    "TLS-protocol-error": None,
    "TLS-certificate-error": None,
    "TLS-alert-received": _ALERT,
    "HTTP-request-denied": None,
    "HTTP-request-length-required": None,
    "HTTP-request-body-size": _U64,
    "HTTP-request-method-invalid": None,
    "HTTP-request-URI-invalid": None,
    "HTTP-request-URI-too-long": None,
    "HTTP-request-header-section-size": _U32,
    "HTTP-request-header-size": OptionType(_FIELD),
    "HTTP-request-trailer-section-size": _U32,
    "HTTP-request-trailer-size": _FIELD,
    "HTTP-response-incomplete": None,
    "HTTP-response-header-section-size": _U32,
    "HTTP-response-header-size": _FIELD,
    "HTTP-response-body-size": _U64,
    "HTTP-response-trailer-section-size": _U32,
    "HTTP-response-trailer-size": _FIELD,
    "HTTP-response-transfer-coding": _TEXT,
    "HTTP-response-content-coding": _TEXT,
    "HTTP-response-timeout": None,
    "HTTP-upgrade-failed": None,
    "HTTP-protocol-error": None,
    "loop-detected": None,
    "configuration-error": None,
    "internal-error": _TEXT,
}
ERROR_CODE: Final = VariantType(tuple(_CASES.items()))

DENIED: Final = "http_request_denied"
TOO_MANY: Final = "connection_limit_reached"
GIVEN_UP: Final = "connection_terminated"

# The first that fits counts: a class stands before the one that it is a kind of.
_CODES: Final[tuple[tuple[type[PrxError], Any], ...]] = (
    (EgressAddressError, "destination_ip_prohibited"),
    (EgressRefusedError, DENIED),
    (EgressConnectTimeoutError, "connection_timeout"),
    (EgressTimeoutError, "http_response_timeout"),
    (EgressTooLargeError, {"http_response_body_size": MAX_BODY_BYTES}),
    (EgressNameError, {"dns_error": {"rcode": None, "info_code": None}}),
    (EgressCertificateError, "tls_certificate_error"),
    (EgressTlsError, "tls_protocol_error"),
    (EgressConnectionError, "connection_refused"),
    (EgressBrokenError, "http_protocol_error"),
)


def code_of(error: PrxError) -> Any:
    """Return what a guest is told of `error`."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return {"internal_error": error.message}
