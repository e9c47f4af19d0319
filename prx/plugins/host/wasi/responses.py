"""`wasi:http/outgoing-handler`, and what comes back: futures, responses and their bodies."""

from typing import Any, ClassVar, Final

from prx.core.errors import PrxError
from prx.plugins.abi.wit import OptionType, Prim, ResultType
from prx.plugins.calls import Call, GuestError
from prx.plugins.host.functions import check_permission
from prx.plugins.host.http import Answer, HttpOutbound, Sent
from prx.plugins.host.wasi.errors import DENIED, ERROR_CODE, TOO_MANY, code_of
from prx.plugins.host.wasi.fields import INTERFACE, Fields
from prx.plugins.host.wasi.functions import ResourceFunctions, WasiFunction, function, own
from prx.plugins.host.wasi.poll import Arrival, Pollable
from prx.plugins.host.wasi.requests import OutgoingRequest, RequestOptions
from prx.plugins.host.wasi.resources import Resource, Resources, resources_of
from prx.plugins.host.wasi.streams import InputStream
from prx.runtime.egress.client import PATIENT, Patience

HANDLER: Final = "wasi:http/outgoing-handler"
_PERMISSION: Final = "http-outbound"
_MAX_UNDER_WAY: Final = 16

_Result = dict[str, Any]


class FutureResponse(Resource):
    """One request from when it is handed over; it leaves once its body is complete."""

    resource: ClassVar[str] = "future-incoming-response"

    def __init__(
        self, http: HttpOutbound, resources: Resources, request: OutgoingRequest, patience: Patience
    ) -> None:
        """Wait for the body of `request`."""
        self._http = http
        self._resources = resources
        self._request = request
        self._patience = patience
        self._sent: Sent | None = None
        self._failure: Any = None
        self._taken = False

    def begin(self, call: Call) -> None:
        """Send it, now that its body is complete; or fail with it."""
        body = self._request.body
        if body is not None and body.failure is not None:
            self._failure = body.failure
            return
        if len(self._resources.under_way) >= _MAX_UNDER_WAY:
            self.fail(
                call, TOO_MANY, f"{_MAX_UNDER_WAY} requests of the call are under way, and no more at once"
            )
            return
        try:
            self._sent = self._http.send(
                call,
                self._request.verb,
                self._request.url,
                self._request.headers.as_text(),
                body.content() if body is not None else None,
                self._patience,
            )
        except PrxError as error:
            self.fail(call, code_of(error), error.message)
            return
        self._resources.under_way.add(self._sent)
        self._sent.when_done(self._resources.woken.set)

    def has_come(self) -> bool:
        """Tell whether there is an answer or an error."""
        return self._failure is not None or (self._sent is not None and self._sent.done)

    def take(self, call: Call) -> _Result | None:
        """Return the answer or the error, once; `None` while there is neither."""
        if self._taken:
            return {"err": None}
        if not self.has_come():
            return None
        self._taken = True
        answer = None
        if self._sent is not None:
            self._resources.under_way.discard(self._sent)
            try:
                answer = self._sent.answer()
            except PrxError as error:
                self.fail(call, code_of(error), error.message)
        if answer is None:
            return {"ok": {"err": self._failure}}
        return {"ok": {"ok": IncomingResponse(self._resources, answer)}}

    def dropped(self) -> None:
        """See `Resource.dropped`."""
        if self._sent is not None:
            self._resources.under_way.discard(self._sent)
            self._sent.cancel()

    def fail(self, call: Call, code: Any, why: str) -> None:
        """End it with `code`, of which the plugin's author finds the reason in its log."""
        call.owner.output.write("warn", f"{self._request.verb} failed: {why}")
        self._failure = code


class IncomingResponse(Resource):
    """An answer; all of it is here."""

    resource: ClassVar[str] = "incoming-response"

    def __init__(self, resources: Resources, answer: Answer) -> None:
        """Keep `answer` on behalf of a guest."""
        self.status = answer.status
        self.headers = Fields(((name, value.encode()) for name, value in answer.headers), fixed=True)
        self._stream: InputStream | None = InputStream(answer.body)
        resources.hold(self.headers, 0)
        resources.hold(self._stream, 0)

    def consume(self) -> _Result:
        """Return the body, once."""
        if self._stream is None:
            return {"err": None}
        body, self._stream = IncomingBody(self._stream), None
        return {"ok": body}


class IncomingBody(Resource):
    """The body of an answer."""

    resource: ClassVar[str] = "incoming-body"

    def __init__(self, stream: InputStream) -> None:
        """Be read from `stream`."""
        self._stream: InputStream | None = stream

    def stream(self) -> _Result:
        """Return the one stream that reads it."""
        if self._stream is None:
            return {"err": None}
        stream, self._stream = self._stream, None
        return {"ok": stream}


class FutureTrailers(Resource):
    """The trailers of an answer: the guard passes none on."""

    resource: ClassVar[str] = "future-trailers"
    _taken = False

    def take(self) -> _Result:
        """Return that there are none, once."""
        if self._taken:
            return {"err": None}
        self._taken = True
        return {"ok": {"ok": None}}


def _handle(
    http: HttpOutbound, call: Call, request: OutgoingRequest, options: RequestOptions | None
) -> _Result:
    patience = options.patience() if options is not None else PATIENT
    future = FutureResponse(http, resources_of(call), request, patience)
    try:
        check_permission(call, _PERMISSION, f"{HANDLER}.handle")
    except GuestError as denied:
        # Through the future, like every other failure: guests expect none here, and `fetch` could not tell of it.
        future.fail(call, DENIED, denied.message)
        return {"ok": future}
    body = request.body
    if body is None or body.is_settled:
        future.begin(call)
    else:
        body.when_settled(future.begin)
    return {"ok": future}


def _get(call: Call, future: FutureResponse) -> _Result | None:
    return future.take(call)


def _subscribe(_call: Call, future: FutureResponse) -> Arrival:
    return Arrival(future.has_come)


def _status(_call: Call, response: IncomingResponse) -> int:
    return response.status


def _headers(_call: Call, response: IncomingResponse) -> Fields:
    return response.headers


def _consume(_call: Call, response: IncomingResponse) -> _Result:
    return response.consume()


def _stream(_call: Call, body: IncomingBody) -> _Result:
    return body.stream()


def _finish(_call: Call, _body: IncomingBody) -> FutureTrailers:
    return FutureTrailers()


def _get_trailers(_call: Call, trailers: FutureTrailers) -> _Result:
    return trailers.take()


def _subscribe_trailers(_call: Call, _trailers: FutureTrailers) -> Pollable:
    return Pollable()


_TRAILERS: Final = ResultType(OptionType(own("fields")), ERROR_CODE)
_RESPONSE: Final = ResultType(own("incoming-response"), ERROR_CODE)

_future = ResourceFunctions(INTERFACE, "future-incoming-response")
_trailers = ResourceFunctions(INTERFACE, "future-trailers")
_response = ResourceFunctions(INTERFACE, "incoming-response")
_incoming_body = ResourceFunctions(INTERFACE, "incoming-body")

FUNCTIONS: Final[list[WasiFunction]] = [
    _future.method("subscribe", {}, own("pollable"), _subscribe),
    _future.method("get", {}, OptionType(ResultType(_RESPONSE, None)), _get),
    _response.method("status", {}, Prim.U16, _status),
    _response.method("headers", {}, own("fields"), _headers),
    _response.method("consume", {}, ResultType(own("incoming-body"), None), _consume),
    _incoming_body.method("stream", {}, ResultType(own("input-stream"), None), _stream),
    _incoming_body.static("finish", {"this": own("incoming-body")}, own("future-trailers"), _finish),
    _trailers.method("subscribe", {}, own("pollable"), _subscribe_trailers),
    _trailers.method("get", {}, OptionType(ResultType(_TRAILERS, None)), _get_trailers),
]


def handler(http: HttpOutbound) -> WasiFunction:
    """Return the function that sends requests, through `http`."""

    def run(call: Call, request: OutgoingRequest, options: RequestOptions | None) -> _Result:
        return _handle(http, call, request, options)

    return function(
        HANDLER,
        "handle",
        {"request": own("outgoing-request"), "options": OptionType(own("request-options"))},
        ResultType(own("future-incoming-response"), ERROR_CODE),
        run,
    )
