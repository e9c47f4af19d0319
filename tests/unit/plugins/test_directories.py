"""Directories that plugins ask for: what an entry is, where it leads, and what no plugin is given."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.plugins.directories import Entry, check_entries, find

PARTS = st.lists(st.text("ab.:r", min_size=1, max_size=3).filter(lambda part: part not in {".", ".."}))


def refused(*entries: str) -> str:
    try:
        check_entries(entries)
    except ValueError as error:
        return str(error)
    return "not refused"


def faults(entries: Sequence[str], *private: Path) -> list[str]:
    return list(find(entries, private).faults)


@pytest.mark.parametrize(
    ("text", "path", "writable"),
    [
        ("/srv/notes", "/srv/notes", False),
        ("/srv/notes:ro", "/srv/notes", False),
        ("/srv/notes:rw", "/srv/notes", True),
        ("/srv//notes/./", "/srv/notes", False),
        ("/srv/a:b", "/srv/a:b", False),
        ("/srv/a:rw:ro", "/srv/a:rw", False),
    ],
)
def test_an_entry_is_a_path_and_a_mode(text: str, path: str, writable: bool) -> None:  # noqa: FBT001
    entry = Entry.parse(text)
    assert (str(entry.path), entry.writable) == (path, writable)
    assert Entry.parse(str(entry)) == entry


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "absolute path"),
        ("data", "absolute path"),
        ("~/notes", "absolute path"),
        ("//srv/notes", "absolute path"),
        ("/srv/../etc", 'must not hold ".."'),
        ("/srv/..:rw", 'must not hold ".."'),
        ("/srv/\0", "printable"),
        ("/srv/\n", "printable"),
        ("/srv/\ud800", "printable"),
        ("/" + "a" * 1024, "at most 1024 bytes"),
    ],
)
def test_what_is_no_such_path_is_refused(text: str, why: str) -> None:
    assert why in refused(text)


def test_lists_that_are_not_clear_are_refused() -> None:
    assert "at most 16" in refused(*(f"/srv/{number}" for number in range(17)))
    assert "names /srv/a twice" in refused("/srv/a", "/srv/b", "/srv/a/")
    assert "names /srv/a twice" in refused("/srv/a", "/srv/a:rw")
    assert "of /srv/a/b:rw and /srv/a:ro one lies in the other" in refused("/srv/a/b:rw", "/srv/a")
    check_entries(["/srv/a", "/srv/a/b", "/srv/ab:rw"])


@given(PARTS, PARTS, st.booleans(), st.booleans())
def test_an_entry_covers_what_lies_in_it_with_no_more_than_its_mode(
    one: list[str], below: list[str], wide: bool, wanted: bool  # noqa: FBT001
) -> None:  # fmt: skip
    outer = Entry.parse("/" + "/".join(one) + (":rw" if wide else ":ro"))
    inner = Entry.parse("/" + "/".join([*one, *below]) + (":rw" if wanted else ":ro"))
    assert outer.covers(inner) == (wide or not wanted)
    assert inner.covers(outer) == (not below and (wanted or not wide))


def test_links_are_followed_and_shown(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    [linked] = find([f"{tmp_path}/link:rw"], ()).directories
    assert (str(linked.asked), str(linked.real)) == (f"{tmp_path}/link:rw", f"{tmp_path}/real:rw")
    assert linked.shown == f"{tmp_path}/link:rw (which is {tmp_path}/real)"
    [plain] = find([f"{tmp_path}/real"], ()).directories
    assert plain.shown == f"{tmp_path}/real:ro"


def test_what_is_no_directory_here_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "round").symlink_to("round")
    (tmp_path / "good").mkdir()
    found = find([f"{tmp_path}/{name}" for name in ("file", "good", "none", "round")], ())
    assert [directory.real.path.name for directory in found.directories] == ["good"]
    mend = "create the directory, then reload the plugin"
    assert found.faults == (
        f'filesystem_allowlist: "{tmp_path}/file:ro": is not a directory',
        f'filesystem_allowlist: "{tmp_path}/none:ro": No such file or directory: {mend}',
        f'filesystem_allowlist: "{tmp_path}/round:ro": Too many levels of symbolic links: {mend}',
    )


@pytest.mark.parametrize(
    "path", ["/", "/proc", "/proc/self/root", "/proc/self/task", "/sys", "/dev", "/dev/fd"]
)
def test_the_root_and_what_belongs_to_the_kernel_is_given_to_no_plugin(path: str, tmp_path: Path) -> None:
    [fault] = faults([path])
    assert "which no plugin is given" in fault
    (tmp_path / "link").symlink_to(path)
    [fault] = faults([f"{tmp_path}/link"])
    assert "which no plugin is given" in fault


def test_the_daemons_own_directories_are_given_to_no_plugin_nor_what_holds_them(tmp_path: Path) -> None:
    own = tmp_path / "home" / "data"
    (own / "cache").mkdir(parents=True)
    (tmp_path / "data-of-others").mkdir()
    (tmp_path / "link").symlink_to(own / "cache")
    (tmp_path / "way").symlink_to(own)
    for private in (own, tmp_path / "way"):
        assert [
            fault.split(": ", 2)[2]
            for fault in faults([str(own), f"{own}/cache", f"{tmp_path}/link"], private)
        ] == [f"lies in {own}, the daemon's own: name a directory apart from it"] * 3
        [fault] = faults([f"{tmp_path}/home"], private)
        assert f"holds {own}, the daemon's own" in fault
        assert faults([f"{tmp_path}/data-of-others"], private) == []


def test_links_that_lead_to_one_place_with_two_modes_are_told(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a/b")
    [fault] = faults([f"{tmp_path}/a", f"{tmp_path}/link:rw"])
    assert f"of {tmp_path}/a:ro and {tmp_path}/a/b:rw one lies in the other" in fault


def test_a_directory_that_became_a_link_or_went_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "c" / "b").mkdir(parents=True)
    [directory] = find([f"{tmp_path}/a/b"], ()).directories
    with directory.opened() as path:
        assert Path(path).samefile(tmp_path / "a/b")
        (tmp_path / "a").rename(tmp_path / "x")
        (tmp_path / "a").symlink_to("c")
        assert Path(path).samefile(tmp_path / "x/b")
    with pytest.raises(OSError, match="leads elsewhere now"), directory.opened():
        pass
    (tmp_path / "a").unlink()
    with pytest.raises(FileNotFoundError), directory.opened():
        pass
