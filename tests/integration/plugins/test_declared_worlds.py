"""What a manifest declares about worlds, held against what the component exports."""

import pytest

from tests.support.plugin_host import PluginHost
from tests.support.waiting import eventually
from tests.support.wat import binary

_LISTENER = """
(component
  (import "prx:host/log@0.1.0" (instance
    (type $level-enum (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $level-enum)))
    (export "log" (func (param "level" $level) (param "message" string))))))
"""


def world(interface: str, function: str, parameters: str, result: str) -> bytes:
    """Return a component with one function of a world, which returns zeroed memory: no error and no text."""
    strings = " ".join(f'(param "{name}" string)' for name in parameters.split())
    return binary(f"""
(component
  (core module $guest
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 1024)
    (func (export "run") {"(param i32 i32) " * len(parameters.split())} (result i32) i32.const 16))
  (core instance $guest (instantiate $guest))
  (func $run {strings} (result {result})
    (canon lift (core func $guest "run")
      (memory (core memory $guest "memory")) (realloc (core func $guest "realloc"))))
  (instance $exports (export "{function}" (func $run)))
  (export "prx:plugin/{interface}-exports" (instance $exports)))
""")


CRON = world("cron", "run", "", "(result string (error string))")
MIDDLEWARE = world("middleware", "process", "stage data-json", "(result string (error string))")


def manifest(*capabilities: str) -> str:
    tables = "".join(f"[[capabilities]]\n{capability}\n" for capability in capabilities)
    return f'[plugin]\nname = "p"\nversion = "1.0.0"\n{tables}'


@pytest.mark.parametrize("world", ["hook", "middleware", "provider", "storage", "channel"])
async def test_a_declared_world_that_is_not_exported_is_refused(host: PluginHost, world: str) -> None:
    host.drop("p", CRON, manifest=manifest(f'type = "{world}"'))
    async with host.running():
        await host.until(
            "p",
            "error",
            f"has one of type {world}, but the component does not export prx:plugin/{world}-exports",
        )


async def test_one_function_may_have_several_schedules_each_with_a_name(host: PluginHost) -> None:
    night = 'type = "cron"\nschedule = "0 3 * * *"'
    noon = 'type = "cron"\nname = "noon"\nschedule = "0 12 * * *"\ntimezone = "Asia/Tokyo"'
    host.drop("p", CRON, manifest=manifest(night, noon))
    async with host.running():
        plugin = await host.until("p", "loaded")
        assert plugin.capabilities == ["cron:p", "cron:noon"]
        assert [job["timezone"] for job in plugin.detail()["cron"]] == ["UTC", "Asia/Tokyo"]
        host.drop("p", CRON, manifest=manifest(night, night))
        await host.until("p", "loaded", 'has two cron jobs named "p": name each of them')


@pytest.mark.parametrize(
    ("capability", "error"),
    [
        ('type = "cron"', "a cron job needs a schedule"),
        ('type = "cron"\nschedule = "every day"', '"every day" is no cron expression: it has 5 fields'),
        ('type = "cron"\nschedule = "* * * * *"\ntimezone = "Nowhere"', '"Nowhere" is no time zone'),
        ('type = "hook"\nevents = ["a..b"]', 'pattern "a..b": it is a topic of 1 to 256 bytes'),
        ('type = "middleware"\npriority = 101', "must be less than or equal to 100"),
    ],
)
async def test_a_capability_that_means_nothing_is_refused(
    host: PluginHost, capability: str, error: str
) -> None:
    host.drop("p", CRON, manifest=manifest(capability))
    async with host.running():
        await host.until("p", "error", error)


async def test_a_middleware_named_after_a_stage_is_for_that_stage_and_another_for_the_rest(
    host: PluginHost,
) -> None:
    first = 'type = "middleware"\nname = "outbound"\npriority = 3'
    host.drop("p", MIDDLEWARE, manifest=manifest(first))
    async with host.running():
        assert (await host.until("p", "loaded")).capabilities == ["middleware:outbound"]
        host.drop(
            "p", MIDDLEWARE, manifest=manifest(first, 'type = "middleware"\nname = "audit"\npriority = 70')
        )
        everywhere = [
            f"middleware:{stage}" for stage in ("inbound", "outbound", "llm_request", "llm_response")
        ]
        await eventually(lambda: host.plugin("p").capabilities == everywhere)
        assert host.points.middleware.steps("outbound")[0].priorities == {
            "inbound": 70, "outbound": 3, "llm_request": 70, "llm_response": 70,
        }  # fmt: skip


async def test_a_component_that_only_imports_is_a_base_plugin(host: PluginHost) -> None:
    host.drop("listener", binary(_LISTENER))
    async with host.running():
        plugin = await host.until("listener", "loaded")
        assert plugin.capabilities == []
        assert host.router.specs() == []
