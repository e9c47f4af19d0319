"""The official tools of MCP's makers look at a real daemon: the conformance suite, and the inspector's command line."""

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest

from prx.runtime.process import daemon_address
from tests.components.corpus import component
from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess
from tests.support.npm_servers import npm_servers
from tests.support.token_proxy import token_proxy
from tests.unit.docs.documents import DOCS, blocks

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).parents[2]
_VERDICT = re.compile(r"^[✓✗] ([a-z0-9-]+): (\d+) passed, (\d+) failed$", re.MULTILINE)

SCENARIOS: Final = 32
# What only the coming release of the suite asks for. A result that asks for input is not passed on, as the server that
# is passed on asks in the way of the older era; three of the 28 checks of `server-stateless` need a tool with such a
# result, the other 25 pass. The extension for tasks is not offered.
NOT_OFFERED: Final = ("input-required-result-", "tasks-", "server-stateless")


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    return npm_servers(pytestconfig.cache.mkdir("npm"))


@pytest.fixture
def daemon(start_daemon: StartDaemon, tmp_path: Path) -> DaemonProcess:
    """A daemon with one plugin, and one MCP server whose names it does not change."""
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    (plugins / "echo.wasm").write_bytes(component("echo"))
    server = {
        "command": sys.executable,
        "args": ["-m", "tests.support.everything_server"],
        "cwd": str(_ROOT),
        "tool_name_prefix": "",
        "ask_clients": True,
        "handshake": "legacy",
        "startup_timeout_ms": 60_000,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in server.items()]
    (tmp_path / "prx.toml").write_text("\n".join(["[mcp.servers.everything]", *lines]))
    daemon = start_daemon(
        environment={
            "PRX__PLUGINS__DIRECTORY": str(plugins),
            # The suite asks as fast as it can.
            "PRX__GATEWAY__RATE_LIMITS__OTHER": "0",
        }
    )
    daemon.event("connected")
    return daemon


def address(daemon: DaemonProcess) -> str:
    """Return where the daemon listens."""
    found = daemon_address(daemon.data_dir)
    assert found is not None
    url = urlsplit(found.url)
    return f"{url.scheme}://{url.netloc}"


async def conformance(
    daemon: DaemonProcess, npm: Path, package: str, home: Path
) -> tuple[set[str], set[str], str]:
    """Run one version of the official suite; return its scenarios, those that failed, and the whole report."""
    token = await asyncio.to_thread(daemon.token)
    async with token_proxy(address(daemon), token) as proxy:
        suite = await asyncio.create_subprocess_exec(
            npm / ".bin/node", npm / package / "dist/index.js", "server", "--url", f"{proxy}/mcp", "--suite", "all",
            cwd=home, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        told, _ = await asyncio.wait_for(suite.communicate(), 300)
    report = told.decode()
    verdicts = {name: int(failed) for name, _, failed in _VERDICT.findall(report)}
    return set(verdicts), {name for name, failed in verdicts.items() if failed}, report


async def test_the_official_suite_passes_against_a_daemon_that_passes_a_server_on(
    daemon: DaemonProcess, npm: Path, tmp_path: Path
) -> None:
    scenarios, failed, report = await conformance(daemon, npm, "@modelcontextprotocol/conformance", tmp_path)
    assert len(scenarios) == SCENARIOS, report
    assert not failed, report


async def test_the_coming_suite_passes_in_the_newest_version_as_far_as_it_is_offered(
    daemon: DaemonProcess, npm: Path, tmp_path: Path
) -> None:
    scenarios, failed, report = await conformance(daemon, npm, "conformance-next", tmp_path)
    assert {"http-header-validation", "http-custom-header-server-validation", "caching"} <= scenarios
    unexpected = {name for name in failed if not name.startswith(NOT_OFFERED)}
    assert not unexpected, report


def surroundings(daemon: DaemonProcess) -> dict[str, str]:
    """Return the environment of somebody who installed `prx`, which is on the path, on the daemon's machine."""
    programs = daemon.home / "bin"
    programs.mkdir(exist_ok=True)
    program = programs / "prx"
    # Clients hand little of their environment on: here is what tells where this daemon's files are.
    known = [
        f"export {name}='{daemon.environment[name]}'"
        for name in ("PYTHONPATH", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
    ]
    program.write_text("\n".join(["#!/bin/sh", *known, f'exec "{sys.executable}" -m prx "$@"', ""]))
    program.chmod(0o755)
    return {
        **daemon.environment,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "MCP_INSPECTOR_SECRET_STORE": "memory",
    }


def inspect(daemon: DaemonProcess, npm: Path, *words: str) -> Any:
    """Return what the inspector's command line prints."""
    done = subprocess.run(
        [npm / ".bin/node", npm / ".bin/mcp-inspector", "--cli", *words],
        cwd=daemon.home,
        env=surroundings(daemon),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return json.loads(done.stdout)


def test_the_inspector_lists_and_calls_over_http(daemon: DaemonProcess, npm: Path) -> None:
    at = [f"{address(daemon)}/mcp", "--transport", "http"]
    header = ["--header", f"Authorization: Bearer {daemon.token()}"]
    listed = inspect(daemon, npm, *at, "--method", "tools/list", *header)
    names = [tool["name"] for tool in listed["tools"]]
    assert {"echo", "test_simple_text"} <= set(names)
    call = ["--method", "tools/call", "--tool-name", "echo", "--tool-arg", "text=hello"]
    called = inspect(daemon, npm, *at, *call, *header)
    assert called["content"] == [{"type": "text", "text": "hello"}]
    read = inspect(daemon, npm, *at, "--method", "resources/read", "--uri", "test://static-text", *header)
    assert read["contents"][0]["text"] == "This is the content of the static text resource."
    prompts = inspect(daemon, npm, *at, "--method", "prompts/list", *header)["prompts"]
    assert "test_simple_prompt" in [prompt["name"] for prompt in prompts]


def test_the_documented_commands_of_the_inspector_run_on_the_node_that_is_there(
    daemon: DaemonProcess, npm: Path
) -> None:
    (block,) = (block for block in blocks((DOCS / "mcp.md").read_text()) if "inspector" in block.marks)
    commands = block.text.replace("http://127.0.0.1:3120", address(daemon))
    # What the commands name is here already: npx fetches what is not, and this test nothing.
    (daemon.home / "node_modules").symlink_to(npm)
    offline = {"npm_config_offline": "true", "TOKEN": daemon.token()}
    done = subprocess.run(
        ["sh", "-e"],
        input=commands,
        cwd=daemon.home,
        env=surroundings(daemon) | offline,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    answers, at = [], 0
    while rest := done.stdout[at:].lstrip():
        found, length = json.JSONDecoder().raw_decode(rest)
        answers.append({tool["name"] for tool in found["tools"]})
        at = len(done.stdout) - len(rest) + length
    assert len(answers) == 2
    assert all("echo" in names for names in answers)


def documented() -> list[tuple[str, dict[str, Any]]]:
    """Return the configuration of each client in the document that starts a command."""
    found = []
    for block in blocks((DOCS / "mcp.md").read_text()):
        if "client" in block.marks:
            whole = tomllib.loads(block.text) if block.language == "toml" else json.loads(block.text)
            ((key, servers),) = whole.items()
            found.append((key, servers["prx"]))
    return found


@pytest.mark.parametrize(("key", "server"), documented(), ids=[key for key, _ in documented()])
def test_a_documented_configuration_of_a_client_leads_to_the_daemon(
    daemon: DaemonProcess, npm: Path, tmp_path: Path, key: str, server: dict[str, Any]
) -> None:
    config = tmp_path / "client.json"
    config.write_text(json.dumps({"mcpServers": {key: server}}))
    chosen = ["--config", str(config), "--server", key]
    listed = inspect(daemon, npm, *chosen, "--method", "tools/list")
    assert "echo" in [tool["name"] for tool in listed["tools"]]
