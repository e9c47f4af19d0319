"""Changing the configuration: dotted keys and their new values go into the overlay, all or nothing."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, Literal, NamedTuple, get_origin

from pydantic import ValidationError

from prx.config import faults
from prx.config.inspection import annotation_at, is_restart_only
from prx.config.keys import Key, Tree, at, dotted, holds, leaves, parse_key
from prx.config.layers import Layers
from prx.config.masks import KEEP, Current, unmasked
from prx.config.redaction import shown
from prx.config.schema import Config
from prx.config.sources import Loaded, Sources
from prx.core.errors import BadRequestError, ConfigError, ConflictError

Result = Literal["applied", "restart_required", "hidden"]

MAX_KEYS: Final = 1000
_MAX_SUGGESTIONS: Final = 50
_MAX_TOLD: Final = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each key that was sent; keys whose value was only a mask are left out."""

    updated: list[str] = field(default_factory=list)
    reload_required: bool = False
    """Whether one of them only takes effect after a restart."""
    results: dict[str, Result] = field(default_factory=dict)
    hidden: dict[str, str] = field(default_factory=dict)
    """Which later layer, by its name, keeps a key from taking effect."""


class Patched(NamedTuple):
    """A change that was made."""

    loaded: Loaded
    outcome: Outcome


def patch(sources: Sources, changes: Mapping[str, Any]) -> Patched:
    """Write `changes` into the overlay: dotted key -> JSON value, None takes the key out. Blocks on the file system.

    A table is merged with what is there, None in it takes a key out as well. The mask of a secret leaves it alone.

    Raises:
        BadRequestError: a key or value is wrong; `details.errors` has each, and nothing was changed.
        ConflictError: what others wrote is wrong, so that there is nothing to change.
        UnavailableError: the overlay cannot be written.
    """
    if len(changes) > MAX_KEYS:
        raise BadRequestError(f"{len(changes)} keys are too many at once; send up to {MAX_KEYS}")
    _read(sources)  # tells where the overlay lies
    with sources.overlay.locked():
        edit = _Edit(_read(sources), changes)
        try:
            overlay = sources.overlay.layer(edit.tree)
        except ConfigError as error:
            raise BadRequestError(f"the overlay could not hold this: {error.message}") from error
        layers = edit.layers.with_overlay(overlay)
        config = edit.validated(layers)
        if edit.values:
            sources.overlay.write(overlay)
    return Patched(Loaded(layers, config), edit.outcome(layers))


class _Edit:
    """One set of changes to one state of the configuration; `tree` is what the overlay becomes."""

    def __init__(self, layers: Layers, changes: Mapping[str, Any]) -> None:
        self.layers = layers
        self.tree = deepcopy(layers.overlay.tree)
        self.values: dict[str, Any] = {}
        """What is to be written, by the key as it was sent."""
        self._keys: dict[str, Key] = {}
        self._wrong: dict[str, str] = {}
        for text, value in changes.items():
            try:
                self._take(text, value)
            except ValueError as error:
                self._wrong[text] = str(error)
        self._check_disjoint()
        for text, value in self.values.items():
            _put(self.tree, self._keys[text], value)

    def validated(self, layers: Layers) -> Config:
        """Return what `layers`, which have the new overlay, make together.

        Raises:
            BadRequestError: lists every key that was sent and is wrong.
            ConflictError: something else is wrong.
        """
        config = None
        try:
            # What a later layer hides must be right as well: it counts once that layer is gone.
            layers.validated((*layers.files, layers.overlay))
        except ValidationError as error:
            self._blame(error, whole=False)
        try:
            config = layers.validated(layers.all)
        except ValidationError as error:
            self._blame(error, whole=True)
            if not self._wrong:
                raise _in_the_way(faults.explain(error, self.layers.all)) from error
        if config is None or self._wrong:
            raise _refusal(self._wrong)
        return config

    def outcome(self, layers: Layers) -> Outcome:
        """Return what became of each key, now that `layers` hold."""
        results: dict[str, Result] = {}
        hidden: dict[str, str] = {}
        waits = False
        for text, value in self.values.items():
            touched = self._touched(self._keys[text], value)
            hiding = (layers.hiding(key, layers.overlay) for key in touched)
            by = next((layer for layer in hiding if layer is not None), None)
            restart = any(map(is_restart_only, touched))
            waits = waits or restart
            if by is not None:
                hidden[text] = by.origin
            results[text] = "hidden" if by is not None else "restart_required" if restart else "applied"
        return Outcome(list(self.values), waits, results, hidden)

    def _take(self, text: str, value: Any) -> None:
        key = parse_key(text)
        self._check_known(key)
        found = unmasked(key, value, lambda: self._current)
        _check_storable(found)
        self._keys[text] = key
        if found is not KEEP:
            self.values[text] = found

    @cached_property
    def _current(self) -> Current:
        try:
            return Current(shown(self.layers.config()), self.layers.tree)
        except ConfigError as error:
            raise _in_the_way(error) from error

    def _check_known(self, key: Key) -> None:
        # What an older version wrote and this one does not know can still be taken out.
        if annotation_at(key) is not None or holds(self.layers.overlay.tree, key):
            return
        for length in range(1, len(key)):
            if get_origin(annotation_at(key[:length])) is tuple:
                raise ValueError(f"stands inside a list: send the whole of {dotted(key[:length])}")
        raise ValueError(faults.unknown(key) if len(self._wrong) < _MAX_SUGGESTIONS else "unknown key")

    def _check_disjoint(self) -> None:
        """Refuse a key beside another that is the same or lies in it: their order would decide."""
        ordered = sorted((key, text) for text, key in self._keys.items())
        for (outer, first), (inner, second) in pairwise(ordered):
            if inner[: len(outer)] == outer:
                self._wrong[second] = f'overlaps with "{first}": send one of them'

    def _blame(self, error: ValidationError, *, whole: bool) -> None:
        """Note which of the sent keys are wrong; a table that is wrong as a `whole` counts against its keys."""
        for detail in faults.found(error):
            place, message = detail["loc"], faults.message(detail)
            for text, key in self._keys.items():
                if place[: len(key)] == key:
                    inner = f"{dotted(place[len(key) :])}: " if len(place) > len(key) else ""
                    self._wrong.setdefault(text, f"{inner}{message}")
                elif whole and key[: len(place)] == place:
                    self._wrong.setdefault(text, message)

    def _touched(self, key: Key, value: Any) -> list[Key]:
        """Return every key that a change is about: those in the table that comes or goes."""
        if value is None and holds(self.layers.overlay.tree, key):
            value = at(self.layers.overlay.tree, key)
        return [inner for inner, _ in leaves(value, key)] if isinstance(value, dict) and value else [key]


def _read(sources: Sources) -> Layers:
    try:
        return sources.read()
    except ConfigError as error:
        raise _in_the_way(error) from error


def _in_the_way(error: ConfigError) -> ConflictError:
    return ConflictError(
        f"the configuration is wrong as it is, so nothing was changed: {error.message}", details=error.details
    )


def _refusal(wrong: Mapping[str, str]) -> BadRequestError:
    errors = [{"field": key, "message": message} for key, message in wrong.items()]
    told = "; ".join(f"{key}: {message}" for key, message in list(wrong.items())[:_MAX_TOLD])
    more = f"; and {len(wrong) - _MAX_TOLD} more" if len(wrong) > _MAX_TOLD else ""
    return BadRequestError(f"nothing was changed: {told}{more}", details={"errors": errors})


def _check_storable(value: Any, *, in_list: bool = False) -> None:
    """Refuse what TOML cannot say.

    Raises:
        ValueError: says what.
    """
    if value is None and in_list:
        raise ValueError("has null inside a list, which a configuration cannot hold")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("is not Unicode text") from None
    elif isinstance(value, dict):
        for name, inner in value.items():
            _check_storable(name)
            _check_storable(inner, in_list=in_list)
    elif isinstance(value, list):
        for inner in value:
            _check_storable(inner, in_list=True)


def _put(tree: Tree, key: Key, value: Any) -> None:
    """Lay `value` over what is at `key`; None takes it out, with the tables that are empty then."""
    if value is None:
        _take_out(tree, key)
    elif not isinstance(value, dict):
        _table(tree, key[:-1])[str(key[-1])] = value
    elif value:
        for name, inner in value.items():
            _put(tree, (*key, name), inner)
    else:
        _table(tree, key)


def _table(tree: Tree, key: Key) -> Tree:
    for name in map(str, key):
        inner = tree.get(name)
        if not isinstance(inner, dict):
            inner = tree[name] = {}
        tree = inner
    return tree


def _take_out(tree: Tree, key: Key) -> None:
    if not holds(tree, key):
        return
    del at(tree, key[:-1])[key[-1]]
    for length in range(len(key) - 1, 0, -1):
        if at(tree, key[:length]):
            return
        del at(tree, key[: length - 1])[key[length - 1]]
