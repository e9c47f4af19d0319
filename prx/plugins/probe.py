"""One more export for a component: how large its linear memory is.

The engine's C API does not tell a component's memory. The component itself can: this appends a core module that
reads `memory.size` and exports it as `prx-memory-bytes: func() -> u64`, which costs about 2 us to call. Only the
index spaces that the new definitions refer to are counted; nothing that is there is changed.
"""

from prx.plugins.component_binary import (
    ALIAS,
    CANON,
    CORE_FUNC,
    CORE_INSTANCE,
    CORE_INSTANCE_SORT,
    CORE_MEMORY,
    CORE_MODULE,
    EXPORT_SECTION,
    FUNC,
    LIMITS_64,
    MEMORY,
    MODULE_EXPORTS,
    MODULE_IMPORTS,
    SORT_CORE,
    SORT_FUNC,
    TYPE,
    IndexSpaces,
    OwnMemory,
    UnknownFormError,
    count_index_spaces,
)

EXPORT = "prx-memory-bytes"


def with_probe(component: bytes) -> bytes:
    """Return `component` with the export appended, or as it is where its memory cannot be reached from its root."""
    try:
        counts = count_index_spaces(component)
    except (UnknownFormError, IndexError):
        # Not for this reader to judge: the compiler says what is wrong with a broken component.
        return component
    if len(counts.memories) != 1 or EXPORT.encode() in counts.names:
        return component
    return component + _probe_sections(counts, counts.memories[0])


def _leb(value: int) -> bytes:
    out = bytearray()
    while True:
        byte, value = value & 0x7F, value >> 7
        if not value:
            out.append(byte)
            return bytes(out)
        out.append(byte | 0x80)


def _named(text: bytes) -> bytes:
    return _leb(len(text)) + text


def _section(number: int, *items: bytes) -> bytes:
    body = _leb(len(items)) + b"".join(items)
    return bytes((number,)) + _named(body)


def _probe_module(*, wide: bool) -> bytes:
    limits = bytes((LIMITS_64 if wide else 0, 0))
    extend = b"" if wide else b"\xad"  # i64.extend_i32_u
    # memory.size 0; i64.const 16; i64.shl; end: pages of 64 KiB as bytes
    code = b"\0\x3f\0" + extend + b"\x42\x10\x86\x0b"
    return b"\0asm\x01\0\0\0" + b"".join(
        (
            _section(1, b"\x60\0\x01\x7e"),
            _section(MODULE_IMPORTS, _named(b"m") + _named(b"m") + bytes((MEMORY,)) + limits),
            _section(3, b"\0"),
            _section(MODULE_EXPORTS, _named(b"s") + bytes((FUNC, 0))),
            _section(10, _named(code)),
        )
    )


def _probe_sections(counts: IndexSpaces, memory: OwnMemory) -> bytes:
    module = _probe_module(wide=memory.wide)
    export_memory = b"\x01" + _leb(1) + _named(b"m") + bytes((CORE_MEMORY,)) + _leb(counts.core_memories)
    instantiate = (
        b"\0" + _leb(len(counts.modules)) + _leb(1) + _named(b"m")
        + bytes((CORE_INSTANCE_SORT,)) + _leb(counts.core_instances)
    )  # fmt: skip
    return b"".join(
        (
            _section(ALIAS, bytes((SORT_CORE, CORE_MEMORY, 1)) + _leb(memory.instance) + _named(memory.name)),
            bytes((CORE_MODULE,)) + _named(module),
            _section(CORE_INSTANCE, export_memory, instantiate),
            _section(
                ALIAS, bytes((SORT_CORE, CORE_FUNC, 1)) + _leb(counts.core_instances + 1) + _named(b"s")
            ),
            _section(TYPE, b"\x40\0\0\x77"),  # func() -> u64
            _section(CANON, b"\0\0" + _leb(counts.core_funcs) + b"\0" + _leb(counts.types)),
            _section(
                EXPORT_SECTION,
                b"\0" + _named(EXPORT.encode()) + bytes((SORT_FUNC,)) + _leb(counts.funcs) + b"\0",
            ),
        )
    )
