"""`wasi:io/streams`: everything is there at once or taken at once, so no stream ever waits, and none fails."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from prx.plugins.abi.wit import ResultType, VariantType, WitType
from prx.plugins.calls import Call
from prx.plugins.host.wasi.functions import (
    BYTES,
    U64,
    ResourceFunctions,
    WasiFunction,
    borrow,
    own,
)
from prx.plugins.host.wasi.poll import Pollable
from prx.plugins.host.wasi.resources import Resource, misused

INTERFACE: Final = "wasi:io/streams"
CHUNK: Final = 64 * 1024
"""What a stream gives or takes at once."""


class InputStream(Resource):
    """Bytes that are read once."""

    resource: ClassVar[str] = "input-stream"

    def __init__(self, data: bytes = b"") -> None:
        """Begin at the beginning of `data`."""
        self._data = data
        self._at = 0

    @property
    def size(self) -> int:
        """How many bytes are kept."""
        return len(self._data)

    def take(self, length: int) -> bytes | None:
        """Return the next bytes, at most `length`; `None` at the end."""
        if self._at >= len(self._data):
            self._data = b""
            return None
        chunk = self._data[self._at : self._at + min(length, CHUNK)]
        self._at += len(chunk)
        return chunk


class OutputStream(Resource):
    """Hands everything on at once."""

    resource: ClassVar[str] = "output-stream"

    def __init__(self, accept: Callable[[bytes], None], is_open: Callable[[], bool] = lambda: True) -> None:
        """Write to `accept` while `is_open` says so."""
        self._accept = accept
        self._is_open = is_open

    def check(self) -> dict[str, Any]:
        """Return how much may be written at once."""
        return {"ok": CHUNK} if self._is_open() else {"err": "closed"}

    def write(self, data: bytes) -> dict[str, Any]:
        """Write all of `data`.

        Raises:
            GuestError: it is more than `check` said.
        """
        if len(data) > CHUNK:
            raise misused(f"writes {len(data)} bytes to a stream at once, where {CHUNK} are permitted")
        if "err" in (refused := self.check()):
            return refused
        self._accept(data)
        return {"ok": None}


def _read(_call: Call, stream: InputStream, length: int | str) -> dict[str, Any]:
    chunk = stream.take(int(length))
    return {"err": "closed"} if chunk is None else {"ok": chunk}


def _skip(_call: Call, stream: InputStream, length: int | str) -> dict[str, Any]:
    chunk = stream.take(int(length))
    return {"err": "closed"} if chunk is None else {"ok": len(chunk)}


def _check_write(_call: Call, stream: OutputStream) -> dict[str, Any]:
    return stream.check()


def _write(_call: Call, stream: OutputStream, data: bytes) -> dict[str, Any]:
    return stream.write(data)


def _flush(_call: Call, stream: OutputStream) -> dict[str, Any]:
    # A stream that was finished by its owner is closed to writing only.
    return {"ok": None} if "ok" in stream.check() else {"err": "closed"}


def _write_zeroes(_call: Call, stream: OutputStream, length: int | str) -> dict[str, Any]:
    if int(length) > CHUNK:
        raise misused(f"writes {length} bytes to a stream at once, where {CHUNK} are permitted")
    return stream.write(bytes(int(length)))


def _splice(_call: Call, stream: OutputStream, source: InputStream, length: int | str) -> dict[str, Any]:
    if "err" in (refused := stream.check()):
        return refused
    chunk = source.take(int(length))
    if chunk is None:
        return {"err": "closed"}
    written = stream.write(chunk)
    return written if "err" in written else {"ok": len(chunk)}


def _subscribe(_call: Call, _stream: InputStream | OutputStream) -> Pollable:
    return Pollable()


_STREAM_ERROR: Final = VariantType((("last-operation-failed", own("error")), ("closed", None)))
_DONE: Final = ResultType(None, _STREAM_ERROR)
_COUNT: Final = ResultType(U64, _STREAM_ERROR)
_DATA: Final = ResultType(BYTES, _STREAM_ERROR)
_LENGTH: Final[dict[str, WitType]] = {"len": U64}
_CONTENTS: Final[dict[str, WitType]] = {"contents": BYTES}
_SOURCE: Final[dict[str, WitType]] = {"src": borrow("input-stream"), "len": U64}

_input = ResourceFunctions(INTERFACE, "input-stream")
_output = ResourceFunctions(INTERFACE, "output-stream")

FUNCTIONS: Final[list[WasiFunction]] = [
    _input.method("read", _LENGTH, _DATA, _read),
    _input.method("blocking-read", _LENGTH, _DATA, _read),
    _input.method("skip", _LENGTH, _COUNT, _skip),
    _input.method("blocking-skip", _LENGTH, _COUNT, _skip),
    _input.method("subscribe", {}, own("pollable"), _subscribe),
    _output.method("check-write", {}, _COUNT, _check_write),
    _output.method("write", _CONTENTS, _DONE, _write),
    _output.method("blocking-write-and-flush", _CONTENTS, _DONE, _write),
    _output.method("flush", {}, _DONE, _flush),
    _output.method("blocking-flush", {}, _DONE, _flush),
    _output.method("subscribe", {}, own("pollable"), _subscribe),
    _output.method("write-zeroes", _LENGTH, _DONE, _write_zeroes),
    _output.method("blocking-write-zeroes-and-flush", _LENGTH, _DONE, _write_zeroes),
    _output.method("splice", _SOURCE, _COUNT, _splice),
    _output.method("blocking-splice", _SOURCE, _COUNT, _splice),
]
