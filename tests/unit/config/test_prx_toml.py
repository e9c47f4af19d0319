"""The commented `prx.toml` of the checkout: complete, true, and loadable with or without its comments."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prx.config.schema import Config
from prx.config.sources import load
from tests.unit.config.test_config_schema import KEYS

CHECKOUT = Path(__file__).parents[3]
TEXT = (CHECKOUT / "prx.toml").read_text()
UNCOMMENTED = re.sub(r"^# (?=\[+[a-z_.]+\]+$|[a-z_]+ = )", "", TEXT, flags=re.MULTILINE)
EXAMPLES = {"settings": "weather", "others": "local", "servers": "files", "channels_config": "telegram"}
VARIABLES = re.findall(r'"env:(\w+)"', UNCOMMENTED)


def shown(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each key of the file as the schema writes it: `*` for the name of a table among others."""
    for name, value in tree.items():
        key = f"{prefix}{name}"
        yield key, value
        if isinstance(value, dict):
            example = EXAMPLES.get(name)
            yield from shown(value[example] if example else value, f"{key}.*." if example else f"{key}.")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            yield from shown(value[0], f"{key}.")


SHOWN = dict(shown(tomllib.loads(UNCOMMENTED)))


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_the_file_with_its_description(key: str) -> None:
    # The limits of one plugin are those of all plugins: the file says so instead of repeating them.
    assert key in SHOWN or key.startswith("plugins.settings.*.limits.")
    words = " ".join(TEXT.replace("\n#", "\n").split())
    assert (KEYS[key].description or "") in words


@pytest.mark.parametrize("key", [key for key in KEYS if "*" not in key])
def test_a_key_that_is_commented_out_shows_its_default(key: str) -> None:
    value: Any = Config()
    for part in key.split("."):
        value = getattr(value, part) if not isinstance(value, tuple) else None
    if key == "daemon.data_dir":
        assert SHOWN[key] == ".prx"
    elif isinstance(value, Path):
        assert SHOWN[key] == value.name
    elif value is not None and key in SHOWN and not isinstance(SHOWN[key], dict):
        expected = [] if key == "hooks.endpoints" else SHOWN[key]
        assert expected == (list(value) if isinstance(value, tuple) else value)


def test_the_file_alone_is_the_defaults_beside_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    config = load(None, [], {})
    assert config.daemon.data_dir == CHECKOUT / ".prx"
    assert config.plugins.directory == CHECKOUT / "plugins"
    assert config.model_copy(update={"daemon": Config().daemon}) == Config()


def test_the_file_with_every_comment_taken_away_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, "whsec_dmFsdWU=" if name == "WEBHOOK_SECRET" else "value")
    file = tmp_path / "prx.toml"
    file.write_text(UNCOMMENTED)
    config = load(file, [], {})
    assert config.mcp.servers["files"].command == "mcp-server-filesystem"
    assert config.hooks.endpoints[0].url == "https://example.com/webhook"
