"""What commands share: the `--config` option and the configuration it leads to."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

if TYPE_CHECKING:
    # Loading them takes longer than all of click: `prx --help` does without.
    from prx.config.layers import Layers
    from prx.config.schema import Config
    from prx.runtime.process import Address

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration file; otherwise PRX_CONFIG, ./prx.toml, or the platform's.",
)


def chosen_file(config_path: Path | None = None) -> Path | None:
    """Return the file of a command's own `--config`, or of `prx --config FILE command`, or None."""
    context = click.get_current_context(silent=True)
    of_root: Path | None = None if context is None else context.find_root().obj
    return config_path or of_root


def load_config(config_path: Path | None = None) -> "Config":
    """Return the configuration that a daemon started here would run with; its paths are absolute.

    Raises:
        ConfigError: a file cannot be read, or a key or value is wrong.
    """
    from prx.config.sources import load  # noqa: PLC0415  # as above

    return load(chosen_file(config_path), [])


def read_layers() -> "Layers":
    """Return what `load_config` validates, as it is written.

    Raises:
        ConfigError: a file cannot be read.
    """
    from prx.config.sources import Sources  # noqa: PLC0415  # as above

    return Sources(chosen_file()).read()


def salvaged_layers() -> "Layers":
    """Return as much of what `read_layers` returns as can be read.

    Raises:
        ConfigError: a file that was asked for is not there.
    """
    from prx.config.sources import Sources  # noqa: PLC0415  # as above

    return Sources(chosen_file()).salvage()


def bare_config(layers: "Layers") -> "Config":
    """Return the defaults with the data directory of a configuration that is wrong elsewhere."""
    from prx.config.schema import Config  # noqa: PLC0415  # as above

    return Config.model_validate({"daemon": {"data_dir": layers.data_dir}})


class Running(NamedTuple):
    """A daemon that can be asked."""

    data_dir: Path
    address: "Address"


def running_daemon() -> Running | None:
    """Return the daemon that runs with this configuration, also where that is broken by now; None where none does.

    Raises:
        ConfigError: a file that was asked for is not there.
    """
    from prx.runtime.process import daemon_address  # noqa: PLC0415  # as above

    layers = salvaged_layers()
    # Where the data directory was changed over the API, the daemon is in the one before until it starts again.
    for data_dir in dict.fromkeys((layers.data_dir, layers.overlay_dir)):
        if (address := daemon_address(data_dir)) is not None:
            return Running(data_dir, address)
    return None


def used_data_dir() -> Path:
    """Return the data directory of the running daemon, or of one that would be started here.

    Raises:
        ConfigError: none runs, and the configuration is wrong.
    """
    running = running_daemon()
    return load_config().daemon.data_dir if running is None else running.data_dir
