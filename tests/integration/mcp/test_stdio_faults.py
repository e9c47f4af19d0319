"""Everything that a server over stdio may do wrong: it costs that server alone, and nothing of it is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from prx.core.errors import UnavailableError
from prx.mcp.client.unit import Timing
from tests.support.logs import logged
from tests.support.mcp_host import SLOW, mcp_host, scripted
from tests.support.processes import children, is_running, open_descriptors
from tests.support.waiting import PATIENCE_SECS, eventually, wait_until

# What answers at all does so in time, also where the machine is busy.
_QUICK_PROBE = Timing(probe_secs=0.1, answer_secs=2.0, settle_secs=0.01)


async def test_a_server_that_is_killed_in_the_middle_of_a_call_fails_that_call_and_comes_back(
    tmp_path: Path,
) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        before = (await host.until("connected")).pid
        asked = [tmp_path / f"asked-{number}" for number in range(3)]
        others = [asyncio.ensure_future(host.call("never", {"touch": str(path)})) for path in asked]
        await eventually(lambda: all(path.exists() for path in asked))
        died = await host.call("die")
        for result in (died, *[await other for other in others]):
            assert result.error is not None
            assert result.error.code == "connection_lost"
            assert "its process was killed by signal 9" in result.error.message
            assert "it may have run or not" in result.error.message
        await eventually(lambda: host.view().pid not in (None, before))
        assert await host.output("echo", {"text": "again"}) == "again"


async def test_a_server_that_closes_its_stdout_and_lives_on_is_told_from_one_that_ended(
    tmp_path: Path,
) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        before = (await host.until("connected")).pid
        result = await host.call("mute")
        assert result.error is not None
        assert result.error.code == "connection_lost"
        assert "its process closed its stdout" in result.error.message
        await eventually(lambda: host.view().pid not in (None, before))
        assert await host.output("echo", {"text": "back"}) == "back"


async def test_during_an_outage_a_call_fails_at_once_and_brings_the_next_attempt_forward(
    tmp_path: Path,
) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}, restarts=SLOW) as host:
        await host.until("connected")
        await host.call("die")
        await host.until("disconnected")
        (problem,) = host.servers.problems()
        assert problem.unit == "mcp.one"
        assert problem.reason == "it is not connected: its process was killed by signal 9"
        assert "prx mcp reconnect one" in problem.action
        calls = []

        def is_connected_by_calls() -> bool:
            if host.view().status != "connected":
                calls.append(asyncio.ensure_future(host.call("echo", {"text": "hello"})))
            return host.view().status == "connected"

        await eventually(is_connected_by_calls)
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [str(result) for result in results if isinstance(result, UnavailableError)]
        assert all("is not connected: its process was killed by signal 9" in text for text in refused)
        # The last one may have begun when the connection was there again.
        assert len(refused) >= max(1, len(results) - 1)
        assert host.servers.problems() == []
        assert await host.output("echo", {"text": "hello"}) == "hello"


async def test_a_server_that_exits_at_once_says_why_in_its_last_words(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        async with mcp_host(tmp_path, {"one": scripted("exits"), "two": scripted()}) as host:
            view = await host.until("disconnected", error="exited with code 7")
            assert view.error == (
                "its process exited with code 7; its last words on stderr: there is no license / for this machine"
            )
            assert view.tools == []
            await host.until("connected", "two")
    spoken = lines.messages("mcp::one")
    assert spoken[:2] == ["there is no license", "for this machine"]
    assert children() == []


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = scripted(command="no-such-program")
    lost = scripted(cwd=str(tmp_path / "nowhere"))
    text = tmp_path / "text"
    text.write_text("I am no program")
    servers = {
        "one": missing,
        "two": lost,
        "three": scripted(command="/no/such"),
        "four": scripted(command=str(text)),
    }
    async with mcp_host(tmp_path, servers) as host:
        await host.until("disconnected", error="its program no-such-program is not on the PATH: install it")
        await host.until("disconnected", "two", error="nowhere does not exist")
        await host.until("disconnected", "three", error="its program /no/such does not exist: install it")
        await host.until(
            "disconnected", "four", error=f"its program {text} cannot be executed: make it executable"
        )


async def test_an_argument_that_no_program_can_be_given_is_told(tmp_path: Path) -> None:
    before = open_descriptors()
    async with mcp_host(tmp_path, {"one": scripted("a\0b")}, restarts=SLOW) as host:
        await host.until("disconnected", error="its process cannot be started: embedded null byte")
    await eventually(lambda: open_descriptors() <= before)


async def test_a_file_that_is_no_program_is_refused_by_the_kernel_and_told(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF rubbish")
    program.chmod(0o755)
    async with mcp_host(tmp_path, {"one": scripted(command=str(program))}) as host:
        await host.until("disconnected", error="cannot be run: Exec format error")


@pytest.mark.parametrize("behaviour", ["hangs", "silent"])
async def test_a_server_that_hangs_on_start_is_given_up_in_time_and_delays_no_other(
    tmp_path: Path, behaviour: str
) -> None:
    servers = {"one": scripted(behaviour, startup_timeout_ms=4000), "two": scripted()}
    async with mcp_host(tmp_path, servers, restarts=SLOW) as host:
        await host.until("connected", "two")
        assert host.view("one").status == "connecting"
        await host.until("disconnected", error="it did not connect within 4 s (startup_timeout_ms)")
        await eventually(lambda: len(children()) == 1)


@pytest.mark.parametrize("behaviour", ["dies-on-discover", "hangs-on-discover"])
async def test_a_server_that_cannot_stand_the_newer_handshake_is_met_with_the_older_one(
    tmp_path: Path, behaviour: str
) -> None:
    async with mcp_host(tmp_path, {"one": scripted(behaviour, startup_timeout_ms=4000)}) as host:
        view = await host.until("connected")
        assert view.protocol_version == "2025-06-18"
        await host.call("die")
        await eventually(lambda: host.view().pid not in (None, view.pid))
        assert host.view().restarts == 2, "it is remembered: the second connection took one attempt"


async def test_rubbish_on_stdout_is_passed_over_and_logged(tmp_path: Path) -> None:
    with logged(tmp_path) as lines:
        async with mcp_host(tmp_path, {"one": scripted("rubbish")}) as host:
            await host.until("connected")
            assert await host.output("garbage") == "after garbage"
    said = lines.messages("mcp::one")
    assert any("Welcome to the server!" in message for message in said)
    assert any("this is no JSON" in message for message in said)


async def test_invalid_utf_8_costs_a_character_and_no_call(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        assert await host.output("latin") == "caf\N{REPLACEMENT CHARACTER}"


async def test_a_line_of_50_megabytes_fails_its_call_alone_and_the_loop_goes_on(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}) as host:
        await host.until("connected")
        long = await host.call("long")
        assert long.error is not None
        assert long.error.code == "output_too_large"
        assert "bytes in one line" in long.error.message
        assert await host.output("echo", {"text": "hello"}) == "hello"
        assert len(await host.output("long", {"bytes": 5_000_000})) == 5_000_000


async def test_a_server_that_stops_answering_is_noticed_by_probing_and_replaced(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted()}, timing=_QUICK_PROBE) as host:
        before = (await host.until("connected")).pid
        assert before is not None
        os.kill(before, signal.SIGSTOP)
        await host.until("disconnected", error="it does not answer any more")
        await eventually(lambda: host.view().pid not in (None, before))
        assert not is_running(before)


async def test_a_server_without_ping_counts_as_alive(tmp_path: Path) -> None:
    pings = tmp_path / "pings"
    pings.touch()
    async with mcp_host(tmp_path, {"one": scripted(f"no-ping={pings}")}, timing=_QUICK_PROBE) as host:
        before = (await host.until("connected")).pid
        await eventually(lambda: pings.read_text() == "ping" * 3)
        assert (host.view().pid, host.view().restarts) == (before, 0)


async def test_a_server_that_reads_no_more_is_refused_calls_instead_of_filling_memory(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted(request_timeout_ms=60_000)}) as host:
        await host.until("connected")
        calls = [asyncio.ensure_future(host.call("deaf"))]
        calls += [asyncio.ensure_future(host.call("echo", {"text": "x" * 1_000_000})) for _ in range(20)]
        done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for call in done:
            assert "does not read what it is sent" in str(call.exception())
        for call in waiting:
            call.cancel()
        await asyncio.wait(waiting)


async def test_a_server_that_floods_the_daemon_slows_down_itself_alone(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted(), "two": scripted()}) as host:
        await host.until("connected")
        await host.until("connected", "two")
        flood = asyncio.ensure_future(host.call("flood"))
        for number in range(200):
            result = await asyncio.wait_for(host.call("mcp__two__echo", {"text": str(number)}), PATIENCE_SECS)
            assert result.output == str(number)
        flood.cancel()
        await asyncio.wait({flood})


async def test_a_server_that_ignores_eof_and_sigterm_ends_with_all_its_children(tmp_path: Path) -> None:
    servers = {"one": scripted("stubborn", "with-child")}
    async with mcp_host(tmp_path, servers) as host:
        pid = (await host.until("connected")).pid
        grandchild = int(await host.output("child"))
        assert pid is not None
        assert is_running(grandchild)
    assert not is_running(pid)
    await eventually(lambda: not is_running(grandchild))


async def test_children_of_a_server_that_ended_by_itself_end_too(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted("with-child")}) as host:
        await host.until("connected")
        grandchild = int(await host.output("child"))
        await host.call("die")
        await eventually(lambda: not is_running(grandchild))


async def test_nothing_is_left_after_many_lives(tmp_path: Path) -> None:
    servers = {"one": scripted(), "two": scripted("exits")}
    async with mcp_host(tmp_path, servers) as host:
        await host.until("connected")
        await host.until("disconnected", "two")
        await eventually(lambda: host.view("two").status == "disconnected")
        tasks, descriptors = len(asyncio.all_tasks()), None
        for life in range(12):
            before = host.view().pid
            await host.call("die")
            await eventually(lambda before=before: host.view().pid not in (None, before))
            assert await host.output("echo", {"text": str(life)}) == str(life)
            if life == 2:
                await eventually(lambda: host.view("two").status == "disconnected")
                descriptors = open_descriptors()
        assert descriptors is not None
        await eventually(lambda: len(children()) <= 2 and open_descriptors() <= descriptors + 8)
        assert len(asyncio.all_tasks()) <= tasks + 3
    assert children() == []


async def test_a_unit_that_is_cancelled_twice_leaves_nothing_behind(tmp_path: Path) -> None:
    async with mcp_host(tmp_path, {"one": scripted("stubborn")}) as host:
        pid = (await host.until("connected")).pid
        assert pid is not None
        removal = asyncio.ensure_future(host.supervisor.remove("mcp.one"))
        (unit,) = [task for task in asyncio.all_tasks() if task.get_name() == "unit mcp.one"]
        await eventually(unit.cancelling)
        unit.cancel()
        unit.cancel()
        await removal
        assert not is_running(pid)
        assert host.view().status == "disconnected"


def test_nothing_of_a_server_survives_a_daemon_that_is_killed(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from tests.support.mcp_host import mcp_host, scripted

        async def main():
            async with mcp_host(Path(sys.argv[1]), {"one": scripted("stubborn", "with-child")}) as host:
                view = await host.until("connected")
                print(view.pid, await host.output("child"), flush=True)
                await asyncio.sleep(600)  # until it is killed

        asyncio.run(main())
        """
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as daemon:
        assert daemon.stdout is not None
        pids = [int(pid) for pid in daemon.stdout.readline().split()]
        assert [is_running(pid) for pid in pids] == [True, True]
        daemon.kill()
    wait_until(lambda: not any(map(is_running, pids)))
