"""The command line finds its daemon whatever became of the configuration and the certificate since it started."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.e2e.conftest import StartDaemon
from tests.e2e.daemon_process import DaemonProcess


def types(daemon: DaemonProcess, *words: str) -> tuple[int, str, str]:
    """Run a command beside the daemon; return its exit code and what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "prx", *words],
        cwd=daemon.home, env=daemon.environment, capture_output=True, check=False, text=True,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "broken",
    ['[agent]\nmax_turns = "many"\n', "[agent\nmax_turns = 5\n", "port =\n[daemon]\nlog_level = debug\n"],
)
def test_a_broken_configuration_keeps_no_command_from_a_running_daemon(
    start_daemon: StartDaemon, tmp_path: Path, broken: str
) -> None:
    file = tmp_path / "prx.toml"
    file.write_text(f'[daemon]\ndata_dir = "{tmp_path}/elsewhere"\n[plugins]\ndirectory = "{tmp_path}"\n')
    daemon = start_daemon()
    daemon.event("ready")
    file.write_text(
        f'{broken}\n[daemon]\ndata_dir = "{tmp_path}/elsewhere"\n'.replace("[daemon]\nlog", "log")
    )
    daemon.event("the configuration was refused, the old one stays")
    code, shown, _ = types(daemon, "status", "--json")
    assert (code, json.loads(shown)["problems"][0]["unit"]) == (1, "config.file")
    assert "was refused" in types(daemon, "logs")[1]
    for words in (
        ["plugin", "list"],
        ["tools"],
        ["config", "show"],
        ["config", "path"],
        ["secret", "list"],
        ["auth", "list"],
        ["auth", "token"],
    ):
        assert types(daemon, *words)[0] == 0, words
    code, shown, _ = types(daemon, "doctor", "--json")
    report = json.loads(shown)
    assert report["daemon"] == {"running": True, "pid": str(daemon.process.pid)}
    assert {finding["check"] for finding in report["findings"]} >= {"configuration", "daemon"}
    assert daemon.stop() == 0
    code, shown, told = types(daemon, "logs")
    assert (code, "was refused" in shown) == (0, True)
    assert f"this is the log in {tmp_path}/elsewhere all the same" in told
    assert types(daemon, "status")[0] == types(daemon, "auth", "token")[0] == 2


def test_a_changed_data_directory_is_looked_into_after_the_restart(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    daemon = start_daemon()
    daemon.event("ready")
    assert types(daemon, "config", "set", "daemon.data_dir", str(tmp_path / "other"))[0] == 0
    assert types(daemon, "status")[0] == 0
    assert types(daemon, "auth", "token")[0] == 0
    assert not (tmp_path / "other").exists()
    assert daemon.stop() == 0
    later = start_daemon()
    later.event("ready")
    assert types(later, "status")[0] == 0
    assert (tmp_path / "other" / "prx.lock").exists()


def test_a_daemon_with_any_certificate_is_talked_to_and_a_stranger_is_not(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    """One that an authority signed for another name and that has ended, and is renewed on disk meanwhile."""
    _write_certificate(tmp_path, ended=True)
    (tmp_path / "prx.toml").write_text('[gateway]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    (tmp_path / "plugins").mkdir()
    daemon = start_daemon()
    assert daemon.event("ready")["url"].startswith("https://127.0.0.1:")
    assert types(daemon, "status")[0] == 0
    _write_certificate(tmp_path, ended=False)
    assert types(daemon, "status")[0] == 0
    announced = daemon.data_dir / "prx.url"
    url, _, certificate = announced.read_text().partition("\n")
    announced.write_text(f"{url}\n{certificate[::-1]}")
    code, _, told = types(daemon, "status")
    assert (code, "another certificate" in told) == (5, True)


def test_an_encrypted_key_is_refused_and_nobody_is_asked(start_daemon: StartDaemon, tmp_path: Path) -> None:
    _write_certificate(tmp_path, ended=False, password=b"secret")
    (tmp_path / "prx.toml").write_text('[gateway]\ntls_cert = "c.pem"\ntls_key = "k.pem"\n')
    daemon = start_daemon()
    assert daemon.ended() == 2
    assert "the key is encrypted" in daemon.text[-1]
    assert "pass phrase" not in "".join(daemon.text)


def _write_certificate(directory: Path, *, ended: bool, password: bytes | None = None) -> None:
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer, subject = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        for name in ("authority", "prx.example.com")
    )
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=9))
        .not_valid_after(now + timedelta(days=-1 if ended else 90))
        .sign(authority, hashes.SHA256())
    )
    encryption = (
        serialization.NoEncryption() if password is None else serialization.BestAvailableEncryption(password)
    )
    (directory / "c.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "k.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    (directory / "k.pem").chmod(0o600)
