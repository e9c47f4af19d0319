"""Plugins, their generations and what they may do."""

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from prx.api.bodies import Answer, Moment
from prx.plugins.manifest import Manifest
from prx.plugins.plugin import PluginStatus

# Not written as a class: `from` is a word of the language.
_RolledBackFrom = TypedDict("_RolledBackFrom", {"from": int})


class PluginState(Answer):
    """How a plugin is after it was changed."""

    name: str
    status: PluginStatus


class PluginVersion(PluginState):
    """How a plugin is, and which version of it runs."""

    version: str


class PluginEnabled(PluginVersion):
    """A plugin that was put back into service."""

    error: NotRequired[str]
    """Why it, or its newest version, does not run."""


class PluginSteppedBack(PluginVersion):
    """A plugin that runs an earlier generation."""

    generation: int


class PluginRow(PluginVersion):
    """A plugin in a list."""

    capabilities: list[str]
    """What it brings, as `tool:<name>`, `hook:<pattern>` and so on."""
    memory_usage_bytes: int
    """Linear memory of its live instances, measured; 0 when none lives."""
    error: NotRequired[str]
    """Why it does not run."""


class PluginList(Answer):
    """Every installed plugin, by name."""

    plugins: list[PluginRow]


class SignatureShown(Answer):
    """Who vouches for a plugin."""

    key: str
    trusted: bool
    """Whether the key was trusted when the plugin was loaded."""


class LimitsShown(Answer):
    """Limits of a plugin's calls, as merged from manifest and configuration."""

    max_fuel: int | None
    max_memory_mb: int
    max_execution_time_ms: int
    max_output_kb: int
    max_http_requests: int
    max_kv_storage_kb: int
    max_concurrency: int
    instance: Literal["fresh", "warm"]


class CallTotals(Answer):
    """Receipts of calls, summed up."""

    total: int
    failed: int
    fuel_used: int
    guest_ms: float
    peak_memory_bytes: int
    """Of the call that held most."""
    host_calls: int
    http_requests: int
    bytes_in: int
    bytes_out: int
    errors: dict[str, int]
    """How many failed with each code."""


class CallError(Answer):
    """How a call failed."""

    code: str
    message: str


class JobRunShown(Answer):
    """How a job ran last."""

    started: Moment
    ended: Moment
    success: bool
    outcome: str
    """What it said of itself, or why it failed."""


class JobShown(Answer):
    """A cron job."""

    name: str
    schedule: str
    timezone: str
    running: bool
    next_run: Moment | None
    last_run: JobRunShown | None


class EventCounts(Answer):
    """What became of the events that a hook was to hear of."""

    delivered: int
    failed: int
    dropped: int
    """Because too many waited."""
    queued: int
    """How many wait now."""


class RolledBack(Answer, _RolledBackFrom):
    """Why another generation runs than what lies at the plugin's path."""

    to: int
    """The generation that was stepped back to."""
    reason: str
    at: Moment


class PluginDetail(PluginRow):
    """A plugin in full; what is of the running generation is absent while nothing of it runs."""

    path: str
    """The file or directory that it comes from."""
    generation: int
    """The number of the version that runs; 0 before one did."""
    rolled_back: NotRequired[RolledBack]
    """Why what lies at `path` does not run."""
    digest: NotRequired[str]
    """Of the component that runs: `sha256:` and hexadecimal digits."""
    signature: NotRequired[SignatureShown | None]
    """Null when nobody signed it."""
    loaded_at: NotRequired[Moment]
    manifest: NotRequired[Manifest | None]
    """What `plugin.toml` sets, without `[config]`; null for a bare file."""
    grants: NotRequired[list[str]]
    """The permissions that it has now."""
    limits: NotRequired[LimitsShown]
    calls: NotRequired[CallTotals]
    """Of this generation."""
    totals: NotRequired[CallTotals]
    """Of all generations since the daemon started."""
    last_error: NotRequired[CallError | None]
    """Of the last call that failed."""
    warnings: NotRequired[list[str]]
    """What the manifest says without effect."""
    skipped: NotRequired[dict[str, str]]
    """Exported functions that cannot be tools, and why."""
    cron: NotRequired[list[JobShown]]
    events: NotRequired[EventCounts]


class GenerationRow(Answer):
    """A kept generation."""

    generation: int
    version: str
    digest: str
    loaded_at: Moment
    """When it last took the place of another one."""
    status: Literal["live", "kept", "rolled_back"]
    reason: NotRequired[str]
    """Why it was rolled back."""
    calls: NotRequired[int]
    """Since the daemon started; absent where it did not run since."""
    failures: NotRequired[int]


class GenerationList(Answer):
    """The generations that are kept, the newest first."""

    versions: list[GenerationRow]


class DenialShown(Answer):
    """Something that was refused to a plugin."""

    permission: str
    operation: str
    count: int
    first: Moment
    last: Moment
    allow_with: str
    """The least that would have allowed it: a command, or what `plugin.toml` lacks."""


class GrantsAnswer(PluginState):
    """What a plugin asks for, may do and was refused."""

    required: list[str]
    """What its newest manifest cannot do without."""
    optional: list[str]
    granted: list[str]
    """What it may do now."""
    covered: dict[str, list[str]]
    """Of the lists of its newest manifest the entries that the grants cover."""
    waiting: dict[str, list[str]]
    """Permissions that are asked for and not granted in full, each with the entries that wait."""
    allow_with: str | None
    """The command that grants all of `waiting`."""
    decisions: dict[str, bool]
    """What the operator decided."""
    denials: list[DenialShown]
    error: NotRequired[str]
    """Why it, or its newest version, does not run."""
