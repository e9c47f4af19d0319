"""The probe: an export that tells how large a component's memory is, and changes nothing else."""

from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wasmtime import Engine, Store, WasiConfig, WasmtimeError
from wasmtime import component as wasm

from prx.plugins.component_binary import MAX_SECTIONS
from prx.plugins.inspect import Inspection, inspect
from prx.plugins.memory_maps import linear_memories
from prx.plugins.probe import EXPORT, with_probe
from prx.plugins.sources import PREAMBLE
from tests.components.corpus import component, names
from tests.support.wat import binary

PAGE = 64 * 1024
ENGINE = Engine()
VALID = [name for name in names("specimens") + names("hostile") if name != "core-module"]

_GROWING = """
(component
  (core module $other (func (export "nothing")))
  (core module $guest
    (memory (export "main") {limits})
    (func (export "grow") (param $pages i32) (result i32) {grow}))
  (core instance $other (instantiate $other))
  (core instance $guest (instantiate $guest))
  (func (export "grow") (param "pages" u32) (result u32) (canon lift (core func $guest "grow"))))
"""
GROWING = _GROWING.format(limits="3 100", grow="(memory.grow (local.get $pages))")
WIDE = _GROWING.format(
    limits="i64 3 100", grow="(i32.wrap_i64 (memory.grow (i64.extend_i32_u (local.get $pages))))"
)


@pytest.fixture
def store() -> Iterator[Store]:
    with Store(ENGINE) as store:
        store.set_wasi(WasiConfig())
        yield store


def outside(content: bytes) -> Inspection:
    return inspect(wasm.Component(ENGINE, content), ENGINE)


@pytest.mark.parametrize("name", VALID)
def test_every_component_stays_valid_and_exports_nothing_else_new(name: str) -> None:
    before, after = outside(component(name)), outside(with_probe(component(name)))
    added = [function for function in after.exports if function.name == EXPORT]
    assert [(str(f), f.type) for f in after.exports if f.name != EXPORT] == [
        (str(f), f.type) for f in before.exports
    ]
    assert [str(function) for function in after.imports] == [str(function) for function in before.imports]
    assert [str(function.type) for function in added] == ["func() -> u64"] * len(added)


@pytest.mark.parametrize(
    "name", ["echo", "prx-tool", "every-type", "stdout-flood", "fallible", "memory-bomb"]
)
def test_components_with_one_memory_can_be_measured(name: str) -> None:
    assert with_probe(component(name)).startswith(component(name))
    assert any(function.name == EXPORT for function in outside(with_probe(component(name))).exports)


@pytest.mark.parametrize("name", ["nothing", "counter", "adder"])
def test_components_without_a_memory_are_left_as_they_are(name: str) -> None:
    assert with_probe(component(name)) is component(name)


@pytest.mark.parametrize("text", [GROWING, WIDE], ids=["32 bits", "64 bits"])
def test_the_figure_is_what_the_kernel_shows(text: str, store: Store) -> None:
    before = linear_memories()
    instance = wasm.Linker(ENGINE).instantiate(store, wasm.Component(ENGINE, with_probe(binary(text))))
    probe, grow = instance.get_func(store, EXPORT), instance.get_func(store, "grow")
    assert probe is not None
    assert grow is not None

    def told() -> int:
        size = probe(store)
        probe.post_return(store)
        return size

    def shown() -> list[int]:
        return [size for start, size in linear_memories().items() if start not in before]

    assert [told()] == shown() == [3 * PAGE]
    for pages in (1, 60):
        grow(store, pages)
        grow.post_return(store)
        assert [told()] == shown()
    assert told() == 64 * PAGE


def test_a_component_that_has_such_an_export_already_is_left_as_it_is() -> None:
    probed = with_probe(component("echo"))
    assert with_probe(probed) is probed


@given(st.binary(max_size=200))
@example(b"")
@example(PREAMBLE)
@example(PREAMBLE + b"\x01" + b"\x80" * 1_000_000)
@example(PREAMBLE + b"\x02\x05\xff\xff\xff\xff\x0f")
def test_arbitrary_bytes_are_no_concern_of_the_probe(content: bytes) -> None:
    assert with_probe(content).startswith(content)
    assert with_probe(PREAMBLE + content).startswith(PREAMBLE + content)


_SPECIMENS = st.sampled_from(
    ["echo", "prx-tool", "every-type", "with-resource", "poll-sleeper", "two-interfaces"]
)


@given(
    name=_SPECIMENS,
    changes=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8
    ),
)
def test_a_mutated_component_is_as_valid_with_the_probe_as_without(
    name: str, changes: list[tuple[float, int]]
) -> None:
    content = bytearray(component(name))
    for share, byte in changes:
        content[int(share * len(content))] = byte
    mutated = bytes(content)
    assert is_valid(with_probe(mutated)) == is_valid(mutated)


def is_valid(content: bytes) -> bool:
    if not content.startswith(PREAMBLE):  # anything else could be taken for text
        return False
    try:
        wasm.Component(ENGINE, content)
    except WasmtimeError:
        return False
    return True


def test_a_component_of_too_many_sections_is_left_as_it_is() -> None:
    content = component("adder") + b"\0\x01\0" * MAX_SECTIONS
    assert with_probe(content) is content
