"""Plugins over the API: real components, from the directory to a call."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.config.schema import PluginsConfig
from prx.plugins.catalogue import Catalogue
from prx.plugins.host.interfaces import HostServices
from prx.runtime.bus import Bus
from prx.runtime.extension_points import ExtensionPoints
from prx.runtime.logs.book import LogBook
from prx.runtime.memory import Memory
from prx.runtime.store import Store
from prx.runtime.supervisor import Supervisor
from tests.components.corpus import component
from tests.integration.api.api_harness import Api, deps_of, live_config, serving
from tests.support.waiting import eventually

PLUGIN = "/api/v1/plugins/adder"
ADD = "/api/v1/tools/add/call"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Hold one plugin that works and one that does not."""
    directory = tmp_path / "plugins"
    directory.mkdir()
    (directory / "adder.wasm").write_bytes(component("adder"))
    (directory / "broken.wasm").write_bytes(b"not a component")
    return directory


@pytest.fixture
async def api(tmp_path: Path, directory: Path, store: Store, book: LogBook) -> AsyncIterator[Api]:
    points = ExtensionPoints.on(Bus())
    catalogue = Catalogue(
        lambda: PluginsConfig(directory=directory),
        tmp_path,
        points,
        HostServices(store, Memory(store), points.bus),
    )
    harness = Api(TokenStore(tmp_path), catalogue, points.tools, book, points.bus, live_config(tmp_path))
    harness.token, _ = harness.tokens.create("admin")
    supervisor = Supervisor()
    supervisor.add(catalogue)
    try:
        await supervisor.wait(catalogue.name, {"running"}, 30)
        # The first load may still compile: a call must not meet the generation that it replaces.
        await eventually(lambda: all(plugin.status != "loading" for plugin in catalogue.list()))
        async with serving(harness, build_app(deps_of(harness))):
            yield harness
    finally:
        await supervisor.aclose()


async def test_the_list_shows_every_plugin_by_name_good_or_bad(api: Api) -> None:
    good, bad = (await api.get("/api/v1/plugins")).json()["plugins"]
    assert good == {
        "name": "adder",
        "version": "0.0.0",
        "status": "loaded",
        "capabilities": ["tool:add"],
        "memory_usage_bytes": 0,
    }
    assert (bad["name"], bad["status"], bad["capabilities"]) == ("broken", "error", [])
    assert bad["error"]


async def test_the_status_counts_plugins_and_shows_the_bad_one(api: Api) -> None:
    api.board.watch(api.catalogue.problems)
    status = (await api.get("/api/v1/status")).json()
    assert status["plugins"] == {"loaded": 1, "total": 2}
    assert status["status"] == "degraded"
    assert [problem["unit"] for problem in status["problems"]] == ["plugin.broken"]


async def test_names_that_are_not_utf_8_are_shown_and_cost_no_answer(api: Api, directory: Path) -> None:
    api.board.watch(api.catalogue.problems)
    install_with_odd_names(directory)
    await eventually(
        lambda: (
            {plugin.name: plugin.status for plugin in api.catalogue.list()}
            == {"\\xfe": "error", "adder": "loaded", "broken": "error", "odd": "loaded"}
        )
    )
    rows = {row["name"]: row for row in (await api.get("/api/v1/plugins")).json()["plugins"]}
    assert "gives no plugin name" in rows["\\xfe"]["error"]
    assert (await api.get("/api/v1/plugins/odd")).json()["path"] == f"{directory}/odd-?"
    assert (await api.get("/api/v1/status")).json()["status"] == "degraded"


async def test_one_plugin_in_full_tells_its_file_limits_grants_and_calls(api: Api, directory: Path) -> None:
    await api.post(ADD, json={"arguments": {"a": 1, "b": 2}})
    plugin = (await api.get(PLUGIN)).json()
    assert plugin["name"] == "adder"
    assert plugin["path"] == str(directory / "adder.wasm")
    assert plugin["calls"]["total"] == 1
    assert plugin["limits"]["max_memory_mb"] == 64
    assert {"manifest", "grants", "generation", "last_error", "warnings"} <= plugin.keys()
    assert "error" not in plugin


async def test_a_tool_of_a_plugin_is_listed_and_answers_with_its_receipt(api: Api) -> None:
    [tool] = (await api.get("/api/v1/tools")).json()["tools"]
    assert (tool["name"], tool["source"]) == ("add", "plugin:adder")
    answer = (await api.post(ADD, json={"arguments": {"a": 20, "b": 22}})).json()
    assert (answer["success"], answer["output"], answer["error"]) == (True, 42, None)
    assert answer["receipt"]["wall_ms"] > 0


async def test_a_reload_of_the_same_file_loads_the_same_generation_again(api: Api) -> None:
    before = (await api.get(PLUGIN)).json()
    reply = await api.post(f"{PLUGIN}/reload")
    assert (reply.status, reply.json()) == (
        200,
        {"name": "adder", "status": "loaded", "version": "0.0.0"},
    )
    after = (await api.get(PLUGIN)).json()
    assert after["generation"] == before["generation"] == 1
    assert after["loaded_at"] > before["loaded_at"]


async def test_a_reload_of_a_bad_file_is_409_and_the_old_one_keeps_serving(api: Api, directory: Path) -> None:
    replace(directory / "adder.wasm", component("core-module"))
    reply = await api.post(f"{PLUGIN}/reload")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert "component" in reply.error["message"]
    assert (await api.post(ADD, json={"arguments": {"a": 1, "b": 1}})).json()["output"] == 2
    [row, _] = (await api.get("/api/v1/plugins")).json()["plugins"]
    assert row["status"] == "loaded"
    assert "error" not in row
    assert (await api.get(PLUGIN)).json()["error"] == reply.error["message"]


async def test_reloading_a_plugin_that_never_loaded_is_409_with_the_reason(api: Api) -> None:
    reply = await api.post("/api/v1/plugins/broken/reload")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    assert reply.error["message"] == (await api.get("/api/v1/plugins/broken")).json()["error"]


async def test_disabling_withdraws_the_tools_and_enabling_brings_them_back(api: Api) -> None:
    for _ in range(2):
        reply = await api.post(f"{PLUGIN}/disable")
        assert (reply.status, reply.json()) == (200, {"name": "adder", "status": "disabled"})
    assert (await api.get("/api/v1/tools")).json() == {"tools": []}
    refused = await api.post(ADD, json={"arguments": {"a": 1, "b": 1}})
    assert (refused.status, refused.error["code"]) == (409, "conflict")
    assert "enable" in refused.error["message"]
    assert (await api.post(f"{PLUGIN}/reload")).status == 409
    for _ in range(2):
        reply = await api.post(f"{PLUGIN}/enable")
        assert reply.json() == {"name": "adder", "status": "loaded", "version": "0.0.0"}
    assert (await api.post(ADD, json={"arguments": {"a": 1, "b": 1}})).json()["output"] == 2


async def test_the_kept_versions_are_listed_and_stepped_back_to(api: Api, directory: Path) -> None:
    [only] = (await api.get(f"{PLUGIN}/versions")).json()["versions"]
    assert (only["generation"], only["version"], only["status"]) == (1, "0.0.0", "live")
    assert only["digest"] == (await api.get(PLUGIN)).json()["digest"]
    reply = await api.post(f"{PLUGIN}/rollback")
    assert (reply.status, reply.error["code"]) == (409, "conflict")
    replace(directory / "adder.wasm", component("counter"))
    await eventually(lambda: api.catalogue.get("adder").number == 2)
    reply = await api.post(f"{PLUGIN}/rollback")
    assert (reply.status, reply.json()) == (
        200,
        {"name": "adder", "status": "loaded", "version": "0.0.0", "generation": 1},
    )
    assert (await api.post(ADD, json={"arguments": {"a": 1, "b": 1}})).json()["output"] == 2
    newest, oldest = (await api.get(f"{PLUGIN}/versions")).json()["versions"]
    assert (newest["status"], newest["reason"]) == ("rolled_back", "an operator rolled it back")
    assert (oldest["status"], "reason" in oldest, oldest["calls"]) == ("live", False, 1)
    shown = (await api.get(PLUGIN)).json()["rolled_back"]
    assert (shown["from"], shown["to"], shown["reason"]) == (2, 1, "an operator rolled it back")
    assert (await api.post(f"{PLUGIN}/rollback", json={"generation": 2})).json()["generation"] == 2


@pytest.mark.parametrize(
    ("body", "status"), [({"generation": 9}, 404), ({"generation": 0}, 400), ({"generations": 1}, 400)]
)
async def test_a_step_back_to_what_is_not_there_is_refused(
    api: Api, body: dict[str, int], status: int
) -> None:
    assert (await api.post(f"{PLUGIN}/rollback", json=body)).status == status


async def test_a_step_back_of_a_disabled_plugin_is_409(api: Api) -> None:
    await api.post(f"{PLUGIN}/disable")
    reply = await api.post(f"{PLUGIN}/rollback")
    assert (reply.status, reply.error["message"]) == (409, 'plugin "adder" is disabled; enable it first')


@pytest.mark.parametrize("action", ["reload", "rollback", "disable", "enable"])
async def test_acting_on_an_unknown_plugin_is_404(api: Api, action: str) -> None:
    reply = await api.post(f"/api/v1/plugins/nope/{action}")
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert '"nope"' in reply.error["message"]


def install_with_odd_names(directory: Path) -> None:
    inside = directory / os.fsdecode(b"odd-\xff")
    inside.mkdir()
    (inside / "plugin.wasm").write_bytes(component("echo"))
    replace(inside / "plugin.toml", b'[plugin]\nname = "odd"\nversion = "1.0.0"\n')
    replace(directory / os.fsdecode(b"\xfe.wasm"), component("adder"))


def replace(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


async def test_grants_show_what_is_covered_what_waits_and_how_to_grant_it(api: Api, directory: Path) -> None:
    (directory / "asking").mkdir()
    (directory / "asking" / "plugin.wasm").write_bytes(component("echo"))
    text = (
        '[plugin]\nname = "asking"\nversion = "1.0.0"\n[permissions]\nrequired = ["http-outbound"]\n'
        'optional = ["memory"]\nhttp_allowlist = ["https://a.example/v1/*"]\n'
    )
    replace(directory / "asking" / "plugin.toml", text.encode())
    grants = "/api/v1/plugins/asking/grants"
    await eventually(lambda: any(p.name == "asking" and p.status == "error" for p in api.catalogue.list()))
    found = (await api.get(grants)).json()
    assert found["error"] == (
        'requires "http-outbound" for https://a.example/v1/, which is not granted: '
        "prx plugin grant asking http-outbound"
    )
    assert (found["covered"], found["granted"]) == ({}, [])
    assert found["waiting"] == {"http-outbound": ["https://a.example/v1/"], "memory": []}
    assert found["allow_with"] == "prx plugin grant asking http-outbound memory"
    found = (await api.call("PUT", grants, json={"decisions": {"http-outbound": True}})).json()
    assert (found["status"], found["covered"]) == ("loaded", {"http-outbound": ["https://a.example/v1/"]})
    assert found["waiting"] == {"memory": []}
    found = (await api.call("PUT", grants, json={"decisions": {"memory": True}})).json()
    assert (found["waiting"], found["allow_with"]) == ({}, None)
    reply = await api.call("PUT", grants, json={"decisions": {"kv": True}})
    assert (reply.status, reply.error["code"]) == (400, "bad_request")
    assert "does not ask for" in reply.error["message"]
    assert (await api.call("PUT", f"{PLUGIN}x/grants", json={"decisions": {"kv": True}})).status == 404
