"""Tools and what comes of calling one."""

from typing import Any

from prx.api.bodies import Answer


class ToolRow(Answer):
    """A tool that can be called."""

    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema (2020-12) of the arguments."""
    source: str
    """Who brings it: `builtin`, `plugin:<name>` or `mcp:<server>`."""


class ToolList(Answer):
    """Every tool that can be called now, by name."""

    tools: list[ToolRow]


class ToolError(Answer):
    """Why a call that ran did not succeed."""

    code: str
    """Stable, for programs."""
    message: str


class ReceiptShown(Answer):
    """What a call cost."""

    fuel_used: int | None
    """Null where the plugin is not metered by fuel."""
    wall_ms: float
    """From the request to the answer, waiting for a free instance included."""
    guest_ms: float
    """Inside the guest, host functions excluded."""
    peak_memory_bytes: int
    host_calls: int
    http_requests: int
    bytes_in: int
    bytes_out: int


class ToolOutcome(Answer):
    """What came of a call that ran."""

    success: bool
    """Whether `error` is null."""
    output: Any
    """Text from a PRX tool, a JSON value from a plain component; may be there on a failure, too."""
    error: ToolError | None
    receipt: ReceiptShown | None
