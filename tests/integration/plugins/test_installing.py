"""Installing plugins and replacing them: checked before, in place by a rename, and one of each name at every moment."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prx.core.errors import BadRequestError, ConflictError, PrxError, UnavailableError
from prx.plugins.installer import Part
from prx.plugins.signer import generate, sign
from prx.plugins.sources import source_at
from prx.plugins.staging import Upload, place
from tests.components.corpus import component
from tests.support.packages import contents, package
from tests.support.plugin_host import PluginHost
from tests.support.uploads import install, parts
from tests.support.waiting import eventually


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    outside = tmp_path / "outside"
    outside.mkdir()
    return outside


def bare(directory: Path, name: str, specimen: str) -> Path:
    path = directory / f"{name}.wasm"
    path.write_bytes(component(specimen))
    return path


def signed(path: Path, key_file: Path) -> Path:
    source = source_at(path)
    assert source is not None
    return sign(source, key_file)[0]


def files(host: PluginHost) -> list[str]:
    return sorted(path.name for path in host.directory.iterdir())


async def refused(host: PluginHost, kind: type[PrxError], *uploaded: Path) -> str:
    """Return why `uploaded` is refused, having seen that the directory is what it was."""
    before = files(host)
    with pytest.raises(kind) as caught:
        await install(host, *uploaded)
    assert files(host) == before
    return caught.value.message


async def test_a_new_package_serves_when_the_answer_comes(host: PluginHost, outside: Path) -> None:
    async with host.running():
        path = package(outside, "parrot").rename(outside / "any.prxplugin")
        plugin, new = await install(host, path)
        assert (plugin.name, plugin.version, plugin.status, new) == ("parrot", "1.2.0", "loaded", True)
        assert files(host) == ["parrot-1.2.0.prxplugin"]
        assert plugin.detail()["warnings"] == []
        assert await host.output("echo", {"text": "hello"}) == "hello"


async def test_the_directory_is_made_where_there_is_none(host: PluginHost, outside: Path) -> None:
    host.directory.rmdir()
    async with host.running():
        await install(host, bare(outside, "parrot", "echo"))
        assert files(host) == ["parrot.wasm"]


async def test_a_newer_package_takes_the_place_of_the_older_one_without_a_failed_call(
    host: PluginHost, outside: Path
) -> None:
    """Whoever looks at the directory meanwhile always finds exactly one of them."""
    found: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            found.append(sum(path.suffix == ".prxplugin" for path in host.directory.iterdir()))

    async def call() -> None:
        while not done.is_set():
            assert await host.output("echo", {"text": "x"}) == "x"

    async with host.running():
        await install(host, package(outside, "parrot"))
        looking = asyncio.create_task(asyncio.to_thread(look))
        calling = asyncio.create_task(call())
        for minor in range(3, 9):
            plugin, new = await install(host, package(outside, "parrot", f"1.{minor}.0"))
            assert (plugin.version, plugin.error, new) == (f"1.{minor}.0", None, False)
            assert files(host) == [f"parrot-1.{minor}.0.prxplugin"]
            assert plugin.number == minor - 1
        done.set()
        await asyncio.gather(looking, calling)
    assert set(found) == {1}


async def test_a_package_under_another_name_is_replaced_by_one_under_its_own(
    host: PluginHost, outside: Path
) -> None:
    package(host.directory, "parrot").rename(host.directory / "odd.prxplugin")
    async with host.running():
        await host.until("parrot", "loaded")
        plugin, new = await install(host, package(outside, "parrot", "1.2.0"))
        assert (files(host), new, plugin.status) == (["parrot-1.2.0.prxplugin"], False, "loaded")


async def test_a_bare_file_is_replaced(host: PluginHost, outside: Path) -> None:
    async with host.running():
        await install(host, bare(outside, "sum", "adder"))
        plugin, new = await install(host, bare(outside, "sum", "counter"))
        assert (plugin.capabilities, new, files(host)) == (["tool:next"], False, ["sum.wasm"])


async def test_a_bare_file_brings_its_signature_along(
    host: PluginHost, outside: Path, tmp_path: Path
) -> None:
    key_file = tmp_path / "author.key"
    key = generate(key_file)
    host.configure(require_signature=True, trusted_keys=(key,))
    async with host.running():
        path = bare(outside, "sum", "adder")
        assert "it is not signed" in await refused(host, BadRequestError, path)
        signature = signed(path, key_file)
        plugin, _ = await install(host, path, signature)
        assert plugin.detail()["signature"] == {"key": key, "trusted": True}
        old = signature.read_bytes()
        bare(outside, "sum", "counter")
        assert "its signature does not fit" in await refused(host, BadRequestError, path, signature)
        plugin, _ = await install(host, path, signed(path, key_file))
        assert (plugin.capabilities, plugin.error) == (["tool:next"], None)
        assert files(host) == ["sum.wasm", "sum.wasm.sig"]
        assert (host.directory / "sum.wasm.sig").read_bytes() == signature.read_bytes() != old
        host.configure(require_signature=False)
        plugin, _ = await install(host, bare(outside, "sum", "adder"))
        assert (plugin.detail()["signature"], files(host)) == (None, ["sum.wasm"])


async def test_what_would_not_load_is_refused_and_nothing_has_changed(
    host: PluginHost, outside: Path
) -> None:
    async with host.running():
        await install(host, package(outside, "parrot"))
        cases = {
            "parrot-2.0.0.prxplugin is a core WebAssembly module": package(
                outside, "parrot", "2.0.0", wasm=component("core-module")
            ),
            "which this host does not offer": package(
                outside, "parrot", "2.2.0", wasm=component("unknown-import")
            ),
            "no gzipped tar": outside / "damaged.prxplugin",
            "gives no plugin name": bare(outside, "Parrot", "echo"),
            'unknown key "foo"': package(outside, "parrot", "2.1.0", more="foo = 1\n"),
        }
        (outside / "damaged.prxplugin").write_bytes(b"damaged")
        for why, path in cases.items():
            assert why in await refused(host, BadRequestError, path)
        plugin = host.plugin("parrot")
        assert (plugin.version, plugin.error, plugin.number) == ("1.2.0", None, 1)
        assert await host.output("echo", {"text": "x"}) == "x"


async def test_a_plugin_that_traps_when_it_starts_is_refused(host: PluginHost, outside: Path) -> None:
    async with host.running():
        assert "it does not start" in await refused(
            host, BadRequestError, bare(outside, "bad", "trap-at-start")
        )


async def test_another_form_of_an_installed_plugin_is_refused_by_its_path(
    host: PluginHost, outside: Path
) -> None:
    host.drop("echo", manifest=contents("parrot")["plugin.toml"].decode())
    host.drop("adder")
    async with host.running():
        assert f"as {host.directory / 'echo'}, which is another form (directory)" in await refused(
            host, ConflictError, package(outside, "parrot", "1.3.0")
        )
        assert str(host.directory / "adder.wasm") in await refused(
            host, ConflictError, package(outside, "adder")
        )
        package(host.directory, "parrot")
        assert "two plugins are named" in await refused(
            host, ConflictError, package(outside, "parrot", "1.3.0")
        )


async def test_what_the_directory_holds_is_looked_at_before_anything_is_replaced(
    host: PluginHost, outside: Path
) -> None:
    host.configure(watch=False)
    async with host.running():
        host.drop("echo", manifest=contents("parrot")["plugin.toml"].decode())
        assert "another form" in await refused(host, ConflictError, package(outside, "parrot"))


async def test_a_file_of_another_plugin_is_never_replaced_but_a_damaged_one_is(
    host: PluginHost, outside: Path
) -> None:
    async with host.running():
        other = package(host.directory, "other", wasm=component("adder"))
        other.rename(host.directory / "parrot-1.2.0.prxplugin")
        await host.until("other", "loaded")
        assert 'is the plugin "other": rename that file first' in await refused(
            host, ConflictError, package(outside, "parrot")
        )
        (host.directory / "broken-1.2.0.prxplugin").write_bytes(b"damaged")
        await host.until("broken-1.2.0.prxplugin", "error", "")
        plugin, _ = await install(host, package(outside, "broken"))
        assert (plugin.status, host.names()) == ("loaded", ["broken", "other"])


async def test_a_tool_whose_name_is_taken_leaves_the_version_before_in_place_and_in_service(
    host: PluginHost, outside: Path
) -> None:
    async with host.running():
        await install(host, package(outside, "parrot"))
        await install(host, package(outside, "sum", wasm=component("adder")))
        why = await refused(host, ConflictError, package(outside, "sum", "2.0.0", wasm=component("echo")))
        assert '"echo" is already offered by plugin "parrot"' in why
        plugin = host.plugin("sum")
        assert (plugin.version, plugin.capabilities, plugin.error) == ("1.2.0", ["tool:add"], None)
        assert await host.output("add", {"a": 1, "b": 2}) == 3
        assert "tool_prefix" in await refused(host, ConflictError, bare(outside, "mimic", "echo"))
        assert host.names() == ["parrot", "sum"]


async def test_a_grant_that_is_missing_is_waited_for_and_an_upgrade_that_lacks_one_leaves_the_old_serving(
    host: PluginHost, outside: Path
) -> None:
    asks = '[permissions]\nrequired = ["memory"]\n'
    async with host.running():
        plugin, _ = await install(host, package(outside, "parrot", more=asks))
        assert (plugin.status, files(host)) == ("error", ["parrot-1.2.0.prxplugin"])
        assert "prx plugin grant parrot memory" in str(plugin.error)
        await host.catalogue.decide("parrot", {"memory": True})
        assert plugin.status == "loaded"
        more = asks.replace('"memory"', '"memory", "http-outbound"')
        plugin, new = await install(host, package(outside, "parrot", "1.3.0", more=more))
        assert (plugin.status, plugin.version, new) == ("loaded", "1.2.0", False)
        assert "prx plugin grant parrot http-outbound" in str(plugin.error)
        assert files(host) == ["parrot-1.3.0.prxplugin"]


async def test_a_disabled_plugin_is_replaced_and_stays_disabled(host: PluginHost, outside: Path) -> None:
    async with host.running():
        await install(host, package(outside, "parrot"))
        await host.catalogue.disable("parrot")
        plugin, _ = await install(host, package(outside, "parrot", "1.3.0"))
        assert (plugin.status, plugin.version) == ("disabled", "1.3.0")


@pytest.mark.parametrize(
    "uploaded",
    [
        [],
        [("notes.txt", b"")],
        [("../parrot.wasm", b"")],
        [(".parrot.wasm", b"")],
        [("parrot.wasm\0", b"")],
        [("parrot.wasm", b""), ("other.wasm", b"")],
        [("parrot.wasm", b""), ("other.wasm.sig", b"")],
        [("parrot.prxplugin", b""), ("parrot.prxplugin.sig", b"")],
        [("parrot.wasm", b""), ("parrot.wasm.sig", b" " * 10_000)],
        [("parrot.wasm", b""), ("parrot.wasm.sig", b""), ("parrot.wasm.sig", b"")],
        [("p" * 300 + ".wasm", b"")],
    ],
)
async def test_an_upload_that_is_not_one_plugin_is_refused(
    host: PluginHost, uploaded: list[tuple[str, bytes]]
) -> None:
    async with host.running():
        with pytest.raises(BadRequestError):
            await host.catalogue.install(parts(*uploaded))
        assert files(host) == []


def test_a_version_that_somebody_else_deleted_meanwhile_is_no_matter_of_room(tmp_path: Path) -> None:
    upload = Upload.of(tmp_path, "parrot.wasm")
    upload.begin()
    upload.path.write_bytes(b"newer")
    target = tmp_path / "parrot.wasm"
    with pytest.raises(
        UnavailableError, match=r"parrot\.wasm was changed by somebody else meanwhile: try again"
    ):
        place(upload, target, before=target)
    assert not target.exists()


async def test_a_sender_that_goes_away_leaves_nothing_and_its_place_is_free_again(
    host: PluginHost, outside: Path
) -> None:
    never = asyncio.Event()

    async def stalled() -> AsyncIterator[Part]:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"\0asm"
            await never.wait()

        yield Part("slow.wasm", pieces())

    async with host.running():
        sending = [asyncio.create_task(host.catalogue.install(stalled())) for _ in range(4)]
        await eventually(lambda: len(files(host)) == 4)
        with pytest.raises(UnavailableError, match="4 plugins are being installed already"):
            await install(host, bare(outside, "parrot", "echo"))
        assert host.names() == []
        for task in sending:
            task.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        assert files(host) == []
        await install(host, bare(outside, "parrot", "echo"))


async def test_two_versions_that_come_at_once_follow_each_other(host: PluginHost, outside: Path) -> None:
    versions = [package(outside, "parrot", f"1.{minor}.0") for minor in range(4)]
    async with host.running():
        installed = await asyncio.gather(*(install(host, path) for path in versions))
        assert sorted(new for _, new in installed) == [False, False, False, True]
        assert files(host) == [f"parrot-{host.plugin('parrot').version}.prxplugin"]
        assert host.plugin("parrot").number == 4


async def test_what_a_killed_daemon_received_is_gone_at_the_next_start(host: PluginHost) -> None:
    room = host.directory / ".prx-new.0123456789abcdef"
    room.mkdir()
    bare(room, "parrot", "echo")
    async with host.running():
        assert (files(host), host.names()) == ([], [])
