"""A plugin with versions that a test tells apart: each answers its number, or traps when it is told to."""

import hashlib
from typing import Any

from tests.support.plugin_host import PluginHost
from tests.support.processes import names_in
from tests.support.waiting import eventually
from tests.support.wat import binary

KV = '[plugin]\nname = "{name}"\nversion = "{version}"\n[permissions]\nrequired = ["kv"]\n'

FLAKY = """
(component
  (core module $guest
    (func (export "say") (param $fail i32) (result i32)
      (if (local.get $fail) (then (unreachable)))
      (i32.const {number})))
  (core instance $guest (instantiate $guest))
  (func (export "say") (param "fail" bool) (result s32) (canon lift (core func $guest "say"))))
"""


def flaky(number: int) -> bytes:
    """Return version `number` of a component that answers its number, or traps when it is told to."""
    return binary(FLAKY.format(number=number))


async def drop(host: PluginHost, number: int) -> None:
    """Install version `number` of the plugin `flaky`, and wait until it is the one that runs."""
    host.drop("flaky", flaky(number))
    await runs(host, number)


async def runs(host: PluginHost, number: int) -> None:
    """Wait until version `number` answers."""
    expected = hashlib.sha256(flaky(number)).hexdigest()

    def running() -> bool:
        loaded = host.plugin("flaky").loaded if "flaky" in host.names() else None
        return loaded is not None and loaded.contents.digest == expected

    await eventually(running)
    assert await said(host) == number


async def said(host: PluginHost) -> Any:
    return await host.output("say", {"fail": False})


async def fail(host: PluginHost, times: int) -> None:
    for _ in range(times):
        result = await host.call("say", {"fail": True})
        assert result.error is not None
        assert result.error.code == "trap"


def rows(host: PluginHost) -> list[tuple[int, str]]:
    return [(row["generation"], row["status"]) for row in host.catalogue.versions("flaky")]


def blobs(host: PluginHost) -> list[str]:
    directory = host.data_dir / "generations"
    return names_in(directory) if directory.is_dir() else []
