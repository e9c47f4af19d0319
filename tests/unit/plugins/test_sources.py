"""What lies in the plugins directory: found without reading it, read without being led astray."""

import gzip
import hashlib
import os
import socket
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.plugins.component_binary import MAX_SECTIONS, PREAMBLE
from prx.plugins.errors import LoadError
from prx.plugins.sources import (
    MAX_WASM_BYTES,
    Names,
    Source,
    check_component,
    is_unfinished,
    read,
    scan,
    source_at,
)
from tests.components.corpus import component, names
from tests.support.packages import archive, package
from tests.support.packages import contents as package_contents

MANIFEST = '[plugin]\nname = "weather"\nversion = "1.2.0"\n'


def install(
    directory: Path, name: str = "weather", *, manifest: str = MANIFEST, wasm: bytes = PREAMBLE
) -> Path:
    plugin = directory / name
    plugin.mkdir(parents=True)
    (plugin / "plugin.toml").write_text(manifest)
    (plugin / "plugin.wasm").write_bytes(wasm)
    return plugin


def found(path: Path) -> Source:
    source = source_at(path)
    assert source is not None
    return source


def refused(path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        read(found(path))
    return caught.value.message


def test_a_bare_file_is_a_plugin_named_like_it(tmp_path: Path) -> None:
    (tmp_path / "my_tool-2.wasm").write_bytes(b"content")
    contents, wasm = read(found(tmp_path / "my_tool-2.wasm"))
    assert (contents.name, contents.version, contents.manifest) == ("my_tool-2", "0.0.0", None)
    assert wasm == b"content"


def test_a_directory_with_a_manifest_is_a_plugin_named_by_it(tmp_path: Path) -> None:
    contents, wasm = read(found(install(tmp_path, "whatever", wasm=b"content")))
    assert (contents.name, contents.version, wasm) == ("weather", "1.2.0", b"content")
    assert contents.manifest is not None


def test_a_package_is_a_plugin_named_by_its_manifest(tmp_path: Path) -> None:
    path = package(tmp_path, "weather", "1.3.0", wasm=b"content", more="[resources]\npool_size = 1\n")
    contents, wasm = read(found(path))
    assert (contents.name, contents.version, wasm) == ("weather", "1.3.0", b"content")
    assert [warning.split()[0] for warning in contents.warnings] == ["[resources]"]
    other = path.rename(tmp_path / "other.prxplugin")
    assert read(found(other))[0].warnings[1] == (
        'the file is named "other.prxplugin", and what is in it "weather-1.3.0.prxplugin": rename it, lest people '
        "mistake it"
    )


def test_the_digests_and_the_signature_are_of_what_was_read(tmp_path: Path) -> None:
    (tmp_path / "weather.wasm").write_bytes(b"content")
    (tmp_path / "weather.wasm.sig").write_bytes(b"signed")
    directory = install(tmp_path, wasm=b"content")
    (directory / "plugin.sig").write_bytes(b"signed")
    files = package_contents("weather", wasm=b"content") | {"plugin.sig": b"signed"}
    (tmp_path / "w.prxplugin").write_bytes(gzip.compress(archive(files)))
    for name, manifest in (
        ("weather.wasm", b""),
        ("weather", MANIFEST.encode()),
        ("w.prxplugin", MANIFEST.encode()),
    ):
        contents = read(found(tmp_path / name))[0]
        assert contents.digest == hashlib.sha256(b"content").hexdigest()
        assert contents.manifest_digest == hashlib.sha256(manifest).hexdigest()
        assert contents.signature == b"signed"


def test_a_signature_that_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "weather.wasm").write_bytes(PREAMBLE)
    (tmp_path / "weather.wasm.sig").symlink_to("nowhere")
    assert "weather.wasm.sig is a symbolic link" in refused(tmp_path / "weather.wasm")


def test_only_wasm_files_packages_and_directories_with_a_manifest_are_plugins(tmp_path: Path) -> None:
    install(tmp_path)
    (tmp_path / "a.wasm").touch()
    (tmp_path / "dangling.wasm").symlink_to("nowhere")
    (tmp_path / "notes.txt").touch()
    (tmp_path / "upper.WASM").touch()
    (tmp_path / ".hidden.wasm").touch()
    (tmp_path / "a.wasm.sig").touch()
    (tmp_path / "b.prxplugin").touch()
    (tmp_path / ".hidden.prxplugin").touch()
    (tmp_path / "directory.prxplugin").mkdir()
    (tmp_path / "just-a-directory").mkdir()
    (tmp_path / "directory.wasm").mkdir()
    assert [source.path.name for source in scan(tmp_path)] == [
        "a.wasm", "b.prxplugin", "dangling.wasm", "weather",
    ]  # fmt: skip


def test_a_directory_whose_name_ends_like_a_component_is_still_a_directory(tmp_path: Path) -> None:
    contents, wasm = read(found(install(tmp_path, "weather.wasm")))
    assert (contents.name, wasm) == ("weather", PREAMBLE)


@pytest.mark.parametrize(
    "name",
    [
        "Weather.wasm",
        "2fast.wasm",
        "a--b.wasm",
        "a b.wasm",
        "é.wasm",
        "a\n.wasm",
        "_a.wasm",
        f"{'a' * 65}.wasm",
    ],
)
def test_a_file_whose_name_is_no_plugin_name_says_what_one_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(PREAMBLE)
    assert "gives no plugin name: use lower-case letters" in refused(tmp_path / name)


def test_a_component_may_lie_deeper_in_its_directory(tmp_path: Path) -> None:
    plugin = install(tmp_path, manifest=MANIFEST + 'wasm = "build/deep/w.wasm"\n')
    (plugin / "build" / "deep").mkdir(parents=True)
    (plugin / "build" / "deep" / "w.wasm").write_bytes(b"deep")
    assert read(found(plugin))[1] == b"deep"


def _as_link(path: Path) -> None:
    path.rename(path.with_suffix(".real"))
    path.symlink_to(path.with_suffix(".real"))


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _as_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _as_socket(path: Path) -> None:
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


_STRANGE_FILES: list[tuple[Callable[[Path], None], str]] = [
    (_as_link, "is a symbolic link"),
    (_as_pipe, "is not a regular file"),
    (_as_directory, "is not a regular file"),
    (_as_socket, "cannot be read"),
    (Path.unlink, "cannot be read: No such file"),
]


@pytest.mark.parametrize(("make", "reason"), _STRANGE_FILES)
def test_a_component_that_is_no_regular_file_is_refused(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    plugin = install(tmp_path)
    make(plugin / "plugin.wasm")
    assert f"plugin.wasm {reason}" in refused(plugin)
    assert not is_unfinished(found(plugin))


@pytest.mark.parametrize(("make", "reason"), _STRANGE_FILES[:2])
def test_a_bare_file_that_is_no_regular_file_is_refused(
    make: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    (tmp_path / "weather.wasm").write_bytes(PREAMBLE)
    make(tmp_path / "weather.wasm")
    assert f"weather.wasm {reason}" in refused(tmp_path / "weather.wasm")


def test_a_link_on_the_way_to_the_component_is_refused(tmp_path: Path) -> None:
    plugin = install(tmp_path, manifest=MANIFEST + 'wasm = "build/plugin.wasm"\n')
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "plugin.wasm").write_bytes(PREAMBLE)
    (plugin / "build").symlink_to(outside)
    assert "build is a symbolic link" in refused(plugin)


def test_a_path_that_no_file_system_takes_is_a_load_error(tmp_path: Path) -> None:
    plugin = install(tmp_path, manifest=MANIFEST + f'wasm = "{"a" * 300}/plugin.wasm"\n')
    assert "cannot be read" in refused(plugin)


def test_a_component_has_128_mib_at_most(tmp_path: Path) -> None:
    path = tmp_path / "giant.wasm"
    path.touch()
    os.truncate(path, MAX_WASM_BYTES + 1)
    assert refused(path) == f"giant.wasm has {MAX_WASM_BYTES + 1} bytes, at most {MAX_WASM_BYTES} are allowed"


def test_sources_are_grouped_by_the_plugin_name_they_carry(tmp_path: Path) -> None:
    install(tmp_path, "a")
    install(tmp_path, "b")
    (tmp_path / "weather.wasm").touch()
    (tmp_path / "other.wasm").touch()
    package(tmp_path, "weather")
    grouped = Names().by_name(tmp_path)
    assert {name: [source.path.name for source in sources] for name, sources in grouped.items()} == {
        "weather": ["a", "b", "weather-1.2.0.prxplugin", "weather.wasm"],
        "other": ["other.wasm"],
    }


def test_a_directory_keeps_its_name_while_its_manifest_cannot_be_read(tmp_path: Path) -> None:
    known = Names()
    plugin = install(tmp_path, "directory")
    assert list(known.by_name(tmp_path)) == ["weather"]
    (plugin / "plugin.toml").write_text("[plugin")
    assert list(known.by_name(tmp_path)) == ["weather"]
    assert list(Names().by_name(tmp_path)) == ["directory"]
    (plugin / "plugin.toml").write_text(MANIFEST.replace("weather", "climate"))
    assert list(known.by_name(tmp_path)) == ["climate"]


def test_a_package_keeps_its_name_while_it_cannot_be_read_and_takes_nobodys(tmp_path: Path) -> None:
    known = Names()
    path = package(tmp_path, "weather")
    whole = path.read_bytes()
    assert list(known.by_name(tmp_path)) == ["weather"]
    path.write_bytes(b"damaged")
    assert list(known.by_name(tmp_path)) == ["weather"]
    assert list(Names().by_name(tmp_path)) == ["weather-1.2.0.prxplugin"]
    path.write_bytes(whole)
    assert list(known.by_name(tmp_path)) == ["weather"]


def test_a_scan_reads_only_packages_that_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, "weather")
    known = Names()
    known.by_name(tmp_path)
    monkeypatch.setattr("prx.plugins.sources.read_package_manifest", pytest.fail)
    assert list(known.by_name(tmp_path)) == ["weather"]


@pytest.mark.parametrize("name", ["weather", "weather.wasm"])
def test_a_signature_that_comes_changes_or_goes_changes_the_stamp(name: str, tmp_path: Path) -> None:
    if name == "weather":
        signature = install(tmp_path) / "plugin.sig"
    else:
        (tmp_path / name).write_bytes(PREAMBLE)
        signature = tmp_path / "weather.wasm.sig"
    stamps = [found(tmp_path / name).stamp]
    for content in (b"one", b"three"):
        signature.write_bytes(content)
        stamps.append(found(tmp_path / name).stamp)
    assert len(set(stamps)) == 3
    signature.unlink()
    assert found(tmp_path / name).stamp == stamps[0]


def _stamp(known: Names, directory: Path) -> object:
    [[source]] = known.by_name(directory).values()
    return source.stamp


@pytest.mark.parametrize("wasm", ["plugin.wasm", "build/out.wasm"])
def test_a_changed_component_changes_the_stamp_of_its_plugin(wasm: str, tmp_path: Path) -> None:
    plugin = install(tmp_path, manifest=MANIFEST + f'wasm = "{wasm}"\n')
    (plugin / wasm).parent.mkdir(exist_ok=True)
    known = Names()
    before = _stamp(known, tmp_path)
    for content in (b"one", b"three", b"seven of them"):
        (plugin / wasm).write_bytes(content)
        after = _stamp(known, tmp_path)
        assert after != before
        assert _stamp(known, tmp_path) == _stamp(Names(), tmp_path) == after
        before = after
    (plugin / wasm).unlink()
    assert _stamp(known, tmp_path) != before


def test_a_missing_directory_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Names().by_name(tmp_path / "missing")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (component("core-module"), "is a core WebAssembly module, not a component: wrap it with"),
        (b"\0asm\x0e\0\x01\0", "is WebAssembly of an unknown version (0e 00 01 00), expected a component"),
        (b"(component)", "is not WebAssembly: expected a WebAssembly component"),
        (b"\0as", "is not WebAssembly"),
        (b"", "is an empty file: expected a WebAssembly component"),
    ],
)  # fmt: skip
def test_what_is_no_component_is_told_what_it_is(content: bytes, what: str) -> None:
    with pytest.raises(LoadError) as caught:
        check_component(content, "x.wasm")
    assert caught.value.message.startswith(f"x.wasm {what}")


@pytest.mark.parametrize(
    "name", [name for name in names("specimens") + names("hostile") if name != "core-module"]
)
def test_whole_components_are_finished(name: str, tmp_path: Path) -> None:
    check_component(component(name), name)
    (tmp_path / "whole.wasm").write_bytes(component(name))
    assert not is_unfinished(found(tmp_path / "whole.wasm"))


@cache
def _section_ends(wasm: bytes) -> set[int]:
    """Where a cut leaves a shorter file that is well-formed so far: it cannot be told from a whole one."""
    ends, at = {len(PREAMBLE)}, len(PREAMBLE)
    while at < len(wasm):
        length, shift, at = 0, 0, at + 1
        while True:
            byte, at = wasm[at], at + 1
            length, shift = length | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                break
        at += length
        ends.add(at)
    return ends


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cut") / "cut.wasm"


@given(
    name=st.sampled_from(["echo", "prx-tool", "every-type", "adder"]), share=st.floats(0, 1, exclude_max=True)
)
def test_a_component_that_is_cut_short_is_unfinished(name: str, share: float, scratch: Path) -> None:
    wasm = component(name)
    size = int(share * len(wasm))
    scratch.write_bytes(wasm[:size])
    assert is_unfinished(found(scratch)) is (size not in _section_ends(wasm))


@given(content=st.binary(max_size=64) | st.binary(max_size=64).map(PREAMBLE.__add__))
def test_any_bytes_can_be_asked_whether_they_are_unfinished(content: bytes, scratch: Path) -> None:
    scratch.write_bytes(content)
    unfinished = is_unfinished(found(scratch))
    if not PREAMBLE.startswith(content[: len(PREAMBLE)]):
        assert unfinished is False


def test_a_file_of_endless_empty_sections_is_not_read_to_its_end(scratch: Path) -> None:
    """Zeros after a component's first bytes are tens of millions of sections, each of them whole."""
    with scratch.open("wb") as file:
        file.write(PREAMBLE)
        file.truncate(len(PREAMBLE) + 4 * MAX_SECTIONS + 1)
    assert not is_unfinished(found(scratch))
