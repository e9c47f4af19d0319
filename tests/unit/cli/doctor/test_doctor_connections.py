"""What `prx doctor` says of where the daemon listens and what it connects to."""

import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.unit.cli.doctor.conftest import Examine


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_another_program_has_is_told_with_its_name(
    examine: Examine, home: Path, taken_port: int
) -> None:
    (home / "prx.toml").write_text(f'[daemon]\ndata_dir = "data"\n[gateway]\nport = {taken_port}\n')
    code, findings = examine()
    [finding] = findings["port"]
    assert code == 1
    assert f"(pid {os.getpid()}) listens on 127.0.0.1:{taken_port}" in finding["what"]


def test_an_address_of_another_machine_is_told(examine: Examine, home: Path) -> None:
    (home / "prx.toml").write_text(
        '[daemon]\ndata_dir = "data"\n[gateway]\nhost = "192.0.2.1"\nallow_public_bind = true\n'
    )
    assert "Cannot assign requested address" in examine()[1]["port"][0]["what"]


def test_connections_that_cannot_be_made_are_told_without_their_secrets(examine: Examine, home: Path) -> None:
    (home / "server").write_text("#!/bin/sh\n")
    (home / "server").chmod(0o700)
    code, findings = examine(
        more=f"""
[mcp.servers.missing]
command = "no-such-program"
[mcp.servers.here]
command = "./server"
cwd = "{home}"
[mcp.servers.path]
command = "server"
env = {{ PATH = "{home}" }}
[mcp.servers.off]
command = "no-such-program"
enabled = false
[channels_config.pigeon]
bot_token = "hunter2"
[channels_config.open]
dm_policy = "open"
[channels_config.off]
enabled = false
[[hooks.endpoints]]
url = "https://example.com"
[[hooks.endpoints]]
url = "https://example.com"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""
    )
    assert code == 1
    assert [finding["what"] for check in ("MCP servers", "channels", "webhooks") for finding in findings[check]] == [
        "mcp.servers.missing.command: the program no-such-program is not on the PATH",
        'channels_config.pigeon: this PRX has no adapter for channels of the type "pigeon"',
        "channels_config.pigeon: nobody may talk to it",
        'channels_config.open: this PRX has no adapter for channels of the type "open"',
        "hooks.endpoints.0: it has no secret",
    ]  # fmt: skip
    assert "hunter2" not in str(findings)


def test_language_models_that_cannot_be_asked_are_found(
    examine: Examine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("no_proxy", "*")
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        code, findings = examine(
            more=f"""
[provider]
name = "anthropic"
model = "m"
fallback = ["there/m", "ollama", "wrong/m", "gone/m", "parrot"]
[provider.others.there]
base_url = "http://127.0.0.1:{server.getsockname()[1]}/v1"
[provider.others.wrong]
base_url = "https://user:hunter2@[::1"
[provider.others.gone]
base_url = "http://user:hunter2@127.0.0.1:9/v1"
"""
        )
    found = findings["language models"]
    assert code == 1
    assert [(finding["level"], finding["what"].partition(":")[0]) for finding in found] == [
        ("problem", 'provider "anthropic" needs a key'),
        ("problem", 'provider "ollama" needs a model'),
        ("problem", "provider.others.wrong.base_url is no address"),
        ("problem", 'the server of provider "gone" at 127.0.0.1'),
        ("advice", 'there is no provider "parrot"'),
    ]
    assert "hunter2" not in str(findings)
