"""Stacks of layers, whatever they are made of: each value is that of the strongest layer that has it, and says so."""

from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prx.config.keys import Key, Tree, at, dotted, holds, leaves, merged
from prx.config.layers import Layers, nested
from prx.config.origins import DEFAULT, origins
from prx.config.redaction import MASK, shown
from prx.config.toml import Layer
from prx.config.types import is_secret_key

_VALUES: dict[Key, st.SearchStrategy[Any]] = {
    ("gateway", "port"): st.integers(0, 65535),
    ("gateway", "allowed_hosts"): st.lists(st.sampled_from(["a.example", "b.example"]), max_size=3),
    ("gateway", "rate_limits", "other"): st.integers(0, 100),
    ("gateway", "rate_limits", "config_write"): st.integers(0, 100),
    ("daemon", "log_level"): st.sampled_from(["trace", "debug", "info", "warn", "error"]),
    ("agent", "max_turns"): st.integers(1, 10000),
    ("memory", "min_relevance_score"): st.floats(0, 1) | st.integers(0, 1),
    ("provider", "api_key"): st.text(max_size=5),
    ("plugins", "settings", "my.plugin", "tool_prefix"): st.sampled_from(["", "a", "b"]),
    ("channels_config", "pigeon", "bot_token"): st.text(max_size=5),
    ("channels_config", "pigeon", "chat", "id"): st.integers() | st.booleans(),
}
# What a file, the overlay, a variable or a flag may say.
_SET = st.lists(st.sampled_from(list(_VALUES)), unique=True, max_size=6).flatmap(
    lambda keys: st.fixed_dictionaries({key: _VALUES[key] for key in keys})
)


def _tree(values: dict[Key, Any]) -> Tree:
    return reduce(merged, (nested(key, value) for key, value in values.items()), {})


def _layers(files: Sequence[Layer], overlay: Layer, above: Sequence[Layer]) -> Layers:
    return Layers(Path("/etc/prx"), has_file=True, files=tuple(files), overlay=overlay, above=tuple(above))


@st.composite
def stacks(draw: st.DrawFn) -> tuple[Layers, list[tuple[Layer, dict[Key, Any]]]]:
    """Draw some layers, with what each of them sets, the strongest last."""
    files, above = draw(st.lists(_SET, max_size=3)), draw(st.lists(_SET, max_size=3))
    said = [*files, draw(_SET), *above]
    made = [Layer(f"layer {number}", _tree(values)) for number, values in enumerate(said)]
    layers = _layers(made[: len(files)], made[len(files)], made[len(files) + 1 :])
    return layers, list(zip(made, said, strict=True))


@given(stack=stacks())
def test_the_strongest_layer_that_has_a_key_decides_it(
    stack: tuple[Layers, list[tuple[Layer, dict[Key, Any]]]],
) -> None:
    layers, said = stack
    config = layers.config()
    effective, default = shown(config), shown(_layers([], Layer("", {}), []).config())
    decided = reduce(lambda below, each: below | each[1], said, dict[Key, Any]())
    for key in _VALUES:
        if key in decided:
            wanted = MASK if is_secret_key(str(key[-1])) else decided[key]
            assert at(effective, key) == wanted
        else:
            assert holds(effective, key) == holds(default, key)
            assert not holds(default, key) or at(effective, key) == at(default, key)


@given(stack=stacks())
def test_every_key_tells_its_layer_and_those_that_it_hides(
    stack: tuple[Layers, list[tuple[Layer, dict[Key, Any]]]],
) -> None:
    layers, said = stack
    config = layers.config()
    told = origins(layers, config, config)
    for key, _ in leaves(shown(config)):
        setting = [layer.origin for layer, values in said if key in values]
        row = told[dotted(key)]
        if key in _VALUES:
            assert row["origin"] == (setting.pop() if setting else DEFAULT)
            assert row.get("hides", []) == setting


@given(stack=stacks())
def test_what_hides_a_key_is_the_strongest_layer_above_it(
    stack: tuple[Layers, list[tuple[Layer, dict[Key, Any]]]],
) -> None:
    layers, said = stack
    for place, (layer, _) in enumerate(said):
        for key in _VALUES:
            stronger = [upper for upper, values in said[place + 1 :] if key in values]
            hiding = layers.hiding(key, layer)
            assert (hiding and hiding.origin) == (stronger[-1].origin if stronger else None)


@given(stack=stacks(), place=st.integers(0, 6))
def test_a_layer_that_says_nothing_new_changes_nothing(
    stack: tuple[Layers, list[tuple[Layer, dict[Key, Any]]]], place: int
) -> None:
    layers, _ = stack
    place = min(place, len(layers.files))
    more = (*layers.files[:place], Layer("empty", {}), *layers.files[place:])
    again = Layer("the same once more", layers.tree)
    same = _layers(more, layers.overlay, [*layers.above, again])
    assert same.config() == layers.config()
