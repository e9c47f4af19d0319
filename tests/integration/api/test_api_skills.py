"""Skills over the API: from the workspace, from real plugins, and as they change."""

import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from prx.agent.skills import Skills, builtin_skills
from prx.api.app import build_app
from prx.api.tokens import TokenStore
from prx.plugins.skills import skill_shelves
from prx.runtime.logs.book import LogBook
from prx.runtime.skill_directory import SkillDirectory
from tests.components.corpus import component
from tests.integration.api.api_harness import Api, deps_of, live_config, serving
from tests.support.packages import archive, checksums, contents
from tests.support.plugin_host import PluginHost
from tests.support.skills import looking, put, skill
from tests.support.waiting import eventually

SKILLS = "/api/v1/skills"
MANIFEST = '[plugin]\nname = "adder"\nversion = "1.0.0"\n'


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    return tmp_path / "workspace"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[PluginHost]:
    (tmp_path / "plugins").mkdir()
    async with PluginHost(tmp_path / "plugins", tmp_path, store=tmp_path / "plugins.db").running() as host:
        yield host


@pytest.fixture
async def api(tmp_path: Path, host: PluginHost, workspace: Path, book: LogBook) -> AsyncIterator[Api]:
    def shelves() -> list:
        own = SkillDirectory("workspace", workspace)
        return [own, *skill_shelves(host.catalogue.list()), builtin_skills()]

    skills = Skills(shelves)
    harness = Api(
        TokenStore(tmp_path), host.catalogue, host.router, book, host.bus, live_config(tmp_path), skills
    )
    harness.token, _ = harness.tokens.create("admin")
    harness.board.watch(skills.problems)
    async with AsyncExitStack() as running:
        await running.enter_async_context(looking(skills))
        await running.enter_async_context(serving(harness, build_app(deps_of(harness))))
        yield harness


async def sources(api: Api) -> dict[str, str]:
    return {skill["name"]: skill["source"] for skill in (await api.get(SKILLS)).json()["skills"]}


async def until(api: Api, **expected: str) -> None:
    """Wait until these are there beside what PRX ships, and see them over the API."""
    expected = {"code_review": "builtin", "summarize": "builtin"} | expected
    await eventually(lambda: {skill.name: skill.source for skill in api.skills.list()} == expected)
    assert await sources(api) == expected


async def test_the_shipped_skills_are_listed_with_their_four_fields(api: Api) -> None:
    reply = await api.get(SKILLS)
    assert reply.status == 200
    assert reply.json() == {
        "skills": [
            {
                "name": "code_review",
                "source": "builtin",
                "description": "Review code changes and provide feedback",
                "triggers": ["/review", "review this"],
            },
            {
                "name": "summarize",
                "source": "builtin",
                "description": "Summarize long text or conversations",
                "triggers": ["/summarize", "tldr"],
            },
        ]
    }


async def test_a_skill_of_the_workspace_comes_changes_and_goes_with_its_file(
    api: Api, workspace: Path
) -> None:
    path = put(workspace, "deploy")
    await until(api, deploy="workspace")
    put(workspace, "deploy", skill("summarize", "My own way"))
    await until(api, summarize="workspace")
    assert (await api.get(SKILLS)).json()["skills"][1]["description"] == "My own way"
    path.unlink()
    await until(api)


async def test_a_bad_skill_degrades_the_status_until_it_is_mended(api: Api, workspace: Path) -> None:
    path = put(workspace, "deploy", b"---\nname: deploy\n---\nDo it\n")
    await eventually(lambda: list(api.skills.problems()))
    status = (await api.get("/api/v1/status")).json()
    [problem] = status["problems"]
    assert (status["status"], problem["unit"]) == ("degraded", "agent.skills")
    assert problem["reason"] == f"{path}: description: expected a text of 1 to 1024 printable characters"
    assert await sources(api) == {"code_review": "builtin", "summarize": "builtin"}
    put(workspace, "deploy")
    await until(api, deploy="workspace")
    assert (await api.get("/api/v1/status")).json()["status"] == "healthy"


async def test_the_skills_of_a_plugin_come_and_go_with_it(api: Api, host: PluginHost) -> None:
    put(host.directory / "adder" / "skills", "forecast")
    host.drop("adder", manifest=MANIFEST)
    await until(api, forecast="plugin:adder")
    await host.catalogue.disable("adder")
    await until(api)
    await host.catalogue.enable("adder")
    await until(api, forecast="plugin:adder")
    put(host.directory / "adder" / "skills", "sums")
    await until(api, forecast="plugin:adder", sums="plugin:adder")
    await host.catalogue.remove("adder", purge=False)
    await until(api)


async def test_a_plugin_whose_newest_files_do_not_load_brings_none(api: Api, host: PluginHost) -> None:
    put(host.directory / "adder" / "skills", "forecast")
    host.drop("adder", manifest=MANIFEST)
    await until(api, forecast="plugin:adder")
    host.drop("adder", b"not a component", manifest=MANIFEST)
    await until(api)
    assert host.plugin("adder").status == "loaded"


async def test_a_package_brings_its_skills_too(api: Api, host: PluginHost) -> None:
    files = contents("packed", wasm=component("adder")) | {"skills/forecast/SKILL.md": skill("forecast")}
    files["checksums.sha256"] = checksums({name: files[name] for name in files if name != "checksums.sha256"})
    (host.directory / "packed-1.2.0.prxplugin").write_bytes(gzip.compress(archive(files)))
    await until(api, forecast="plugin:packed")
    (host.directory / "packed-1.2.0.prxplugin").unlink()
    await until(api)


async def test_a_token_without_the_scope_sees_none(api: Api) -> None:
    token, _ = api.tokens.create("viewer", scopes=["status:read"])
    reply = await api.get(SKILLS, token=token)
    assert (reply.status, "skills:read" in reply.error["message"]) == (403, True)
