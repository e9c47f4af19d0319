"""Packages: read without being led astray, whoever made them."""

import gzip
import io
import os
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.plugins import package as package_module
from prx.plugins.archive import MAX_ENTRIES
from prx.plugins.errors import LoadError
from prx.plugins.package import MAX_PACKAGE_BYTES, is_cut_short, read_package, read_package_manifest
from tests.support.packages import archive, checksums, contents, package

WASM = b"the component"
FILES = contents("weather", wasm=WASM)


def written(path: Path, tar: bytes) -> Path:
    path.write_bytes(gzip.compress(tar, compresslevel=1))
    return path


def refused(path: Path) -> str:
    with pytest.raises(LoadError) as caught:
        read_package(path)
    return caught.value.message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weather-1.2.0.prxplugin"


def resummed(**more: bytes) -> dict[str, bytes]:
    """Return a package's files with `more`, everything listed."""
    files = {name: data for name, data in FILES.items() if name != "checksums.sha256"} | more
    return files | {"checksums.sha256": checksums(files)}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_package_of_any_tar_is_read_whole(form: int, path: Path) -> None:
    files = resummed(**{
        "README.md": b"read me", "LICENSE": b"", "CHANGELOG.md": b"c", "skills/forecast/SKILL.md": b"s",
    })  # fmt: skip
    written(path, archive(files | {"plugin.sig": b"signed"}, format=form))
    found = read_package(path)
    assert found.manifest.plugin.name == read_package_manifest(path).plugin.name == "weather"
    assert found.manifest_text == FILES["plugin.toml"]
    assert (found.component, found.signature) == (WASM, b"signed")


def test_a_package_that_tar_made_of_a_directory_is_read(path: Path, tmp_path: Path) -> None:
    """Directories, a leading `./`, times with fractions and owners are what `tar -cz .` writes."""
    directory = tmp_path / "weather"
    (directory / "skills").mkdir(parents=True)
    files = resummed(**{"skills/SKILL.md": b"s"})
    for name, data in files.items():
        (directory / name).write_bytes(data)
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        tar.add(directory, ".")
    assert read_package(path).component == WASM


def test_the_component_may_have_another_name_and_come_first(path: Path) -> None:
    manifest = FILES["plugin.toml"] + b'wasm = "./build/out.wasm"\n'
    files = {"build/out.wasm": WASM, "plugin.toml": manifest}
    written(path, archive(files | {"checksums.sha256": checksums(files)}))
    assert read_package(path).component == WASM


_LONG = "a" * 99 + "/" + "b" * 160


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../plugin.wasm", 'holds "../plugin.wasm", a path that leads out of the package'),
        ("skills/../../x", "leads out of the package"),
        ("skills//x", "says the same twice"),
        ("skills/./x", "says the same twice"),
        ("/etc/passwd", "an absolute path"),
        ("C:/windows", "an absolute path"),
        ("C:x", "an absolute path"),
        ("skills\\x", "a backslash or a control character"),
        ("skills/\x1b[31m", "a backslash or a control character"),
        ("skills/\n", "a backslash or a control character"),
        ("", "leads out of the package"),
        (_LONG, "a name of more than 100 bytes in a header of its own"),
        ("app.py", 'holds "app.py", which no package holds: beside plugin.toml'),
        ("other.wasm", 'holds "other.wasm", which no package holds'),
        ("src/README.md", "which no package holds"),
        ("README.md/x", "which no package holds"),
        ("plugin.toml", 'holds "plugin.toml" twice'),
        ("PLUGIN.toml", 'holds "PLUGIN.toml" twice'),
        ("README.md", 'holds "README.md", which checksums.sha256 does not list'),
    ],
)
def test_a_file_that_has_no_place_in_a_package_is_refused(name: str, why: str, path: Path) -> None:
    tar = archive(FILES, [tarfile.TarInfo(name)], format=tarfile.GNU_FORMAT)
    written(path, tar)
    assert why in refused(path)


def test_a_name_that_is_not_utf_8_is_refused(path: Path) -> None:
    extra = tarfile.TarInfo("skills/\udcff")
    written(path, archive(FILES, [extra], format=tarfile.GNU_FORMAT))
    assert "a name that is not UTF-8" in refused(path)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (tarfile.SYMTYPE, "is a symbolic link"),
        (tarfile.LNKTYPE, "is a hard link"),
        (tarfile.CHRTYPE, "is a device"),
        (tarfile.BLKTYPE, "is a device"),
        (tarfile.FIFOTYPE, "is a named pipe"),
        (tarfile.GNUTYPE_SPARSE, "is a sparse file"),
        (tarfile.CONTTYPE, "is of an unknown kind"),
        (b"Z", "is of an unknown kind"),
    ],
)
def test_what_is_no_plain_file_is_refused(kind: bytes, why: str, path: Path) -> None:
    extra = tarfile.TarInfo("README.md")
    extra.type, extra.linkname = kind, "/etc/passwd"
    written(path, archive(FILES, [extra]))
    assert f'holds "README.md", which {why}: it may hold plain files' in refused(path)


@pytest.mark.parametrize(
    "key", ["path", "size", "linkpath", "GNU.sparse.major", "GNU.sparse.name", "hdrcharset"]
)
def test_an_extended_header_that_changes_what_is_read_is_refused(key: str, path: Path) -> None:
    extra = tarfile.TarInfo("README.md")
    extra.pax_headers = {key: "1"}
    written(path, archive(FILES, [extra], format=tarfile.PAX_FORMAT))
    assert f'sets "{key}" in an extended header' in refused(path)


@pytest.mark.parametrize(
    "record", [b"99 mtime=1\n", b"0 mtime=1\n", b"mtime=1\n", b"10 mtime=1x", b"9 mtime\n\n", b"\0"]
)
def test_a_damaged_extended_header_is_refused(record: bytes, path: Path) -> None:
    about = tarfile.TarInfo("extension")
    about.type, about.size = tarfile.XHDTYPE, len(record)
    tar = about.tobuf(tarfile.USTAR_FORMAT) + record.ljust(512, b"\0") + archive(FILES)
    written(path, tar)
    assert "a damaged extended header" in refused(path)


def test_an_endless_extended_header_is_refused_unread(path: Path) -> None:
    about = tarfile.TarInfo("extension")
    about.type, about.size = tarfile.XGLTYPE, 10**9
    written(path, about.tobuf(tarfile.USTAR_FORMAT))
    assert "an extended header of 1000000000 bytes" in refused(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda files: files.pop("plugin.toml"), "lacks plugin.toml"),
        (lambda files: files.pop("checksums.sha256"), "lacks checksums.sha256"),
        (lambda files: files.pop("plugin.wasm"), 'lists "plugin.wasm", which is no file that it covers'),
        (lambda files: files.update({"plugin.wasm": b"forged"}), '"plugin.wasm" is not what its checksum says'),
        (lambda files: files.update({"plugin.toml": b"forged"}), '"plugin.toml" is not what its checksum says'),
        (lambda files: files.update({"checksums.sha256": b""}), 'line 1: "" is not a line of `sha256sum`'),
        (lambda files: files.update({"checksums.sha256": b"\xff"}), "is not UTF-8 text (byte 0)"),
        (lambda files: files.update({"checksums.sha256": files["checksums.sha256"] * 2}), "twice: leave one line"),
        (lambda files: files.update({"checksums.sha256": files["checksums.sha256"].replace(b"\n", b"\r\n")}),
         "line 1"),
        (lambda files: files.update({"checksums.sha256": checksums({"../x": b""})}), "leads out of the package"),
        (lambda files: files.update({"plugin.toml": b" " * (256 * 1024 + 1)}), "plugin.toml has 262145 bytes"),
        (lambda files: files.update({"plugin.sig": b" " * 8193}), "plugin.sig has 8193 bytes, at most 8192"),
    ],
)  # fmt: skip
def test_a_package_whose_files_and_checksums_do_not_fit_is_refused(
    change: Callable[[dict[str, bytes]], object], why: str, path: Path
) -> None:
    files = dict(FILES)
    change(files)
    written(path, archive(files))
    assert why in refused(path)


def test_checksums_do_not_list_themselves_or_the_signature(path: Path) -> None:
    files = FILES | {"plugin.sig": b"s"}
    listed = {name: files[name] for name in ("plugin.toml", "plugin.wasm", "plugin.sig")}
    written(path, archive(files | {"checksums.sha256": checksums(listed)}))
    assert 'lists "plugin.sig", which is no file that it covers' in refused(path)


def test_the_component_must_be_the_one_that_the_manifest_names(path: Path) -> None:
    files = {"plugin.toml": FILES["plugin.toml"], "other.wasm": WASM}
    written(path, archive(files | {"checksums.sha256": checksums(files)}))
    assert 'holds "other.wasm", which no package holds' in refused(path)
    files = {"plugin.toml": FILES["plugin.toml"]}
    written(path, archive(files | {"checksums.sha256": checksums(files)}))
    assert 'lacks its component "plugin.wasm"' in refused(path)


def test_a_wrong_manifest_is_told_as_in_a_directory(path: Path) -> None:
    files = {"plugin.toml": b"[plugin]\nnam = 1\n", "plugin.wasm": WASM}
    written(path, archive(files | {"checksums.sha256": checksums(files)}))
    assert 'unknown key "nam"; did you mean "name"?' in refused(path)


def test_a_bomb_is_refused_before_it_goes_off(path: Path) -> None:
    """A few hundred kilobytes that unpack to more than a package may have, as documents nobody keeps."""
    about = tarfile.TarInfo("README.md")
    about.size = 2 * MAX_PACKAGE_BYTES
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(about.tobuf())
        for _ in range(2 * MAX_PACKAGE_BYTES // 2**20):
            packed.write(bytes(2**20))
    tracemalloc.start()
    try:
        assert refused(path) == (
            f"the package unpacks to more than {MAX_PACKAGE_BYTES} bytes: leave out what it does not need"
        )
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


def test_a_package_of_too_many_entries_is_refused(path: Path) -> None:
    extra = [tarfile.TarInfo(f"skills/{number}") for number in range(MAX_ENTRIES)]
    written(path, archive(FILES, extra))
    assert f"holds more than {MAX_ENTRIES} entries" in refused(path)


def test_a_component_of_more_than_128_mib_is_refused_unread(path: Path) -> None:
    about = tarfile.TarInfo("plugin.wasm")
    about.size = 128 * 2**20 + 1
    written(path, about.tobuf())
    assert refused(path) == "plugin.wasm has 134217729 bytes, at most 134217728 are allowed"


def test_a_file_that_is_too_large_is_refused_unread(path: Path) -> None:
    path.touch()
    os.truncate(path, MAX_PACKAGE_BYTES + 1)
    assert f"the package has {MAX_PACKAGE_BYTES + 1} bytes" in refused(path)


@pytest.mark.parametrize(
    ("behind", "why"),
    [
        (gzip.compress(archive({"README.md": b"another"})), "something behind its compressed data"),
        (b"\0", "something behind its compressed data"),
    ],
)
def test_what_comes_behind_a_package_is_refused(behind: bytes, why: str, path: Path) -> None:
    path.write_bytes(gzip.compress(archive(FILES)) + behind)
    assert why in refused(path)


def test_what_comes_behind_the_end_of_the_archive_is_refused(path: Path) -> None:
    written(path, archive(FILES) + archive({"README.md": b"another"}))
    assert "something after its end" in refused(path)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04", b"\x1f\x8b" + b"x" * 100, zlib.compress(archive(FILES))]
)
def test_what_is_no_gzip_is_refused(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    assert "the package is" in refused(path)


def test_a_link_to_a_package_is_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(package(tmp_path, "real"))
    assert "is a symbolic link" in refused(path)


def test_no_more_than_the_manifest_is_read_to_learn_a_name(path: Path) -> None:
    path.write_bytes(gzip.compress(archive(FILES | {"README.md": os.urandom(2**20)}))[: 2**19])
    assert read_package_manifest(path).plugin.name == "weather"
    assert "cut short" in refused(path)


def test_a_package_without_a_manifest_has_no_name(path: Path) -> None:
    written(path, archive({"plugin.wasm": WASM}))
    with pytest.raises(LoadError, match=r"lacks plugin\.toml"):
        read_package_manifest(path)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages") / "any.prxplugin"


def read_or_refuse(scratch: Path, content: bytes) -> package_module.Package | None:
    scratch.write_bytes(content)
    try:
        return read_package(scratch)
    except LoadError:
        return None


GOOD = gzip.compress(archive(FILES), mtime=0)


def test_a_package_that_is_cut_short_is_refused_and_looks_unfinished(scratch: Path) -> None:
    for size in range(len(GOOD)):
        assert read_or_refuse(scratch, GOOD[:size]) is None
        assert is_cut_short(scratch), size


def test_a_whole_package_and_what_is_none_do_not_look_unfinished(scratch: Path) -> None:
    for content in (GOOD, b"PK\x03\x04 not gzip"):
        scratch.write_bytes(content)
        assert not is_cut_short(scratch)


def test_a_package_that_is_gone_is_told_so(path: Path) -> None:
    assert refused(path) == "weather-1.2.0.prxplugin cannot be read: No such file or directory"


def _with_header(*fields: tuple[int, bytes]) -> bytes:
    """Return an archive of one empty file with `fields` of its header overwritten, the checksum made to fit."""
    tar = bytearray(archive({"README.md": b""}, format=tarfile.USTAR_FORMAT))
    for at, value in fields:
        tar[at : at + len(value)] = value
    total = sum(tar[:148]) + 8 * ord(" ") + sum(tar[156:512])
    tar[148:156] = b"%06o\0 " % total
    return bytes(tar)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ([(0, b"n" * 100), (345, b"p" * 155)], "a name of more than 255 bytes"),
        ([(124, b"\x80" + bytes(10) + b"\x01")], "gives a size in a form that no package needs"),
        ([(156, b"5"), (124, b"00000000001\0")], "a directory with content"),
    ],
)
def test_headers_that_no_package_needs_are_refused(
    fields: list[tuple[int, bytes]], why: str, path: Path
) -> None:
    assert why in refused(written(path, _with_header(*fields)))


@given(content=st.binary(max_size=2048))
def test_any_bytes_are_refused(content: bytes, scratch: Path) -> None:
    assert read_or_refuse(scratch, content) is None


@given(content=st.binary(max_size=4096))
def test_any_unpacked_bytes_are_refused(content: bytes, scratch: Path) -> None:
    assert read_or_refuse(scratch, gzip.compress(content, 1)) is None


@given(at=st.integers(0, len(archive(FILES)) - 1), value=st.integers(0, 255))
def test_a_byte_that_is_changed_changes_nothing_that_is_read(at: int, value: int, scratch: Path) -> None:
    """It is refused, or it is a byte that says nothing: an owner, a time, a mode."""
    tar = bytearray(archive(FILES))
    tar[at] = value
    found = read_or_refuse(scratch, gzip.compress(bytes(tar), 1))
    assert found is None or (found.manifest_text, found.component) == (FILES["plugin.toml"], WASM)


_NAMES = st.sampled_from(
    ["plugin.toml", "plugin.wasm", "plugin.sig", "checksums.sha256", "README.md", "skills/a", "skills/b/c", "../x",
     "app.py", "./LICENSE", "SKILLS/a", "skills/é"]
)  # fmt: skip
_TAMPERED = st.lists(
    st.tuples(_NAMES, st.binary(max_size=40) | st.sampled_from(list(FILES.values()))), max_size=6
)


@given(files=_TAMPERED, form=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_what_is_read_is_what_the_checksums_cover(
    files: list[tuple[str, bytes]], form: int, scratch: Path
) -> None:
    """Whatever else was put into the archive, a package that is accepted has only files that it lists."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=form) as tar:
        for name, data in [*FILES.items(), *files]:
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    found = read_or_refuse(scratch, gzip.compress(packed.getvalue(), 1))
    if found is not None:
        assert {name for name, _ in files} <= {"plugin.sig"}
        assert found.component == WASM
    else:
        assert files
