"""`docs/cli.md` and the command line are the same, in both directions."""

from collections.abc import Iterator

import click
import pytest

from prx.cli import prx
from tests.unit.docs.documents import DOCS, first_cells, sections

DOCUMENTED = {title.strip("`"): text for title, text in sections((DOCS / "cli.md").read_text(), 2).items()}


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    """Yield each command with its name as it is typed, arguments included."""
    arguments = [p.make_metavar(context) for p in command.params if isinstance(p, click.Argument)]
    yield " ".join([context.command_path, *arguments]), command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, click.Context(inner, info_name=name, parent=context))


COMMANDS = dict(commands(prx, click.Context(prx, info_name="prx")))


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    assert sorted(COMMANDS) == sorted(DOCUMENTED)


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_option_is_documented_and_every_documented_one_exists(typed: str) -> None:
    options = {
        name
        for parameter in COMMANDS[typed].params
        if isinstance(parameter, click.Option)
        for name in parameter.opts
    }
    documented = {cell.split()[0] for cell in first_cells(DOCUMENTED.get(typed, "")) if cell.startswith("-")}
    assert documented == options
