"""Outgoing requests of `wasi:http/types`, as guests put them together, and their bodies, collected until finished."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from weakref import WeakMethod

from prx.plugins.abi.wit import OptionType, ResultType, VariantType, WitType
from prx.plugins.calls import Call, current
from prx.plugins.host.http import MAX_BODY_BYTES
from prx.plugins.host.wasi.errors import ERROR_CODE, GIVEN_UP
from prx.plugins.host.wasi.fields import INTERFACE, Fields
from prx.plugins.host.wasi.functions import (
    DONE_OR_NOT,
    STRING,
    U64,
    ResourceFunctions,
    WasiFunction,
    own,
)
from prx.plugins.host.wasi.resources import Resource, Resources, resources_of
from prx.plugins.host.wasi.streams import OutputStream
from prx.runtime.egress.client import Patience

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}")
_PATH: Final = re.compile(r"[/?][^\s#]*")
_AUTHORITY: Final = re.compile(r"[^\s/?#@\\]+")
_SECOND: Final = 1_000_000_000

_Result = dict[str, Any]


class OutgoingBody(Resource):
    """A request's body; it is complete once the guest says so."""

    resource: ClassVar[str] = "outgoing-body"

    def __init__(self, resources: Resources, expected: list[bytes]) -> None:
        """Count against what `resources` hold; `expected` are the values of Content-Length."""
        self._resources = resources
        self._expected = expected
        self._data = bytearray()
        self._streamed = False
        self.complete = False
        self.failure: Any = None
        """The `error-code` for which it can never be complete."""
        self._then: Callable[[], Callable[[Call], None] | None] = lambda: None

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._data)

    def content(self) -> bytes | None:
        """Return it whole; `None` where it is empty."""
        return bytes(self._data) or None

    @property
    def is_settled(self) -> bool:
        """Whether nothing can change it any more."""
        return self.complete or self.failure is not None

    def when_settled(self, then: Callable[[Call], None]) -> None:
        """Call the method `then` once nothing can change it any more, unless its object has gone by then."""
        self._then = WeakMethod(then)

    def stream(self) -> _Result:
        """Return the one stream that writes it."""
        if self._streamed:
            return {"err": None}
        self._streamed = True
        return {"ok": OutputStream(self._accept, lambda: not self.complete)}

    def finish(self, call: Call, trailers: Fields | None) -> _Result:
        """Take no more and let the request go."""
        if trailers is not None and trailers.entries:
            self._fail(call, {"internal_error": "this host sends no trailers"}, "trailers are not sent")
        elif self.failure is None and self._expected and self._expected != [str(self.size).encode()]:
            told = self._expected[0][:20].decode()
            self._fail(
                call,
                {"http_request_body_size": self.size},
                f"{self.size} bytes, but Content-Length is {told}",
            )
        self.complete = True
        if self.failure is not None:
            return {"err": self.failure}
        self._settled(call)
        return {"ok": None}

    def dropped(self) -> None:
        """See `Resource.dropped`."""
        if self.failure is None:
            self._fail(current.call, GIVEN_UP, "it was dropped before it was finished")

    def _accept(self, data: bytes) -> None:
        if self.failure is not None:
            return  # written to nowhere: some guests end in the middle when a stream fails, and could tell nobody
        if self.size + len(data) > MAX_BODY_BYTES:
            code = {"http_request_body_size": self.size + len(data)}
            self._fail(current.call, code, f"at most {MAX_BODY_BYTES} bytes are sent")
            return
        self._resources.hold(self, len(data))
        self._data += data

    def _fail(self, call: Call, code: Any, why: str) -> None:
        call.owner.output.write("warn", f"a request is not sent for its body: {why}")
        self.failure = code
        self._data.clear()
        self._settled(call)

    def _settled(self, call: Call) -> None:
        if (then := self._then()) is not None:
            then(call)


@dataclass(slots=True, eq=False)
class OutgoingRequest(Resource):
    """A request that is not sent yet, in the values of WIT."""

    resource: ClassVar[str] = "outgoing-request"
    headers: Fields
    method: Any = "get"
    scheme: Any = None
    authority: str | None = None
    path: str | None = None
    body: OutgoingBody | None = None

    @property
    def verb(self) -> str:
        """The method as HTTP writes it."""
        return str(self.method["other"] if isinstance(self.method, dict) else self.method).upper()

    @property
    def url(self) -> str:
        """Where it goes; no URL at all where the guest left out what one needs."""
        scheme = self.scheme["other"] if isinstance(self.scheme, dict) else self.scheme or "https"
        return f"{scheme}://{self.authority or ''}{self.path or '/'}"


@dataclass(slots=True, eq=False)
class RequestOptions(Resource):
    """How long to wait for what, in nanoseconds."""

    resource: ClassVar[str] = "request-options"
    connect: int | None = None
    first_byte: int | None = None
    between_bytes: int | None = None

    def patience(self) -> Patience:
        """Return the same for the guard."""
        return Patience(*(None if wait is None else max(1, wait) / _SECOND for wait in (
            self.connect, self.first_byte, self.between_bytes)))  # fmt: skip


def _new_request(_call: Call, headers: Fields) -> OutgoingRequest:
    headers.fixed = True
    return OutgoingRequest(headers)


def _body(call: Call, request: OutgoingRequest) -> _Result:
    if request.body is not None:
        return {"err": None}
    request.body = OutgoingBody(resources_of(call), request.headers.values("content-length"))
    return {"ok": request.body}


def _get_headers(_call: Call, request: OutgoingRequest) -> Fields:
    return request.headers


def _set_method(_call: Call, request: OutgoingRequest, method: Any) -> _Result:
    if isinstance(method, dict) and not _METHOD.fullmatch(method["other"]):
        return {"err": None}
    request.method = method
    return {"ok": None}


def _set_scheme(_call: Call, request: OutgoingRequest, scheme: Any) -> _Result:
    if isinstance(scheme, dict) and not scheme["other"].isalnum():
        return {"err": None}
    request.scheme = scheme
    return {"ok": None}


def _set_authority(_call: Call, request: OutgoingRequest, authority: str | None) -> _Result:
    if authority is not None and not _AUTHORITY.fullmatch(authority):
        return {"err": None}
    request.authority = authority
    return {"ok": None}


def _set_path(_call: Call, request: OutgoingRequest, path: str | None) -> _Result:
    if path and not _PATH.fullmatch(path):
        return {"err": None}
    request.path = path
    return {"ok": None}


def _getter(name: str) -> Callable[..., Any]:
    return lambda _call, resource: getattr(resource, name)


def _duration_setter(name: str) -> Callable[..., Any]:
    def run(_call: Call, options: RequestOptions, duration: int | str | None) -> _Result:
        setattr(options, name, None if duration is None else int(duration))
        return {"ok": None}

    return run


def _write_body(_call: Call, body: OutgoingBody) -> _Result:
    return body.stream()


def _finish_body(call: Call, body: OutgoingBody, trailers: Fields | None) -> _Result:
    return body.finish(call, trailers)


def _new_options(_call: Call) -> RequestOptions:
    return RequestOptions()


METHOD: Final = VariantType(
    (
        *((name, None) for name in ("get", "head", "post", "put", "delete", "connect", "options", "trace", "patch")),
        ("other", STRING),
    )
)  # fmt: skip
SCHEME: Final = VariantType((("HTTP", None), ("HTTPS", None), ("other", STRING)))
_TEXT: Final = OptionType(STRING)
_FINISHED: Final = ResultType(None, ERROR_CODE)
_TRAILERS: Final = OptionType(own("fields"))
_WAIT: Final = OptionType(U64)

_request = ResourceFunctions(INTERFACE, "outgoing-request")
_options = ResourceFunctions(INTERFACE, "request-options")
_outgoing_body = ResourceFunctions(INTERFACE, "outgoing-body")


def _property(
    of: ResourceFunctions, name: str, wit_type: WitType, attribute: str, change: Callable[..., Any]
) -> tuple[WasiFunction, WasiFunction]:
    return (
        of.method(name, {}, wit_type, _getter(attribute)),
        of.method(f"set-{name}", {name: wit_type}, DONE_OR_NOT, change),
    )


FUNCTIONS: Final[list[WasiFunction]] = [
    _request.constructor({"headers": own("fields")}, _new_request),
    _request.method("body", {}, ResultType(own("outgoing-body"), None), _body),
    _request.method("headers", {}, own("fields"), _get_headers),
    *_property(_request, "method", METHOD, "method", _set_method),
    *_property(_request, "path-with-query", _TEXT, "path", _set_path),
    *_property(_request, "scheme", OptionType(SCHEME), "scheme", _set_scheme),
    *_property(_request, "authority", _TEXT, "authority", _set_authority),
    _options.constructor({}, _new_options),
    *_property(_options, "connect-timeout", _WAIT, "connect", _duration_setter("connect")),
    *_property(_options, "first-byte-timeout", _WAIT, "first_byte", _duration_setter("first_byte")),
    *_property(_options, "between-bytes-timeout", _WAIT, "between_bytes", _duration_setter("between_bytes")),
    _outgoing_body.method("write", {}, ResultType(own("output-stream"), None), _write_body),
    _outgoing_body.static(
        "finish", {"this": own("outgoing-body"), "trailers": _TRAILERS}, _FINISHED, _finish_body
    ),
]
