"""Python environments beside the tests' own: for programs whose dependencies are not to mix with those of PRX."""

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from tests.support.locks import one_at_a_time


def environment(cache: Path, lock: Path) -> Path:
    """Return the interpreter of an environment with what `lock` names and nothing else.

    It is made once for each state of that file and each Python, and kept in `cache`; who comes second waits.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    made = cache / f"{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}-{version}"
    with one_at_a_time(cache / "lock"):
        if not (made / "made").exists():
            shutil.rmtree(made, ignore_errors=True)
            venv.create(made, symlinks=True, with_pip=False)
            # Where the tests' environment has no pip of its own, the interpreter under it lends one.
            lender = sys.executable if _has_pip(sys.executable) else sys._base_executable  # type: ignore[attr-defined]
            command = (lender, "-m", "pip", "--python", str(made / "bin/python"), "install", "--quiet")
            options = ("--disable-pip-version-check", "--require-hashes", "-r", str(lock))
            done = subprocess.run(
                (*command, *options), capture_output=True, text=True, timeout=600, check=False
            )
            assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
            (made / "made").touch()
    return made / "bin/python"


def _has_pip(python: str) -> bool:
    return (
        subprocess.run((python, "-m", "pip", "--version"), capture_output=True, check=False).returncode == 0
    )
