"""The index spaces of a component's root, counted from its binary form; nothing of it is interpreted further.

Binary format: https://github.com/WebAssembly/component-model/blob/main/design/mvp/Binary.md
"""

from dataclasses import dataclass, field

PREAMBLE = b"\0asm\x0d\0\x01\0"

CORE_MODULE, CORE_INSTANCE, ALIAS, TYPE, CANON, IMPORT, EXPORT_SECTION = 1, 2, 6, 7, 8, 10, 11
SORT_CORE, SORT_FUNC, SORT_TYPE = 0, 1, 3
CORE_FUNC, CORE_MEMORY, CORE_MODULE_SORT, CORE_INSTANCE_SORT = 0x00, 0x02, 0x11, 0x12
MODULE_IMPORTS, MODULE_MEMORIES, MODULE_EXPORTS = 2, 5, 7
# Many times what real components have; empty sections take two bytes each, so a file may have tens of millions.
MAX_SECTIONS = 10_000
FUNC, TABLE, MEMORY, GLOBAL, TAG = range(5)
LIMITS_MAX, LIMITS_SHARED, LIMITS_64 = 1, 2, 4


class UnknownFormError(Exception):
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
        value = 0
        for shift in range(0, 35, 7):
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004  # LEB128: the top bit says that more follows
                return value
        raise UnknownFormError("a number is longer than 32 bits")

    def take(self, size: int) -> memoryview:
        if self.at + size > len(self.data):
            raise UnknownFormError("a section is longer than the file")
        part = self.data[self.at : self.at + size]
        self.at += size
        return part

    def name(self) -> bytes:
        return bytes(self.take(self.u32()))

    def more(self) -> bool:
        return self.at < len(self.data)


@dataclass(frozen=True, slots=True)
class OwnMemory:
    instance: int
    name: bytes
    wide: bool


@dataclass
class IndexSpaces:
    """How many of each there are so far, and the memory that a core instance defines and exports."""

    modules: list[tuple[bytes, bool] | None] = field(default_factory=list)
    core_instances: int = 0
    core_funcs: int = 0
    core_memories: int = 0
    types: int = 0
    funcs: int = 0
    memories: list[OwnMemory] = field(default_factory=list)
    names: set[bytes] = field(default_factory=set)


def count_index_spaces(component: bytes) -> IndexSpaces:
    reader = _Reader(memoryview(component))
    if bytes(reader.take(len(PREAMBLE))) != PREAMBLE:
        raise UnknownFormError("not a component")
    counts = IndexSpaces()
    readers = {
        CORE_INSTANCE: _core_instances,
        ALIAS: _aliases,
        CANON: _canons,
        IMPORT: _imports,
        EXPORT_SECTION: _exports,
    }
    sections = 0
    while reader.more():
        sections += 1
        if sections > MAX_SECTIONS:
            raise UnknownFormError("too many sections")
        section = reader.byte()
        body = _Reader(reader.take(reader.u32()))
        if section == CORE_MODULE:
            counts.modules.append(_own_memory(body))
        elif section == TYPE:
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
        if section == MODULE_IMPORTS:
            imported = _imported_memories(body)
        elif section == MODULE_MEMORIES:
            if body.u32() != 1:
                return None
            flags = body.byte()
            if flags & LIMITS_SHARED:
                return None
            wide = bool(flags & LIMITS_64)
        elif section == MODULE_EXPORTS and wide is not None:
            for _ in range(body.u32()):
                name, kind, index = body.name(), body.byte(), body.u32()
                if kind == MEMORY and index == imported:
                    return name, wide
    return None


def _imported_memories(body: _Reader) -> int:
    memories = 0
    for _ in range(body.u32()):
        body.name()
        body.name()
        kind = body.byte()
        if kind == FUNC:
            body.u32()
        elif kind == TABLE:
            body.byte()
            _skip_limits(body)
        elif kind == MEMORY:
            memories += 1
            _skip_limits(body)
        elif kind == GLOBAL:
            body.take(2)
        elif kind == TAG:
            body.byte()
            body.u32()
        else:
            raise UnknownFormError(f"core import kind {kind}")
    return memories


def _skip_limits(body: _Reader) -> None:
    flags = body.byte()
    body.u32()
    if flags & LIMITS_MAX:
        body.u32()


def _core_instances(body: _Reader, counts: IndexSpaces) -> None:
    for _ in range(body.u32()):
        if body.byte() == 0:
            module = body.u32()
            for _ in range(body.u32()):
                body.name()
                body.byte()
                body.u32()
            if module < len(counts.modules) and (memory := counts.modules[module]) is not None:
                counts.memories.append(OwnMemory(counts.core_instances, *memory))
        else:
            for _ in range(body.u32()):
                body.name()
                body.byte()
                body.u32()
        counts.core_instances += 1


def _aliases(body: _Reader, counts: IndexSpaces) -> None:
    for _ in range(body.u32()):
        sort = body.byte()
        core = body.byte() if sort == SORT_CORE else None
        target = body.byte()
        body.u32()
        if target == 2:  # noqa: PLR2004  # an outer alias: a depth and an index
            body.u32()
        else:
            body.name()
        _add(counts, sort, core)


def _add(counts: IndexSpaces, sort: int, core: int | None) -> None:
    if sort == SORT_FUNC:
        counts.funcs += 1
    elif sort == SORT_TYPE:
        counts.types += 1
    elif core == CORE_FUNC:
        counts.core_funcs += 1
    elif core == CORE_MEMORY:
        counts.core_memories += 1
    elif core == CORE_MODULE_SORT:
        counts.modules.append(None)


def _canons(body: _Reader, counts: IndexSpaces) -> None:
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
                    raise UnknownFormError(f"canonical option {option}")
            if kind == 0:
                body.u32()
                counts.funcs += 1
                continue
        elif kind in (2, 3, 4):  # resource.new, drop, rep
            body.u32()
        else:
            raise UnknownFormError(f"canonical function {kind}")
        counts.core_funcs += 1


def _imports(body: _Reader, counts: IndexSpaces) -> None:
    for _ in range(body.u32()):
        body.byte()
        counts.names.add(body.name())
        _extern(body, counts)


def _extern(body: _Reader, counts: IndexSpaces | None) -> None:
    kind = body.byte()
    if kind == SORT_CORE:
        body.byte()
        body.u32()
        if counts is not None:
            counts.modules.append(None)
        return
    if kind == SORT_TYPE:
        if body.byte() == 0:
            body.u32()
    elif kind == 2:  # noqa: PLR2004  # a value: nothing that components use yet
        raise UnknownFormError("value import")
    else:
        body.u32()
    if counts is not None:
        _add(counts, kind, None)


def _exports(body: _Reader, counts: IndexSpaces) -> None:
    for _ in range(body.u32()):
        body.byte()
        counts.names.add(body.name())
        sort = body.byte()
        core = body.byte() if sort == SORT_CORE else None
        body.u32()
        if body.byte():
            _extern(body, None)
        _add(counts, sort, core)
