"""The official conformance suite looks at PRX as a client, scenario by scenario."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.npm_servers import npm_servers

pytestmark = pytest.mark.slow

SCENARIOS: Final = (
    "initialize",
    "tools_call",
    "sse-retry",
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/pre-registration",
    "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/resource-mismatch",
    "auth/client-credentials-basic",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
    "auth/scope-step-up",
    "auth/basic-cimd",
    "auth/2025-03-26-oauth-metadata-backcompat",
    "elicitation-sep1034-client-defaults",
)
LEFT_OUT: Final = {
    "auth/client-credentials-jwt": "an extension that PRX has not: credentials are a secret, not a signed assertion",
    "auth/cross-app-access-complete-flow": "an extension that PRX has not: it takes a company's identity provider",
}


@pytest.fixture(scope="session")
def npm(pytestconfig: pytest.Config) -> Path:
    return npm_servers(pytestconfig.cache.mkdir("npm"))


async def run(npm: Path, home: Path, *words: str) -> tuple[int | None, str]:
    suite = await asyncio.create_subprocess_exec(
        npm / ".bin/node", npm / ".bin/conformance", *words,
        cwd=home, env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    told, _ = await asyncio.wait_for(suite.communicate(), 300)
    return suite.returncode, told.decode()


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_the_official_suite_is_content_with_the_client(
    npm: Path, tmp_path: Path, scenario: str
) -> None:
    command = f"{sys.executable} -m tests.support.conformance_client"
    # The suite's own 30 s are soon over where the machine is busy: most of them is for Python to start.
    words = ("--command", command, "--scenario", scenario, "--timeout", "240000")
    code, told = await run(npm, tmp_path, "client", *words)
    assert code == 0, told


async def test_every_scenario_is_run_or_left_out_for_a_reason(npm: Path, tmp_path: Path) -> None:
    _, told = await run(npm, tmp_path, "list")
    listed = told.partition("Client scenarios")[2]
    names = {line.split()[1] for line in listed.splitlines() if line.startswith("  - ")}
    assert names == {*SCENARIOS, *LEFT_OUT}
