"""Client libraries take a second and 50 MB: nothing loads one before a provider is configured."""

import subprocess
import sys

_MODULES = ("prx.daemon.process", "prx.daemon.run", "prx.cli.doctor.examination", "prx.agent.providers.chain")
_LIBRARIES = ("anthropic", "google", "openai", "pydantic_ai")


def test_neither_the_daemon_nor_the_command_line_imports_a_client_library() -> None:
    program = (
        f"import sys, {', '.join(_MODULES)}; print([name for name in {_LIBRARIES} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert done.stdout.strip() == "[]"
