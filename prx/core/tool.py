"""What can be called: a tool, whoever brings it, and what a call yields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from prx.core.upstream import Ask, Progress


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a caller sees of a tool before calling it."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON Schema of the arguments object: 2020-12, unless its `$schema` says another draft."""
    source: str
    """Who brings it: `plugin:<name>`, `mcp:<server>` or `builtin`."""
    extras: Mapping[str, Any] = field(default_factory=dict)
    """What MCP shows of a tool beside these: `title`, `annotations`, `outputSchema`, `icons`, `_meta`."""


@dataclass(frozen=True, slots=True)
class CallContext:
    """Who calls, and on behalf of what; travels with the call into logs and host functions."""

    request_id: str | None = None
    session_id: str | None = None
    depth: int = 0
    """How many publications by plugins led to this call."""
    progress: Progress | None = None
    """Told how far the call is, by tools that tell."""
    ask: Ask | None = None
    """Asks the client on whose behalf the call runs, where there is one that can be asked."""


class Receipt(NamedTuple):
    """What one call cost. Every call yields one, failed calls too."""

    fuel_used: int | None
    """Units of fuel, or None where the plugin is not metered by fuel."""
    wall_ms: float
    """From the caller's request to its answer, waiting for a free instance included."""
    guest_ms: float
    """Inside the guest, host functions excluded."""
    peak_memory_bytes: int
    """Linear memory at the end of the call; linear memory never shrinks, so this is the peak."""
    host_calls: int
    http_requests: int
    bytes_in: int
    bytes_out: int


@dataclass(frozen=True, slots=True)
class ToolFailure:
    """Why a call that ran did not succeed; `code` is stable, `message` is for people."""

    code: str
    message: str


class ToolFile(NamedTuple):
    """A file that a tool gave back for the user, as the tool has it: what it says of it may be anything."""

    name: str
    """Empty where it has none."""
    media_type: object
    data: str
    """In base64, if the tool got that right."""


class ToolResult(NamedTuple):
    """What a tool that ran gave back; a trap or a limit is a result with an `error`, not an exception."""

    output: Any = None
    """Text for PRX tools, a JSON value for plain components."""
    error: ToolFailure | None = None
    receipt: Receipt | None = None
    files: Sequence[ToolFile] = ()
    """Those in `output`, or beside it."""
    raw: Mapping[str, Any] | None = None
    """The whole `CallToolResult` of an MCP server: images, links and structured content, too."""

    @property
    def success(self) -> bool:
        """Whether the tool did what it was asked."""
        return self.error is None


@dataclass(slots=True)
class CallTotals:
    """Receipts summed up."""

    calls: int = 0
    failures: int = 0
    fuel_used: int = 0
    guest_ms: float = 0.0
    peak_memory_bytes: int = 0
    """Of the call that held most."""
    host_calls: int = 0
    http_requests: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    errors_by_code: dict[str, int] = field(default_factory=dict)

    def add(self, other: "CallTotals") -> None:
        """Count the calls of `other` too."""
        self.calls += other.calls
        self.failures += other.failures
        self.fuel_used += other.fuel_used
        self.guest_ms += other.guest_ms
        self.peak_memory_bytes = max(self.peak_memory_bytes, other.peak_memory_bytes)
        self.host_calls += other.host_calls
        self.http_requests += other.http_requests
        self.bytes_in += other.bytes_in
        self.bytes_out += other.bytes_out
        for code, times in other.errors_by_code.items():
            self.errors_by_code[code] = self.errors_by_code.get(code, 0) + times


class Tool(Protocol):
    """One callable thing in the router."""

    @property
    def spec(self) -> ToolSpec:
        """Its name, description, arguments and source; does not change while it is offered."""

    async def call(self, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """Run it. The router has checked `arguments` against the spec's schema.

        Raises:
            BadRequestError: the arguments pass the schema but not the tool's own types.
            ConflictError: its plugin was disabled or quarantined meanwhile.
            UnavailableError: too many calls wait for it already.
        """


class Veto(Protocol):
    """Somebody who is asked before a tool runs."""

    @property
    def name(self) -> str:
        """Who it is: `plugin:<name>`."""

    async def before_execute(
        self, spec: ToolSpec, arguments: Mapping[str, Any], context: CallContext
    ) -> None:
        """Let the call go on by returning.

        Raises:
            ForbiddenError: it must not run, or whoever was asked could not answer; says who and why.
        """
