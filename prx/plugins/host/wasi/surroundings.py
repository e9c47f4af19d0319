"""What else hands out streams or handles: stdio; terminals, files and sockets, of which there are none."""

from typing import Any, Final

from prx.plugins.abi.wit import EnumType, ListType, OptionType, ResultType, TupleType
from prx.plugins.calls import Call
from prx.plugins.host.wasi.functions import STRING, WasiFunction, borrow, function, own
from prx.plugins.host.wasi.resources import Resource, resources_of
from prx.plugins.host.wasi.streams import InputStream, OutputStream

_SOCKET_ERROR: Final = EnumType(
    (
        "unknown", "access-denied", "not-supported", "invalid-argument", "out-of-memory", "timeout",
        "concurrency-conflict", "not-in-progress", "would-block", "invalid-state", "new-socket-limit",
        "address-not-bindable", "address-in-use", "remote-unreachable", "connection-refused",
        "connection-reset", "connection-aborted", "datagram-too-large", "name-unresolvable",
        "temporary-resolver-failure", "permanent-resolver-failure",
    )
)  # fmt: skip
_FAMILY: Final = EnumType(("ipv4", "ipv6"))


class Network(Resource):
    """A network on which nothing is permitted."""

    resource = "network"


def _stdin(_call: Call) -> InputStream:
    return InputStream()


def _stdout(call: Call) -> OutputStream:
    return OutputStream(resources_of(call).stdout.add)


def _stderr(call: Call) -> OutputStream:
    return OutputStream(resources_of(call).stderr.add)


def _nothing(_call: Call, *_: Any) -> None:
    return None


def _no_directories(_call: Call) -> list[Any]:
    return []


def _network(_call: Call) -> Network:
    return Network()


def _denied(_call: Call, *_: Any) -> dict[str, str]:
    return {"err": "access_denied"}


FUNCTIONS: Final[list[WasiFunction]] = [
    function("wasi:cli/stdin", "get-stdin", {}, own("input-stream"), _stdin),
    function("wasi:cli/stdout", "get-stdout", {}, own("output-stream"), _stdout),
    function("wasi:cli/stderr", "get-stderr", {}, own("output-stream"), _stderr),
    *(
        function(f"wasi:cli/terminal-{stream}", f"get-terminal-{stream}", {}, OptionType(own(kind)), _nothing)
        for stream, kind in (
            ("stdin", "terminal-input"),
            ("stdout", "terminal-output"),
            ("stderr", "terminal-output"),
        )
    ),
    function(
        "wasi:filesystem/preopens",
        "get-directories",
        {},
        ListType(TupleType((own("descriptor"), STRING))),
        _no_directories,
    ),
    function("wasi:sockets/instance-network", "instance-network", {}, own("network"), _network),
    function(
        "wasi:sockets/ip-name-lookup",
        "resolve-addresses",
        {"network": borrow("network"), "name": STRING},
        ResultType(own("resolve-address-stream"), _SOCKET_ERROR),
        _denied,
    ),
    *(
        function(
            f"wasi:sockets/{kind}-create-socket",
            f"create-{kind}-socket",
            {"address-family": _FAMILY},
            ResultType(own(f"{kind}-socket"), _SOCKET_ERROR),
            _denied,
        )
        for kind in ("tcp", "udp")
    ),
]
