"""The plugins: why one does not run, what it waits for, and what was refused to it."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

from prx.cli.doctor.findings import Finding, Site
from prx.cli.doctor.running import PLUGIN_UNIT
from prx.cli.doctor.store import open_store, store_path
from prx.core.errors import PrxError
from prx.core.ids import iso_utc, now_utc
from prx.plugins.asked import Asked
from prx.plugins.errors import LoadError, UntrustedError
from prx.plugins.grants import decision_of
from prx.plugins.secrets import SecretStore
from prx.plugins.settings import Decision, missing_permissions, settings_for
from prx.plugins.signing import admit
from prx.plugins.sources import Names, Source, check_component, manifest_of, read

_ANYBODY: Final = 0o002
_RECENT: Final = timedelta(days=1)
_MISSING: Final = "its tools cannot be called"
_STALE: Final = "it serves with another version than the one in its directory, or without a way back"


def plugins_directory(site: Site) -> Iterator[Finding]:
    """Check that the directory is there, can be listed, and is not open to everybody."""
    directory = site.config.plugins.directory
    why = "no plugin is loaded"
    try:
        about = directory.stat()
        Names().by_name(directory)
    except FileNotFoundError:
        ours = directory.is_relative_to(site.data_dir)
        yield Finding(
            f"the plugins directory {directory} does not exist",
            why,
            "nothing: the daemon makes it when it starts"
            if ours
            else f"mkdir {directory}, or set plugins.directory",
            "advice" if ours else "problem",
            partial(_make, directory),
        )
        return
    except OSError as error:
        yield Finding(
            f"the plugins directory {directory} cannot be listed: {error.strerror}",
            why,
            "make it readable for the daemon's user, or set plugins.directory",
        )
        return
    if about.st_mode & _ANYBODY:
        yield Finding(
            f"everybody on this machine may write into the plugins directory {directory}",
            "what lies there is loaded and run",
            f"chmod o-w {directory}",
        )


def plugins(site: Site) -> Iterator[Finding]:
    """Tell of each plugin that does not run as it should, as the daemon says or else as its files say."""
    names = set()
    for name, finding in _as_served(site.ask) if site.ask is not None else _as_found(site):
        names.add(name)
        if finding is not None:
            yield finding
    for name in sorted(site.config.plugins.settings.keys() - names):
        yield Finding(
            f'plugins.settings.{name} is set, and there is no plugin "{name}"',
            "it has no effect: the name may be misspelt",
            "correct the name, or remove the table",
            "advice",
        )


def refusals(site: Site) -> Iterator[Finding]:
    """Tell what plugins tried within a day and were not allowed to do."""
    since = iso_utc(now_utc() - _RECENT)
    query = (
        "SELECT plugin, operation, count, allow_with FROM plugin_denials "
        "WHERE last_at >= ? ORDER BY plugin, last_at DESC"
    )
    for plugin, operation, count, allow_with in _rows(site, query, since):
        times = "once" if count == 1 else f"{count} times"
        yield Finding(
            f'the plugin "{plugin}" was refused {operation} {times}',
            "a part of it may not work",
            allow_with or f"prx plugin grants {plugin}",
            "advice",
        )


def plugin_secrets(site: Site) -> Iterator[Finding]:
    """Check that the secrets which plugins' configurations name are set, and for them."""
    if not site.readable:
        return
    store = SecretStore(site.data_dir)
    for name, sources in _found(site).items():
        settings = site.config.plugins.settings.get(name)
        config = dict(_manifest_config(sources[0])) | (settings.config if settings is not None else {})
        for secret in sorted({value for value in config.values() if value.startswith("secret:")}):
            try:
                store.value(secret.removeprefix("secret:"), name)
            except PrxError as error:
                yield Finding(
                    f'the plugin "{name}": {error.message}',
                    "its requests that need the secret fail",
                    f"prx secret set {secret.removeprefix('secret:')}",
                )


Told = tuple[str, Finding | None]


def _as_served(ask: Any) -> Iterator[Told]:
    serving = set()
    for plugin in ask("/plugins")["plugins"]:
        yield plugin["name"], None
        if plugin["status"] == "loaded":
            serving.add(plugin["name"])
    for problem in ask("/status")["problems"]:
        if problem["unit"].startswith(PLUGIN_UNIT):
            name = problem["unit"].removeprefix(PLUGIN_UNIT)
            why = _STALE if name in serving else _MISSING
            yield name, Finding(f'the plugin "{name}": {problem["reason"]}', why, problem["action"])


def _as_found(site: Site) -> Iterator[Told]:
    disabled = {name for (name,) in _rows(site, "SELECT name FROM plugin_state WHERE disabled")}
    decisions: dict[str, dict[str, Decision]] = {}
    for plugin, permission, allowed, covers in _rows(
        site, "SELECT plugin, permission, allowed, covers FROM plugin_grants"
    ):
        decisions.setdefault(plugin, {})[permission] = decision_of(allowed, covers)
    for plugin, reason, until in _rows(site, "SELECT plugin, reason, until FROM plugin_quarantine"):
        yield (
            plugin,
            Finding(
                f'the plugin "{plugin}" is in quarantine until {until}: {reason}',
                _MISSING,
                f"mend or replace it, or start the daemon and release it: prx plugin release {plugin}",
            ),
        )
    for name, sources in _found(site).items():
        yield name, None if name in disabled else _fault(site, name, sources, decisions.get(name, {}))


def _fault(
    site: Site, name: str, sources: Sequence[Source], decisions: Mapping[str, Decision]
) -> Finding | None:
    """Return why the plugin would not load, as far as that shows without compiling it."""
    config, action = site.config.plugins, "mend or replace the file: `prx plugin validate` tells more"
    if len(sources) > 1:
        paths = " and ".join(str(source.path) for source in sources)
        return Finding(
            f'two plugins are named "{name}": {paths}', "neither is loaded", "remove or rename one"
        )
    try:
        contents, component = read(sources[0])
        check_component(component, sources[0].path.name)
        admit(contents, config.trusted_keys, required=config.require_signature)
        asked = Asked.of(contents.manifest, (site.data_dir, config.directory))
        if "filesystem" in asked.required and asked.faults:
            return Finding(f'the plugin "{name}": {asked.faults[0]}', _MISSING, "make what it asks for")
    except UntrustedError as error:
        return Finding(
            f'the plugin "{name}": {error.message}',
            "it is not loaded",
            "see `prx plugin verify` for who signed it",
        )
    except (LoadError, OSError) as error:
        return Finding(f'the plugin "{name}": {error}', "it is not loaded", action)
    settings = settings_for(name, contents.manifest, asked, config, decisions)
    if not settings.missing:
        return None
    command = f"prx plugin grant {name} {' '.join(settings.missing)}"
    return Finding(
        f'the plugin "{name}" {missing_permissions(name, settings).removesuffix(f": {command}")}',
        "it is not loaded without it",
        f"start the daemon, then: {command}",
    )


def _found(site: Site) -> dict[str, list[Source]]:
    try:
        return Names().by_name(site.config.plugins.directory)
    except OSError:  # `plugins_directory` tells
        return {}


def _manifest_config(source: Source) -> Mapping[str, str]:
    try:
        manifest = manifest_of(source)
    except (LoadError, OSError):  # `plugins` tells
        return {}
    return {} if manifest is None else manifest.config


def _rows(site: Site, query: str, *values: str) -> list[Any]:
    """Return what the store says; nothing where it cannot be read, which the store's own check tells."""
    path = store_path(site)
    try:
        with closing(open_store(path)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.Error:
        return []


def _make(directory: Path) -> str:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"made {directory}, for you alone"
