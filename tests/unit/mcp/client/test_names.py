"""What tools of MCP servers are called: legal everywhere, always the same, and no two the same."""

import re

from hypothesis import given
from hypothesis import strategies as st

from prx.mcp.client.names import is_of, offered_name

_ANY = st.text(min_size=1, max_size=100)


def test_a_legal_name_is_prefix_server_and_tool() -> None:
    assert offered_name("mcp", "files", "read_file") == "mcp__files__read_file"
    assert offered_name("", "files", "read_file") == "read_file"


def test_a_long_or_illegal_name_is_mapped_to_one_that_ends_in_a_digest() -> None:
    assert offered_name("mcp", "my files", "read/file") == "mcp__my_files__read_file_2e901945"
    assert offered_name("mcp", "files", "x" * 60) == f"mcp__files__{'x' * 43}_0cdbf1e1"


@given(_ANY, _ANY, st.sampled_from(["", "mcp", "a prefix"]))
def test_every_name_is_legal_and_stable(server: str, tool: str, prefix: str) -> None:
    name = offered_name(prefix, server, tool)
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name, re.ASCII)
    assert offered_name(prefix, server, tool) == name


@given(st.lists(_ANY, unique=True, max_size=20))
def test_different_tools_of_a_server_have_different_names(tools: list[str]) -> None:
    assert len({offered_name("mcp", "server", tool) for tool in tools}) == len(tools)


@given(_ANY, _ANY, st.sampled_from(["mcp", "a prefix"]))
def test_a_name_tells_whose_it_is_where_it_has_a_prefix(server: str, tool: str, prefix: str) -> None:
    assert is_of(server, prefix, offered_name(prefix, server, tool))
    assert not is_of(server, "", offered_name("", server, tool))


def test_a_name_of_another_server_is_not_taken_for_its_own() -> None:
    assert not is_of("files", "mcp", offered_name("mcp", "file", "sread"))
    assert not is_of("files", "mcp", offered_name("other", "files", "read"))
