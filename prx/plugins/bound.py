"""What one verified generation offers: each world's functions, with what the manifest says about them."""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prx.core.middleware import STAGES, Stage
from prx.core.tool import ToolSpec
from prx.plugins.calls import GuestError
from prx.plugins.errors import LoadError
from prx.plugins.generation import Generation
from prx.plugins.manifest import Capability, Manifest
from prx.plugins.worlds import plain, tool
from prx.plugins.worlds.binding import Binding, BoundTool
from prx.plugins.worlds.channel import Platform, platform
from prx.plugins.worlds.resolve import Resolved
from prx.runtime.schedule import Schedule

Functions = Mapping[str, Binding]

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A capability of type `tool` may stand for one function of a plain component.
_DECLARED_WORLDS = ("hook", "middleware", "cron", "provider", "storage", "channel")
# Asked for their names, which shows that they start.
_NAMED_WORLDS = ("tool", "provider", "storage", "channel")


@dataclass(frozen=True, slots=True)
class Bound:
    """Everything that a generation offers, by world; what it does not export is empty."""

    tools: Sequence[BoundTool] = ()
    hook: Binding | None = None
    middleware: Binding | None = None
    priorities: Mapping[Stage, int] = field(default_factory=dict)
    """Of the middleware, by stage."""
    cron: Binding | None = None
    jobs: Mapping[str, Schedule] = field(default_factory=dict)
    """The schedules of the cron world's one function, by the job's name."""
    provider: tuple[str, Functions] | None = None
    """Its name and functions."""
    storage: tuple[str, Functions] | None = None
    """Its name and functions."""
    channel: Platform | None = None

    def tool_names(self) -> list[str]:
        """Return the names of its tools."""
        return [bound.spec.name for bound in self.tools]

    def capabilities(self) -> list[str]:
        """Return what it brings as `<world>:<name>`; what a hook hears of is not known here."""
        named = [("provider", self.provider), ("storage", self.storage), ("channel", self.channel)]
        return [
            *(f"tool:{name}" for name in self.tool_names()),
            *(f"middleware:{stage}" for stage in self.priorities),
            *(f"cron:{name}" for name in self.jobs),
            *(f"{world}:{about[0]}" for world, about in named if about is not None),
        ]


async def bind(
    generation: Generation, resolved: Resolved, manifest: Manifest | None, *, prefix: str, source: str
) -> Bound:
    """Ask the component what it calls itself, or at least make one instance, and name what it offers.

    Raises:
        LoadError: it does not start, a name is unfit, or the manifest declares what it does not export.
    """
    declared = manifest.capabilities if manifest is not None else []
    _check_declared(declared, resolved)
    worlds = resolved.worlds
    try:
        if not any(name in worlds for name in _NAMED_WORLDS):
            await generation.start()
        return Bound(
            tools=await _tools(generation, resolved, manifest, prefix, source),
            hook=_only(worlds.get("hook")),
            middleware=_only(worlds.get("middleware")),
            priorities=_priorities(declared) if "middleware" in worlds else {},
            cron=_only(worlds.get("cron")),
            jobs=_jobs(declared, source.partition(":")[2]) if "cron" in worlds else {},
            provider=await _named(generation, "provider", worlds.get("provider")),
            storage=await _named(generation, "storage", worlds.get("storage")),
            channel=await _channel(generation, worlds.get("channel")),
        )
    except GuestError as error:
        raise LoadError(f"it does not start: {error.code}: {error.message}") from error


def event_patterns(manifest: Manifest | None) -> list[str]:
    """Return which events the manifest's hooks want."""
    declared = manifest.capabilities if manifest is not None else []
    return [pattern for capability in declared if capability.type == "hook" for pattern in capability.events]


def idle_worlds(bound: Bound, patterns: Sequence[str]) -> list[str]:
    """Return warnings about worlds that nothing will ever call."""
    warnings = []
    if bound.hook is not None and not patterns:
        warnings.append(
            "it exports a hook and hears of nothing: name events in [[capabilities]] of type hook, or subscribe"
        )
    if bound.cron is not None and not bound.jobs:
        warnings.append(
            "it exports a cron job that is never due: set a schedule in [[capabilities]] of type cron"
        )
    return warnings


def _only(functions: Functions | None) -> Binding | None:
    return None if functions is None else next(iter(functions.values()))


def _check_declared(declared: Iterable[Capability], resolved: Resolved) -> None:
    for capability in declared:
        if capability.type in _DECLARED_WORLDS and capability.type not in resolved.worlds:
            raise LoadError(
                f"plugin.toml: [[capabilities]] has one of type {capability.type}, but the component does not export "
                f"prx:plugin/{capability.type}-exports: export it, or leave the capability out"
            )


async def _tools(
    generation: Generation, resolved: Resolved, manifest: Manifest | None, prefix: str, source: str
) -> Sequence[BoundTool]:
    if (functions := resolved.worlds.get("tool")) is not None:
        tools = [await _tool(generation, functions, prefix, source)]
    else:
        described = manifest.tool_descriptions() if manifest is not None else {}
        tools = await asyncio.to_thread(
            plain.bind_plain, resolved.plain, prefix=prefix, source=source, descriptions=described
        )
    _check_tool_names([bound.spec.name for bound in tools])
    return tools


async def _tool(generation: Generation, functions: Functions, prefix: str, source: str) -> BoundTool:
    about = await generation.ask(functions["get-spec"])
    schema = _schema(about["parameters_schema"])
    spec = ToolSpec(prefix + about["name"], about["description"], schema, source)
    return tool.bind_tool(functions["execute"].function, spec)


async def _named(
    generation: Generation, world: str, functions: Functions | None
) -> tuple[str, Functions] | None:
    if functions is None:
        return None
    name = await generation.ask(functions["name"])
    if not _NAME.fullmatch(name):
        raise LoadError(
            f'its {world} calls itself "{name[:80]}": a name has up to 64 letters, digits, "_" and "-"'
        )
    return name, functions


async def _channel(generation: Generation, functions: Functions | None) -> Platform | None:
    named = await _named(generation, "channel", functions)
    if named is None:
        return None
    about = await generation.ask(named[1]["get-capabilities"])
    return platform(*named, about, generation.limits)


def _priorities(declared: Iterable[Capability]) -> dict[Stage, int]:
    """Return the priority at each stage: a capability named after a stage is for that one, any other for the rest."""
    of_stage: dict[str, int] = {}
    of_rest: int | None = None
    for capability in declared:
        if capability.type != "middleware":
            continue
        if capability.name in STAGES:
            of_stage[capability.name] = capability.priority
        else:
            of_rest = capability.priority
    if not of_stage and of_rest is None:
        of_rest = Capability(type="middleware").priority
    chosen = {stage: of_stage.get(stage, of_rest) for stage in STAGES}
    return {stage: priority for stage, priority in chosen.items() if priority is not None}


def _jobs(declared: Iterable[Capability], plugin: str) -> dict[str, Schedule]:
    jobs: dict[str, Schedule] = {}
    for capability in declared:
        if capability.type != "cron" or capability.schedule is None:
            continue
        name = capability.name or plugin
        if name in jobs:
            raise LoadError(
                f'plugin.toml: [[capabilities]] has two cron jobs named "{name}": name each of them'
            )
        jobs[name] = Schedule(capability.schedule, capability.timezone)
    return jobs


def _check_tool_names(names: list[str]) -> None:
    for name, times in Counter(names).items():
        if not _NAME.fullmatch(name):
            raise LoadError(
                f'one of its tools would be named "{name[:80]}": a name has up to 64 letters, digits, "_" and "-"; '
                "change it in the component or with tool_prefix"
            )
        if times > 1:
            raise LoadError(
                f'{times} of its functions would be the tool "{name}": rename them in the component'
            )


def _schema(text: str) -> dict[str, Any]:
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LoadError(f"get-spec gives a parameters-schema that is not JSON: {error}") from error
    if not isinstance(schema, dict):
        raise LoadError(f"get-spec gives a parameters-schema that is not a JSON object but {text[:60]!r}")
    return schema
