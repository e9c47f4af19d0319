"""Runs the checks, one after the other, and mends what can be mended."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Final

from prx.cli.client import daemon
from prx.cli.context import bare_config, read_layers, salvaged_layers
from prx.cli.doctor import (
    access,
    configuration,
    connections,
    data_directory,
    gateway,
    machine,
    models,
    plugins,
    running,
    store,
)
from prx.cli.doctor.findings import Check, Finding, Site
from prx.config.schema import Config
from prx.core.errors import ConfigError, PrxError
from prx.runtime.process import daemon_pid

CONFIGURATION: Final = "configuration"
_DAEMON: Final = "daemon"
# In the order in which one fault explains the next. The daemon is asked after these: they mend what asking needs.
_OF_FILES: Final[dict[str, Check]] = {
    "configuration files": configuration.configuration_files,
    "data directory": data_directory.data_directory,
    "leftovers": data_directory.leftovers,
    "disk space": store.disk_space,
    "store": store.store,
    "tokens": access.tokens,
    "secrets": access.secrets,
}
_OF_THE_REST: Final[dict[str, Check]] = {
    "port": gateway.port,
    "certificate": gateway.certificate,
    _DAEMON: running.running,
    "plugins directory": plugins.plugins_directory,
    "plugins": plugins.plugins,
    "refused permissions": plugins.refusals,
    "secrets of plugins": plugins.plugin_secrets,
    "language models": models.language_models,
    "MCP servers": connections.mcp_servers,
    "channels": connections.channels,
    "webhooks": connections.webhooks,
    "time zones": machine.time_zones,
    "open files": machine.open_files,
    "change notices": machine.watches,
}
CHECKS: Final = (CONFIGURATION, *_OF_FILES, *_OF_THE_REST)


@dataclass(frozen=True, slots=True)
class Result:
    """One finding of one check, and what was done about it."""

    check: str
    finding: Finding
    done: str | None = None
    """What mended it."""
    failed: str | None = None
    """Why it could not be mended."""

    @property
    def is_wrong(self) -> bool:
        """Whether something is still wrong because of it."""
        return self.finding.level == "problem" and self.done is None


@dataclass(frozen=True, slots=True)
class Report:
    """What an examination came to."""

    pid: str | None
    """Of the daemon that runs with this configuration."""
    checked: Sequence[str]
    skipped: Sequence[str]
    """Checks that need a whole configuration, where it is wrong."""
    results: Sequence[Result]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not any(result.is_wrong for result in self.results)


def examine(*, fix: bool) -> Report:
    """Run every check; with `fix` mend what can be mended without a risk."""
    try:
        layers = salvaged_layers()
    except ConfigError as error:
        return Report(None, CHECKS[:1], CHECKS[1:], [Result(CONFIGURATION, _wrong(error))])
    results, later = list[Result](), _OF_THE_REST
    try:
        layers = read_layers()
        config = layers.config()
    except ConfigError as error:
        results.append(Result(CONFIGURATION, _wrong(error)))
        # Where the data directory lies is known all the same, and the rest would be the defaults'.
        config, later = bare_config(layers), {_DAEMON: running.running}
    site = Site(layers, config, _pid(config), ask=None)
    results += _results(_OF_FILES, site, fix=fix)
    with ExitStack() as asking:
        if site.pid is not None:
            try:
                site = replace(site, ask=asking.enter_context(daemon()).get)
            except PrxError as error:
                results.append(Result(_DAEMON, _silent(site.pid, error)))
        results += _results(later, site, fix=fix)
    checked = (CONFIGURATION, *_OF_FILES, *later)
    return Report(site.pid, checked, [name for name in CHECKS if name not in checked], results)


def _pid(config: Config) -> str | None:
    try:
        return daemon_pid(config.daemon.data_dir)
    except OSError:  # the check of the data directory tells why
        return None


def _wrong(error: ConfigError) -> Finding:
    return Finding(
        error.message,
        "the daemon does not start; one that runs keeps its old configuration",
        "correct it; docs/configuration.md has every key",
    )


def _silent(pid: str | None, error: PrxError) -> Finding:
    return Finding(
        f"the daemon (pid {pid}) cannot be asked: {error.message}",
        "what only it knows is not checked",
        "remove the cause, then run `prx doctor` again",
    )


def _results(checks: Mapping[str, Check], site: Site, *, fix: bool) -> Iterator[Result]:
    for name, check in checks.items():
        for finding in _run(check, site):
            yield _mended(name, finding) if fix else Result(name, finding)


def _run(check: Check, site: Site) -> Iterator[Finding]:
    try:
        yield from check(site)
    except (OSError, PrxError) as error:
        yield Finding(
            f"this could not be checked: {error}",
            "what is wrong there is not told",
            "remove the cause, then run `prx doctor` again",
        )


def _mended(name: str, finding: Finding) -> Result:
    if finding.mend is None:
        return Result(name, finding)
    try:
        return Result(name, finding, done=finding.mend())
    except (OSError, PrxError) as error:
        return Result(name, finding, failed=str(error))
