"""`plugin.toml`: what a plugin is, what it asks for, and what it may use."""

import re
import tomllib
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails

from prx.core.errors import BadRequestError
from prx.core.event import compile_pattern
from prx.plugins.allowlist import Allowlist
from prx.plugins.directories import check_entries
from prx.plugins.errors import LoadError
from prx.plugins.files import read_regular
from prx.runtime.schedule import Schedule

MANIFEST_NAME = "plugin.toml"
MAX_MANIFEST_BYTES = 256 * 1024
_MAX_REPORTED = 3
MAX_LISTED = 256
MAX_NAME_CHARS = 64

PLUGIN_NAME = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_OWN_VARIABLES = "PRX_"
_NUMBER = "(?:0|[1-9][0-9]*)"
_PRERELEASE = f"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = "[0-9A-Za-z-]+"
SEMVER = rf"^{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRERELEASE}(\.{_PRERELEASE})*)?(\+{_BUILD}(\.{_BUILD})*)?$"

Permission = Literal["log", "config", "clock", "kv", "http-outbound", "memory", "events", "filesystem", "env"]


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or not parts.parts or "\0" in path:
        raise ValueError("must be a relative path inside the plugin's directory")
    return path


def _patterns(events: Any) -> Any:
    # Both spellings: events = ["a.*"] and [[capabilities.events]] pattern = "a.*".
    if isinstance(events, list):
        return [
            event["pattern"] if isinstance(event, dict) and event.keys() == {"pattern"} else event
            for event in events
        ]
    return events


def _targets(entries: list[str]) -> list[str]:
    Allowlist.parse(entries)  # its error names the entry
    return entries


def _directories(entries: list[str]) -> list[str]:
    check_entries(entries)
    return entries


def _variables(names: list[str]) -> list[str]:
    for name in names:
        if not re.fullmatch(_VARIABLE, name):
            raise ValueError(f"{name[:80]!r}: must be a name of letters, digits and _, at most 128 of them")
        if name.upper().startswith(_OWN_VARIABLES):
            raise ValueError(f'"{name}": is a variable of PRX itself, which no plugin is given')
    return names


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class About(_Table):
    """`[plugin]`."""

    name: Annotated[str, Field(pattern=PLUGIN_NAME, max_length=MAX_NAME_CHARS)]
    version: Annotated[str, Field(pattern=SEMVER, max_length=64)]
    api_version: Literal["1"] = "1"
    description: str = ""
    author: str = ""
    license: str = ""
    wasm: Annotated[str, AfterValidator(_inside)] = "plugin.wasm"


def _topic_pattern(pattern: str) -> str:
    try:
        compile_pattern(pattern)
    except BadRequestError as error:
        raise ValueError(error.message) from error
    return pattern


class Capability(_Table):
    """`[[capabilities]]`."""

    type: Literal["tool", "hook", "middleware", "cron", "provider", "storage", "channel"]
    name: str = ""
    description: str = ""
    events: Annotated[list[Annotated[str, AfterValidator(_topic_pattern)]], BeforeValidator(_patterns)] = []
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    schedule: str | None = None
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _is_due(self) -> Self:
        if self.schedule is not None:
            try:
                Schedule(self.schedule, self.timezone)
            except BadRequestError as error:
                raise ValueError(error.message) from error
        elif self.type == "cron":
            raise ValueError('a cron job needs a schedule, such as "*/5 * * * *"')
        return self


class Permissions(_Table):
    """`[permissions]`: what the plugin asks for; the operator grants."""

    required: list[Permission] = []
    optional: list[Permission] = []
    http_allowlist: Annotated[list[str], Field(max_length=MAX_LISTED), AfterValidator(_targets)] = []
    filesystem_allowlist: Annotated[list[str], AfterValidator(_directories)] = []
    env_allowlist: Annotated[list[str], Field(max_length=MAX_LISTED), AfterValidator(_variables)] = []


class Resources(_Table):
    """`[resources]`; a key that is not set falls to the daemon's `plugins.limits`."""

    max_fuel: Annotated[int, Field(ge=1)] | None = None
    max_memory_mb: Annotated[int, Field(ge=1, le=4096)] | None = None
    max_execution_time_ms: Annotated[int, Field(ge=1, le=3_600_000)] | None = None
    max_http_requests: Annotated[int, Field(ge=0, le=10_000)] | None = None
    max_http_requests_per_call: Annotated[int, Field(ge=0, le=10_000)] | None = None
    max_kv_storage_kb: Annotated[int, Field(ge=0, le=1024 * 1024)] | None = None
    max_kv_storage_mb: Annotated[int, Field(ge=0, le=1024)] | None = None
    max_concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    instance: Literal["fresh", "warm"] | None = None
    max_output_kb: Annotated[int, Field(ge=1, le=16 * 1024)] | None = None
    pool_size: int | None = None


class Manifest(_Table):
    """A whole `plugin.toml`."""

    plugin: About
    capabilities: list[Capability] = []
    permissions: Permissions = Permissions()
    resources: Resources = Resources()
    config: dict[str, str] = {}

    @model_validator(mode="after")
    def _hooks_ask_for_events(self) -> Self:
        """Hearing of events is a permission like any other: a hook that wants some asks for it."""
        asked = self.permissions
        hears = any(c.type == "hook" and c.events for c in self.capabilities)
        if not hears or "events" in (*asked.required, *asked.optional):
            return self
        asking = asked.model_copy(update={"required": [*asked.required, "events"]})
        return self.model_copy(update={"permissions": asking})

    def tool_descriptions(self) -> dict[str, str]:
        """Return what the capabilities say of the tools, by tool name."""
        return {
            c.name.replace("-", "_"): c.description
            for c in self.capabilities
            if c.type == "tool" and c.description
        }

    def warnings(self) -> list[str]:
        """Return what is read and ignored."""
        if self.resources.pool_size is None:
            return []
        return ["[resources] pool_size is ignored: instances are made as they are needed (max_concurrency)"]


_FORMS = {"name": 'lower-case words joined by "-"', "version": 'a semantic version such as "1.2.0"'}


def read_manifest(path: Path) -> Manifest:
    """Read and check the manifest at `path`.

    Raises:
        LoadError: it is missing, too large, a symlink, not TOML or has a wrong key; names the key.
    """
    return parse_manifest(read_regular(path, MAX_MANIFEST_BYTES))


def parse_manifest(data: bytes) -> Manifest:
    """Parse and check the text of a manifest.

    Raises:
        LoadError: it is not UTF-8 or TOML, or a key is wrong; names the key.
    """
    try:
        tree = tomllib.loads(data.decode())
    except UnicodeDecodeError as error:
        raise LoadError(f"{MANIFEST_NAME} is not UTF-8 text (byte {error.start})") from error
    except (ValueError, RecursionError) as error:  # also for a number that is too long for Python to read
        raise LoadError(f"{MANIFEST_NAME} is not TOML: {error}") from error
    try:
        return Manifest.model_validate(tree)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)[:_MAX_REPORTED]
        raise LoadError(f"{MANIFEST_NAME}: " + "; ".join(_explained(detail) for detail in details)) from error


def _explained(detail: ErrorDetails) -> str:
    # Places in a list are left out: the tables and the key are what an author looks for.
    *table, key = (part for part in detail["loc"] if isinstance(part, str))
    place = "".join(f"[{part}] " for part in table)
    if detail["type"] == "extra_forbidden":
        close = get_close_matches(key, _known_keys(table), n=1)
        hint = f'did you mean "{close[0]}"?' if close else f"known keys: {', '.join(_known_keys(table))}"
        return f'{place}unknown key "{key[:80]}"; {hint}'
    if detail["type"] == "string_pattern_mismatch" and key in _FORMS:
        return f"{place}{key}: must be {_FORMS[key]}"
    message = detail["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{place}{key}: {message}"


def _known_keys(table: list[str]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        "plugin": About,
        "capabilities": Capability,
        "permissions": Permissions,
        "resources": Resources,
    }
    return list((tables[table[0]] if table else Manifest).model_fields)
