"""What one instance's guest holds of the host: handles, and the Python objects that they stand for."""

import threading
from ctypes import addressof, c_uint64
from typing import Any, ClassVar, Final, Protocol
from weakref import WeakSet

from prx.plugins.abi import ffi
from prx.plugins.abi.ffi import Words
from prx.plugins.abi.lift import Lift
from prx.plugins.abi.memory import Memory
from prx.plugins.abi.scalars import Lower
from prx.plugins.abi.wit import Handle
from prx.plugins.calls import Call, GuestError, current
from prx.plugins.host.http import Sent
from prx.plugins.host.stdio import Lines, LineSplitter

MAX_HANDLES: Final = 1024
MAX_HELD_BYTES: Final = 16 * 1024 * 1024

# The engine tells the types of resources apart by these numbers.
TYPES: Final = {
    name: number
    for number, name in enumerate(
        (
            "error", "pollable", "input-stream", "output-stream", "terminal-input", "terminal-output",
            "descriptor", "directory-entry-stream",
            "network", "resolve-address-stream", "tcp-socket", "udp-socket",
            "incoming-datagram-stream", "outgoing-datagram-stream",
            "fields", "incoming-request", "outgoing-request", "request-options", "response-outparam",
            "incoming-response", "incoming-body", "future-trailers", "outgoing-response", "outgoing-body",
            "future-incoming-response",
        ),
        start=1,
    )
}  # fmt: skip


class Resource:
    """A Python object that guests hold by a handle."""

    resource: ClassVar[str]
    """Its type in WIT."""

    def dropped(self) -> None:
        """Learn that the guest has no use for it any more."""


class Holding(Protocol):
    """Something whose size counts against what one guest may have the host keep."""

    @property
    def size(self) -> int:
        """How many bytes it keeps now."""


class Resources:
    """The handles of one instance, and what its guest has under way. Used by the one thread that uses the instance."""

    def __init__(self, context: int, stdout: Lines, stderr: Lines) -> None:
        """Belong to the store of `context`; what the guest prints goes to the two sinks in lines."""
        self.stdout = LineSplitter(stdout)
        self.stderr = LineSplitter(stderr)
        self.woken = threading.Event()
        """Set from the event loop when a request of the guest's has its answer."""
        self.under_way: set[Sent] = set()
        self._holdings: WeakSet[Holding] = WeakSet()
        self._context = context
        self._objects: dict[int, Resource] = {}
        self._last = 0

    def drop(self, number: int) -> None:
        """Forget what the guest has no handle to any more."""
        dropped = self._objects.pop(number, None)
        if dropped is not None:
            dropped.dropped()

    def hold(self, holding: Holding, more: int) -> None:
        """Let `holding` grow by so many bytes.

        Raises:
            GuestError: the guest has the host keep too much.
        """
        self._holdings.add(holding)
        if more + sum(each.size for each in self._holdings) > MAX_HELD_BYTES:
            raise misused(
                f"has the host keep more than {MAX_HELD_BYTES} bytes of headers and bodies at once; drop what is read"
            )

    def end_call(self) -> None:
        """Give up what is under way and hand on unfinished lines: the call is over."""
        while self.under_way:
            self.under_way.pop().cancel()
        self.stdout.finish()
        self.stderr.finish()

    def close(self) -> None:
        """Let go of everything."""
        self.end_call()
        self._objects.clear()

    def taken(self, pointer: int, handle: Handle) -> Resource:
        """Return what the handle at `pointer` stands for; an owned one is the guest's no longer.

        Raises:
            GuestError: it is of another type.
        """
        out = c_uint64()
        # This also ends the loan of a borrowed one, which would fail the call if it stayed open.
        error = ffi.resource_any_to_host(self._context, pointer, addressof(out))
        if error:
            raise GuestError("host_error", f"a handle cannot be read: {ffi.take_error(error)[0]}")
        number = ffi.resource_host_rep(out.value)
        ffi.resource_host_delete(out.value)
        found = self._objects.pop(number, None) if handle.owned else self._objects.get(number)
        if found is None or found.resource != handle.resource:
            raise misused(f"uses a handle as a {handle.resource} that is none")
        return found

    def given(self, resource: Resource, handle: Handle) -> int:
        """Return the address of a new handle to `resource`, which the engine takes over.

        Raises:
            GuestError: the guest has too many.
        """
        if resource.resource != handle.resource:
            raise TypeError(f"a {resource.resource} in place of a {handle.resource}")
        if len(self._objects) >= MAX_HANDLES:
            raise misused(f"holds {MAX_HANDLES} handles of the host and wants more: it does not drop them")
        number = self._last
        while number in self._objects or number == self._last:
            number = (number + 1) & 0xFFFFFFFF
        self._last = number
        self._objects[number] = resource
        out = c_uint64()
        host = ffi.resource_host_new(True, number, TYPES[handle.resource])  # noqa: FBT003  # C's "owned"
        error = ffi.resource_host_to_any(self._context, host, addressof(out))
        ffi.resource_host_delete(host)
        if error:
            raise GuestError("host_error", f"a handle cannot be made: {ffi.take_error(error)[0]}")
        return out.value


def resources_of(call: Call) -> Resources:
    """Return what the guest of `call` holds."""
    assert call.instance is not None  # noqa: S101  # a guest runs only inside an instance
    assert call.instance.resources is not None  # noqa: S101  # and is linked to these functions only with them
    return call.instance.resources


def misused(what: str) -> GuestError:
    """Return how a call ends whose guest breaks a rule of the interfaces; `what` goes on from "the guest"."""
    return GuestError("trap", f"the guest {what}")


def lift_handle(handle: Handle) -> Lift:
    """Return the closure that reads a handle."""

    def lift(pointer: int, _1: int, _2: int) -> Any:
        return resources_of(current.call).taken(pointer, handle)

    return lift


def lower_handle(handle: Handle) -> Lower:
    """Return the closure that gives the guest a handle."""

    def lower(value: Any, _memory: Memory) -> Words:
        return (ffi.KIND_RESOURCE, resources_of(current.call).given(value, handle), 0, 0)

    return lower
