"""`prx plugin`: for plugin authors and operators. Only the commands that load plugins load the engine."""

import click

from prx.cli.lazy import LazyGroup

_COMMANDS = {
    "call": "prx.cli.plugin.call:call",
    "disable": "prx.cli.plugin.service:disable",
    "enable": "prx.cli.plugin.service:enable",
    "grant": "prx.cli.plugin.grants:grant",
    "grants": "prx.cli.plugin.grants:grants",
    "info": "prx.cli.plugin.info:info",
    "install": "prx.cli.plugin.install:install",
    "keygen": "prx.cli.plugin.packages:keygen",
    "list": "prx.cli.plugin.listing:list_plugins",
    "pack": "prx.cli.plugin.packages:pack",
    "release": "prx.cli.plugin.service:release",
    "reload": "prx.cli.plugin.service:reload",
    "remove": "prx.cli.plugin.install:remove",
    "revoke": "prx.cli.plugin.grants:revoke",
    "rollback": "prx.cli.plugin.versions:rollback",
    "sign": "prx.cli.plugin.packages:sign",
    "validate": "prx.cli.plugin.validate:validate",
    "verify": "prx.cli.plugin.packages:verify",
    "versions": "prx.cli.plugin.versions:versions",
}


@click.group(cls=LazyGroup, targets=_COMMANDS)
def plugin() -> None:
    """Look at plugins, call their tools, and decide what they may do."""
