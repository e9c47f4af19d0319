"""The process of an MCP server by itself: what it is sent."""

import shutil
from pathlib import Path

from prx.mcp.client.process import Command, ServerProcess


async def test_what_is_sent_just_before_the_end_arrives_in_its_order(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    command = Command(shell, ("-c", "cat > received"), {}, tmp_path)
    process = await ServerProcess.start(command, lambda _: None, lambda _: None, lambda: None)
    for number in range(100):
        process.write(b"line %d\n" % number)
    await process.end()
    received = (tmp_path / "received").read_bytes()
    assert received == b"".join(b"line %d\n" % number for number in range(100))
