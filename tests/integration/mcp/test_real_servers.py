"""The servers that are out there: of both eras, from npm and from PyPI, as their authors publish them."""

import asyncio
import os
import signal
import subprocess
import sys
from asyncio.subprocess import DEVNULL
from functools import partial
from pathlib import Path

import pytest

from prx.config.integrations import McpServerConfig
from tests.support.mcp_host import mcp_host
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow


def module(name: str, *arguments: str) -> McpServerConfig:
    """Return the configuration of a server of PyPI."""
    # The tests' own warnings are errors, theirs are not ours to mend.
    return McpServerConfig(command=sys.executable, args=("-m", name, *arguments), startup_timeout_ms=60_000)


def package(npm: Path, name: str, *arguments: str) -> McpServerConfig:
    """Return the configuration of a server of npm."""
    program = npm / "@modelcontextprotocol" / name / "dist/index.js"
    return McpServerConfig(command="node", args=(str(program), *arguments), startup_timeout_ms=60_000)


async def test_a_server_of_the_newer_era(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": module("mcp_server_time")}) as host:
        view = await host.until("connected", within_secs=60)
        assert view.protocol_version == "2026-07-28"
        assert view.server_info is not None
        assert view.server_info["name"] == "mcp-time"
        assert view.tools == ["get_current_time", "convert_time"]
        converted = await host.output(
            "convert_time",
            {"source_timezone": "Europe/Zurich", "time": "12:00", "target_timezone": "Asia/Tokyo"},
        )
        assert "Asia/Tokyo" in str(converted)
        failed = await host.call("get_current_time", {"timezone": "Middle/Earth"})
        assert failed.error is not None
        assert failed.error.code == "tool_error"
        (server,) = host.servers.connected()
        assert await server.items("resources") == []
        time = await host.call("get_current_time", {"timezone": "UTC"})
        assert time.raw is not None
        assert "_meta" not in time.raw, "who answered is said by whoever passes it on"


async def test_a_server_of_repositories_reads_the_one_it_was_given(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    for words in (
        ("init", "--quiet", str(repository)),
        ("-C", str(repository), "commit", "--quiet", "--allow-empty", "--message", "Plant a tree"),
    ):
        author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        await asyncio.to_thread(subprocess.run, ("git", *author, *words), check=True)
    config = module("mcp_server_git", "--repository", str(repository))
    async with mcp_host(tmp_path, {"one": config}) as host:
        assert (await host.until("connected", within_secs=60)).skipped == {}
        assert "Plant a tree" in str(await host.output("git_log", {"repo_path": str(repository)}))
        outside = await host.call("git_log", {"repo_path": str(tmp_path)})
        assert outside.error is not None
        assert outside.error.code == "tool_error"


async def test_a_server_that_remembers_is_told_in_one_life_and_asked_in_the_next(
    tmp_path: Path, npm: Path
) -> None:
    memory = {"MEMORY_FILE_PATH": str(tmp_path / "memory.json")}
    config = McpServerConfig.model_validate(
        {**package(npm, "server-memory").model_dump(exclude_unset=True), "env": memory}
    )
    async with mcp_host(tmp_path, {"one": config}) as host:
        before = await host.until("connected", within_secs=60)
        assert before.pid is not None
        tree = {"name": "tree", "entityType": "plant", "observations": ["it is tall"]}
        await host.output("create_entities", {"entities": [tree]})
        os.kill(before.pid, signal.SIGKILL)
        await eventually(lambda: host.view().pid != before.pid)
        await host.until("connected")
        assert await host.output("read_graph") == {"entities": [tree], "relations": []}


async def test_everything_of_a_server_of_the_older_era(tmp_path: Path, npm: Path) -> None:
    told: list[tuple[object, ...]] = []
    async with mcp_host(tmp_path, {"one": package(npm, "server-everything", "stdio")}) as host:
        view = await host.until("connected", within_secs=60)
        assert view.protocol_version == "2025-11-25"
        assert set(view.skipped) == {"simulate-research-query"}, "it only runs as a task"
        assert await host.output("echo", {"message": "hello"}) == "Echo: hello"
        image = await host.call("get-tiny-image")
        assert image.raw is not None
        assert [block["type"] for block in image.raw["content"]] == ["text", "image", "text"]
        weather = await host.output("get-structured-content", {"location": "Chicago"})
        assert set(weather) == {"temperature", "conditions", "humidity"}
        long = await host.call(
            "trigger-long-running-operation",
            {"duration": 0.2, "steps": 2},
            progress=lambda *step: told.append(step),
        )
        assert long.success
        assert [step[:2] for step in told] == [(1, 2), (2, 2)]
        (server,) = host.servers.connected()
        resources = await server.items("resources")
        assert resources
        assert await server.items("resourceTemplates")
        read = await server.request("resources/read", {"uri": resources[0]["uri"]})
        assert read["contents"][0]["uri"] == resources[0]["uri"]
        prompts = await server.items("prompts")
        simple = next(prompt for prompt in prompts if not prompt.get("arguments"))
        assert (await server.request("prompts/get", {"name": simple["name"]}))["messages"]


@pytest.mark.parametrize(
    ("mode", "transport", "path"), [("streamableHttp", "http", "/mcp"), ("sse", "sse", "/sse")]
)
async def test_everything_over_http(
    tmp_path: Path, npm: Path, port: int, mode: str, transport: str, path: str
) -> None:
    program = npm / "@modelcontextprotocol/server-everything/dist/index.js"
    told: list[tuple[object, ...]] = []
    environment = {"PATH": os.environ["PATH"], "PORT": str(port)}
    url = f"http://127.0.0.1:{port}{path}"
    servers = {"one": McpServerConfig.model_validate({"url": url, "transport": transport})}
    async with mcp_host(tmp_path, servers) as host:
        for life in range(2):
            process = await asyncio.create_subprocess_exec(
                "node", program, mode, env=environment, stdout=DEVNULL, stderr=DEVNULL
            )
            try:
                view = await host.until("connected", within_secs=60)
                assert (view.transport, view.protocol_version) == (transport, "2025-11-25")
                assert await host.output("echo", {"message": f"life {life}"}) == f"Echo: life {life}"
                long = await host.call(
                    "trigger-long-running-operation",
                    {"duration": 0.2, "steps": 2},
                    progress=lambda *step: told.append(step),
                )
                assert long.success
                begun = asyncio.Event()
                slow = asyncio.ensure_future(
                    host.call(
                        "trigger-long-running-operation",
                        {"duration": 60, "steps": 600},
                        progress=partial(_set, begun),
                    )
                )
                await asyncio.wait_for(begun.wait(), 60)
            finally:
                process.kill()
                await process.wait()
            broken = await slow
            assert broken.error is not None
            assert broken.error.code == "connection_lost"
            await host.until("disconnected", within_secs=60)
    assert [step[:2] for step in told] == [(1, 2), (2, 2)] * 2


def _set(event: asyncio.Event, *_: object) -> None:
    event.set()


async def test_a_server_of_files_serves_what_it_was_given_and_is_back_after_a_kill(
    tmp_path: Path, npm: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files/note.txt").write_text("remember the milk")
    config = package(npm, "server-filesystem", str(tmp_path / "files"))
    async with mcp_host(tmp_path, {"one": config}) as host:
        before = await host.until("connected", within_secs=60)
        assert "read_text_file" in before.tools
        assert before.skipped == {}
        note = {"path": str(tmp_path / "files/note.txt")}
        assert "remember the milk" in str(await host.output("read_text_file", note))
        host.servers.reconnect("one")
        await eventually(lambda: host.view().pid != before.pid)
        await host.until("connected")
        assert "remember the milk" in str(await host.output("read_text_file", note))
        outside = await host.call("read_text_file", {"path": "/etc/passwd"})
        assert not outside.success


async def test_a_server_of_files_works_in_the_directories_that_the_configuration_names(
    tmp_path: Path, npm: Path
) -> None:
    for name in ("given", "named"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text(name)
    by_arguments = package(npm, "server-filesystem", str(tmp_path / "given")).model_dump(exclude_unset=True)
    config = McpServerConfig.model_validate({**by_arguments, "roots": [str(tmp_path / "named")]})
    async with mcp_host(tmp_path, {"one": config}) as host:
        await host.until("connected", within_secs=60)
        async with asyncio.timeout(60):
            while str(tmp_path / "named") not in str(await host.output("list_allowed_directories")):  # noqa: ASYNC110 - it has to be asked
                await asyncio.sleep(0.05)
        found = await host.call("read_text_file", {"path": str(tmp_path / "named/note.txt")})
        assert found.success
        outside = await host.call("read_text_file", {"path": str(tmp_path / "given/note.txt")})
        assert not outside.success
