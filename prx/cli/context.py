"""What commands share: the `--config` option and the configuration it leads to."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    # Loading them takes longer than all of click: `prx --help` does without.
    from prx.config.layers import Layers
    from prx.config.schema import Config

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


def bare_config(layers: "Layers") -> "Config":
    """Return the defaults with what it takes to find and ask a daemon, for a configuration that is wrong elsewhere."""
    from prx.config.schema import Config  # noqa: PLC0415  # as above

    gateway = layers.tree.get("gateway")
    given = gateway if isinstance(gateway, dict) else {}
    tls = {key: given[key] for key in ("tls_cert", "tls_key") if isinstance(given.get(key), str)}
    return Config.model_validate(
        {"daemon": {"data_dir": layers.data_dir}, "gateway": tls if len(tls) > 1 else {}},
        context={"base": layers.base},
    )
