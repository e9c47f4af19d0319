"""Making packages of directories."""

import os
from pathlib import Path

import pytest

from prx.core.errors import PrxError
from prx.plugins.errors import LoadError
from prx.plugins.package import read_package
from prx.plugins.packing import pack, replace_signature

MANIFEST = '[plugin]\nname = "weather"\nversion = "1.2.0"\nwasm = "build/out.wasm"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    directory = tmp_path / "weather"
    (directory / "build").mkdir(parents=True)
    (directory / "skills" / "forecast").mkdir(parents=True)
    (directory / "plugin.toml").write_text(MANIFEST)
    (directory / "build" / "out.wasm").write_bytes(b"component")
    (directory / "build" / "out.o").write_bytes(b"left out")
    (directory / "README.md").write_text("read me")
    (directory / "skills" / "forecast" / "SKILL.md").write_text("skill")
    (directory / "app.py").write_text("source")
    (directory / ".git").mkdir()
    return directory


def test_a_directory_is_packed_with_what_belongs_into_a_package(directory: Path, tmp_path: Path) -> None:
    made = pack(directory, tmp_path / "out.prxplugin")
    assert made.names == [
        "README.md", "build/out.wasm", "checksums.sha256", "plugin.toml", "skills/forecast/SKILL.md",
    ]  # fmt: skip
    assert made.left_out == [".git", "app.py"]
    found = read_package(made.path)
    assert (found.manifest_text, found.component) == (MANIFEST.encode(), b"component")
    assert found.signature is None


def test_a_package_is_named_after_what_is_in_it(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert pack(directory).path == Path("weather-1.2.0.prxplugin")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["weather", "weather-1.2.0.prxplugin"]


def test_the_same_files_make_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    first = pack(directory, tmp_path / "first.prxplugin").path.read_bytes()
    for path in directory.rglob("*"):
        os.utime(path, (1, 1))
    (directory / "plugin.toml").chmod(0o600)
    assert pack(directory, tmp_path / "second").path.read_bytes() == first


def test_a_signature_is_packed_and_put_in_later_to_the_same_effect(directory: Path, tmp_path: Path) -> None:
    later = pack(directory, tmp_path / "later").path
    replace_signature(later, b"old")
    replace_signature(later, b"signed")
    assert read_package(later).signature == b"signed"
    (directory / "plugin.sig").write_bytes(b"signed")
    assert pack(directory, tmp_path / "packed").path.read_bytes() == later.read_bytes()


@pytest.mark.parametrize(
    ("name", "why"), [("skills/link", "is a symbolic link"), ("README.txt", "is a symbolic link")]
)
def test_links_are_not_followed_into_a_package(name: str, why: str, directory: Path, tmp_path: Path) -> None:
    (directory / name).symlink_to("/etc/hostname")
    with pytest.raises(LoadError, match=why):
        pack(directory, tmp_path / "out.prxplugin")
    assert not (tmp_path / "out.prxplugin").exists()


def test_a_name_that_tar_cannot_hold_is_told(directory: Path, tmp_path: Path) -> None:
    (directory / "skills" / ("a" * 120)).touch()
    with pytest.raises(LoadError, match="too long for a package: shorten it"):
        pack(directory, tmp_path / "out.prxplugin")


def test_a_component_with_a_name_that_means_something_else_is_refused(
    directory: Path, tmp_path: Path
) -> None:
    (directory / "plugin.toml").write_text(MANIFEST.replace("build/out.wasm", "README.md"))
    with pytest.raises(LoadError, match=r'lacks its component "README\.md"'):
        pack(directory, tmp_path / "out.prxplugin")
    assert [path.name for path in tmp_path.iterdir()] == ["weather"]


def test_a_directory_that_cannot_be_written_is_told(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(PrxError, match="cannot be written: No such file"):
        pack(directory, tmp_path / "missing" / "out.prxplugin")
