"""One more export for a component: how large its linear memory is.

The engine's C API does not tell a component's memory. The component itself can: this appends a core module that
reads `memory.size` and exports it as `prx-memory-bytes: func() -> u64`, which costs about 2 us to call. Only the
index spaces that the new definitions refer to are counted; nothing that is there is changed.
Binary format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
"""

from dataclasses import dataclass, field

EXPORT = "prx-memory-bytes"
PREAMBLE = b"\0asm\x0d\0\x01\0"

_CORE_MODULE, _CORE_INSTANCE, _ALIAS, _TYPE, _CANON, _IMPORT, _EXPORT = 1, 2, 6, 7, 8, 10, 11
_SORT_CORE, _SORT_FUNC, _SORT_TYPE = 0, 1, 3
_CORE_FUNC, _CORE_MEMORY, _CORE_MODULE_SORT, _CORE_INSTANCE_SORT = 0x00, 0x02, 0x11, 0x12
_MODULE_IMPORTS, _MODULE_MEMORIES, _MODULE_EXPORTS = 2, 5, 7
_FUNC, _TABLE, _MEMORY, _GLOBAL, _TAG = range(5)
_LIMITS_MAX, _LIMITS_SHARED, _LIMITS_64 = 1, 2, 4


class _UnknownFormError(Exception):
    """The component uses a form of the binary format that this reader does not know."""


class _Reader:
    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def u32(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004  # LEB128: the top bit says that more follows
                return value
            shift += 7

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise _UnknownFormError("a section is longer than the file")
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def name(self) -> bytes:
        return bytes(self.take(self.u32()))

    def more(self) -> bool:
        return self.at < len(self.data)


@dataclass(frozen=True, slots=True)
class _Memory:
    instance: int
    name: bytes
    wide: bool


@dataclass
class _Counts:
    """How many of each there are so far, and the memory that a core instance defines and exports."""

    modules: list[tuple[bytes, bool] | None] = field(default_factory=list)
    core_instances: int = 0
    core_funcs: int = 0
    core_memories: int = 0
    types: int = 0
    funcs: int = 0
    memories: list[_Memory] = field(default_factory=list)
    names: set[bytes] = field(default_factory=set)


def with_probe(component: bytes) -> bytes:
    """Return `component` with the export appended, or as it is where its memory cannot be reached from its root."""
    try:
        counts = _count(component)
    except (_UnknownFormError, IndexError):
        # Not for this reader to judge: the compiler says what is wrong with a broken component.
        return component
    if len(counts.memories) != 1 or EXPORT.encode() in counts.names:
        return component
    return component + _probe_sections(counts, counts.memories[0])


def _count(component: bytes) -> _Counts:
    reader = _Reader(memoryview(component))
    if bytes(reader.take(len(PREAMBLE))) != PREAMBLE:
        raise _UnknownFormError("not a component")
    counts = _Counts()
    readers = {
        _CORE_INSTANCE: _core_instances,
        _ALIAS: _aliases,
        _CANON: _canons,
        _IMPORT: _imports,
        _EXPORT: _exports,
    }
    while reader.more():
        section = reader.byte()
        body = _Reader(reader.take(reader.u32()))
        if section == _CORE_MODULE:
            counts.modules.append(_own_memory(body))
        elif section == _TYPE:
            counts.types += body.u32()
        elif section in readers:
            readers[section](body, counts)
    return counts


def _own_memory(module: _Reader) -> tuple[bytes, bool] | None:
    """Return the export name and width of the one memory that a core module defines itself."""
    module.take(8)
    imported = 0
    wide: bool | None = None
    while module.more():
        section = module.byte()
        body = _Reader(module.take(module.u32()))
        if section == _MODULE_IMPORTS:
            imported = _imported_memories(body)
        elif section == _MODULE_MEMORIES:
            if body.u32() != 1:
                return None
            flags = body.byte()
            if flags & _LIMITS_SHARED:
                return None
            wide = bool(flags & _LIMITS_64)
        elif section == _MODULE_EXPORTS and wide is not None:
            for _ in range(body.u32()):
                name, kind, index = body.name(), body.byte(), body.u32()
                if kind == _MEMORY and index == imported:
                    return name, wide
    return None


def _imported_memories(body: _Reader) -> int:
    memories = 0
    for _ in range(body.u32()):
        body.name()
        body.name()
        kind = body.byte()
        if kind == _FUNC:
            body.u32()
        elif kind == _TABLE:
            body.byte()
            _skip_limits(body)
        elif kind == _MEMORY:
            memories += 1
            _skip_limits(body)
        elif kind == _GLOBAL:
            body.take(2)
        elif kind == _TAG:
            body.byte()
            body.u32()
        else:
            raise _UnknownFormError(f"core import kind {kind}")
    return memories


def _skip_limits(body: _Reader) -> None:
    flags = body.byte()
    body.u32()
    if flags & _LIMITS_MAX:
        body.u32()


def _core_instances(body: _Reader, counts: _Counts) -> None:
    for _ in range(body.u32()):
        if body.byte() == 0:
            module = body.u32()
            for _ in range(body.u32()):
                body.name()
                body.byte()
                body.u32()
            if module < len(counts.modules) and (memory := counts.modules[module]) is not None:
                counts.memories.append(_Memory(counts.core_instances, *memory))
        else:
            for _ in range(body.u32()):
                body.name()
                body.byte()
                body.u32()
        counts.core_instances += 1


def _aliases(body: _Reader, counts: _Counts) -> None:
    for _ in range(body.u32()):
        sort = body.byte()
        core = body.byte() if sort == _SORT_CORE else None
        target = body.byte()
        body.u32()
        if target == 2:  # noqa: PLR2004  # an outer alias: a depth and an index
            body.u32()
        else:
            body.name()
        _add(counts, sort, core)


def _add(counts: _Counts, sort: int, core: int | None) -> None:
    if sort == _SORT_FUNC:
        counts.funcs += 1
    elif sort == _SORT_TYPE:
        counts.types += 1
    elif core == _CORE_FUNC:
        counts.core_funcs += 1
    elif core == _CORE_MEMORY:
        counts.core_memories += 1
    elif core == _CORE_MODULE_SORT:
        counts.modules.append(None)


def _canons(body: _Reader, counts: _Counts) -> None:
    for _ in range(body.u32()):
        kind = body.byte()
        if kind in (0, 1):  # lift, lower
            body.byte()
            body.u32()
            for _ in range(body.u32()):
                option = body.byte()
                if option in (3, 4, 5, 7):  # memory, realloc, post-return, callback
                    body.u32()
                elif option not in (0, 1, 2, 6):  # string encodings, async
                    raise _UnknownFormError(f"canonical option {option}")
            if kind == 0:
                body.u32()
                counts.funcs += 1
                continue
        elif kind in (2, 3, 4):  # resource.new, drop, rep
            body.u32()
        else:
            raise _UnknownFormError(f"canonical function {kind}")
        counts.core_funcs += 1


def _imports(body: _Reader, counts: _Counts) -> None:
    for _ in range(body.u32()):
        body.byte()
        counts.names.add(body.name())
        _extern(body, counts)


def _extern(body: _Reader, counts: _Counts | None) -> None:
    kind = body.byte()
    if kind == _SORT_CORE:
        body.byte()
        body.u32()
        if counts is not None:
            counts.modules.append(None)
        return
    if kind == _SORT_TYPE:
        if body.byte() == 0:
            body.u32()
    elif kind == 2:  # noqa: PLR2004  # a value: nothing that components use yet
        raise _UnknownFormError("value import")
    else:
        body.u32()
    if counts is not None:
        _add(counts, kind, None)


def _exports(body: _Reader, counts: _Counts) -> None:
    for _ in range(body.u32()):
        body.byte()
        counts.names.add(body.name())
        sort = body.byte()
        core = body.byte() if sort == _SORT_CORE else None
        body.u32()
        if body.byte():
            _extern(body, None)
        _add(counts, sort, core)


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
    limits = bytes((_LIMITS_64 if wide else 0, 0))
    extend = b"" if wide else b"\xad"  # i64.extend_i32_u
    # memory.size 0; i64.const 16; i64.shl; end: pages of 64 KiB as bytes
    code = b"\0\x3f\0" + extend + b"\x42\x10\x86\x0b"
    return b"\0asm\x01\0\0\0" + b"".join(
        (
            _section(1, b"\x60\0\x01\x7e"),
            _section(_MODULE_IMPORTS, _named(b"m") + _named(b"m") + bytes((_MEMORY,)) + limits),
            _section(3, b"\0"),
            _section(_MODULE_EXPORTS, _named(b"s") + bytes((_FUNC, 0))),
            _section(10, _named(code)),
        )
    )


def _probe_sections(counts: _Counts, memory: _Memory) -> bytes:
    module = _probe_module(wide=memory.wide)
    export_memory = b"\x01" + _leb(1) + _named(b"m") + bytes((_CORE_MEMORY,)) + _leb(counts.core_memories)
    instantiate = (
        b"\0" + _leb(len(counts.modules)) + _leb(1) + _named(b"m")
        + bytes((_CORE_INSTANCE_SORT,)) + _leb(counts.core_instances)
    )  # fmt: skip
    return b"".join(
        (
            _section(
                _ALIAS, bytes((_SORT_CORE, _CORE_MEMORY, 1)) + _leb(memory.instance) + _named(memory.name)
            ),
            bytes((_CORE_MODULE,)) + _named(module),
            _section(_CORE_INSTANCE, export_memory, instantiate),
            _section(
                _ALIAS, bytes((_SORT_CORE, _CORE_FUNC, 1)) + _leb(counts.core_instances + 1) + _named(b"s")
            ),
            _section(_TYPE, b"\x40\0\0\x77"),  # func() -> u64
            _section(_CANON, b"\0\0" + _leb(counts.core_funcs) + b"\0" + _leb(counts.types)),
            _section(
                _EXPORT, b"\0" + _named(EXPORT.encode()) + bytes((_SORT_FUNC,)) + _leb(counts.funcs) + b"\0"
            ),
        )
    )
