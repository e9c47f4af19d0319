"""The few C functions a call needs, with plain addresses in place of pointer objects.

The stock wasmtime-py path walks a function's types through ctypes at each call (39 us of which the engine takes
1.3 us). These prototypes take and give integers, so that `lift` and `lower` can work on packed bytes. They rest on
the C layout of exactly one wasmtime version: `check_layout` refuses any other.
Layout: https://docs.wasmtime.dev/c-api/component_2val_8h.html
"""

import ctypes
import struct
from collections.abc import Callable
from ctypes import c_bool, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p, py_object
from importlib.metadata import version
from typing import Any

from wasmtime import _ffi as stock

PINNED_VERSION = "50.0.1"

KIND_BOOL, KIND_S8, KIND_U8, KIND_S16, KIND_U16, KIND_S32, KIND_U32, KIND_S64, KIND_U64 = range(9)
KIND_F32, KIND_F64, KIND_CHAR, KIND_STRING, KIND_LIST, KIND_RECORD, KIND_TUPLE = range(9, 16)
KIND_VARIANT, KIND_ENUM, KIND_OPTION, KIND_RESULT, KIND_FLAGS, KIND_RESOURCE = range(16, 22)

VAL = struct.Struct("<B7xQQQ")
"""`wasmtime_component_val_t`: its kind, then a union of three words."""
ENTRY = struct.Struct("<QQB7xQQQ")
"""`wasmtime_component_valrecord_entry_t`: a name (size, address), then a value."""
NAME = struct.Struct("<QQ")
"""`wasm_byte_vec_t`: size, address."""

Words = tuple[int, int, int, int]
"""One value as (kind, word, word, word)."""

VAL_WORDS, ENTRY_WORDS = "8xQQQ", "24xQQQ"
"""The three words of one item of an array of values, or of entries, whose types are known."""


def words_of(item: str, count: int) -> Callable[[bytes], tuple[int, ...]]:
    """Return the reader of an array of exactly `count` items: three words for each."""
    return struct.Struct("<" + item * count).unpack


def _typed(function: Any, result: Any, *arguments: Any) -> Any:
    function.restype = result
    function.argtypes = arguments
    return function


def _function(name: str, result: Any, *arguments: Any) -> Any:
    # Indexing gives a function object of our own, attribute access the shared one.
    return _typed(stock.dll[name], result, *arguments)


_without_release = ctypes.PyDLL(stock.dll._name)  # noqa: SLF001  # the same library once more


def _brief(name: str, result: Any, *arguments: Any) -> Any:
    """Return a function that holds the interpreter: for what takes less time than to get it back takes."""
    return _typed(_without_release[name], result, *arguments)


def converted(function: Any, arguments: tuple[int, ...]) -> tuple[Any, ...]:
    """Return `arguments` as `function` takes them, for many calls: converting them takes most of a brief one."""
    return tuple(kind(value) for kind, value in zip(function.argtypes, arguments, strict=True))


_BYTES_HEADER = bytes.__basicsize__ - 1


def bytes_address(data: bytes | bytearray) -> int:
    """Return the address of the content of `data`, valid while the object lives and keeps its size."""
    if type(data) is bytearray:
        return ctypes.addressof(ctypes.c_char.from_buffer(data))
    return id(data) + _BYTES_HEADER


# One type for every size: each type that ctypes makes stays for ever.
_Anything = ctypes.c_char * (1 << 40)


def every_byte_at(address: int, size: int, stride: int) -> bytes:
    """Return `size` bytes that lie `stride` apart, the first at `address`, without copying what lies between."""
    return _Anything.from_address(address)[0 : size * stride : stride]  # type: ignore[return-value]  # of c_char


string_at = _typed(ctypes.pythonapi["PyBytes_FromStringAndSize"], py_object, c_void_p, ctypes.c_ssize_t)
"""A copy of what lies at an address: `string_at(address, size)`."""
_decode_utf8 = _typed(
    ctypes.pythonapi["PyUnicode_DecodeUTF8"], py_object, c_void_p, ctypes.c_ssize_t, c_void_p
)


def text_at(address: int, size: int) -> str:
    """Return the UTF-8 text that lies at an address."""
    return _decode_utf8(address, size, None)  # type: ignore[no-any-return]  # a C function


func_call = _function(
    "wasmtime_component_func_call", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t
)
# For a function of the host's own that does next to nothing, where there is no large result to free before.
func_call_brief = _brief(
    "wasmtime_component_func_call", c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t
)
val_delete = _function("wasmtime_component_val_delete", None, c_void_p)
val_new = _function("wasmtime_component_val_new", c_void_p, c_void_p)
byte_vec_new = _function("wasm_byte_vec_new", None, c_void_p, c_size_t, c_void_p)
byte_vec_delete = _function("wasm_byte_vec_delete", None, c_void_p)
list_new = _function("wasmtime_component_vallist_new", None, c_void_p, c_size_t, c_void_p)
record_new = _function("wasmtime_component_valrecord_new", None, c_void_p, c_size_t, c_void_p)
tuple_new = _function("wasmtime_component_valtuple_new", None, c_void_p, c_size_t, c_void_p)
flags_new = _function("wasmtime_component_valflags_new", None, c_void_p, c_size_t, c_void_p)

config_component_model_async = _function(
    "wasmtime_config_wasm_component_model_async_set", None, c_void_p, c_bool
)
config_concurrency_support = _function("wasmtime_config_concurrency_support_set", None, c_void_p, c_bool)

store_new = _brief("wasmtime_store_new", c_void_p, c_void_p, c_void_p, c_void_p)
store_delete = _function("wasmtime_store_delete", None, c_void_p)
store_context = _brief("wasmtime_store_context", c_void_p, c_void_p)
store_limiter = _brief("wasmtime_store_limiter", None, c_void_p, c_int64, c_int64, c_int64, c_int64, c_int64)
context_set_wasi = _brief("wasmtime_context_set_wasi", c_void_p, c_void_p, c_void_p)
context_set_epoch_deadline = _brief("wasmtime_context_set_epoch_deadline", None, c_void_p, c_uint64)
context_set_fuel = _brief("wasmtime_context_set_fuel", c_void_p, c_void_p, c_uint64)
context_get_fuel = _brief("wasmtime_context_get_fuel", c_void_p, c_void_p, c_void_p)
linker_instantiate = _function(
    "wasmtime_component_linker_instantiate", c_void_p, c_void_p, c_void_p, c_void_p, c_void_p
)
instance_get_func = _brief(
    "wasmtime_component_instance_get_func", c_bool, c_void_p, c_void_p, c_void_p, c_void_p
)

engine_increment_epoch = _brief("wasmtime_engine_increment_epoch", None, c_void_p)
DEADLINE_CALLBACK = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_void_p, c_void_p)


def deadline_callback(function: Callable[[int, int, int, int], int]) -> Any:
    """Return `function` as a C callback: (context, data, where to put ticks, where to put a kind) -> error or 0.

    The ticks are those until the next deadline; the kind is put there already: the guest just goes on.
    """
    return DEADLINE_CALLBACK(function)


error_new = _function("wasmtime_error_new", c_void_p, ctypes.c_char_p)
error_message = _function("wasmtime_error_message", None, c_void_p, c_void_p)
error_exit_status = _function("wasmtime_error_exit_status", c_bool, c_void_p, ctypes.POINTER(c_int))
error_delete = _function("wasmtime_error_delete", None, c_void_p)

HOST_CALLBACK = ctypes.CFUNCTYPE(
    c_size_t, c_void_p, c_void_p, c_void_p, c_void_p, c_size_t, c_void_p, c_size_t
)


def host_callback(function: Callable[..., int]) -> Any:
    """Return `function` as a C callback: (data, context, type, arguments, count, results, count) -> error or 0."""
    return HOST_CALLBACK(function)


FINALIZER = ctypes.CFUNCTYPE(None, c_void_p)
NO_FINALIZER = FINALIZER(0)
store_epoch_deadline_callback = _brief(
    "wasmtime_store_epoch_deadline_callback", None, c_void_p, DEADLINE_CALLBACK, c_void_p, FINALIZER
)
linker_add_func = _function(
    "wasmtime_component_linker_instance_add_func",
    c_void_p, c_void_p, ctypes.c_char_p, c_size_t, HOST_CALLBACK, c_void_p, FINALIZER,
)  # fmt: skip

DESTRUCTOR = ctypes.CFUNCTYPE(c_size_t, c_void_p, c_void_p, c_uint32)
"""(data, context, number of the resource) -> error or 0."""
linker_add_resource = _function(
    "wasmtime_component_linker_instance_add_resource",
    c_void_p, c_void_p, ctypes.c_char_p, c_size_t, c_void_p, DESTRUCTOR, c_void_p, FINALIZER,
)  # fmt: skip
resource_type_new = _brief("wasmtime_component_resource_type_new_host", c_void_p, c_uint32)
resource_type_delete = _brief("wasmtime_component_resource_type_delete", None, c_void_p)
resource_host_new = _brief("wasmtime_component_resource_host_new", c_void_p, c_bool, c_uint32, c_uint32)
resource_host_rep = _brief("wasmtime_component_resource_host_rep", c_uint32, c_void_p)
resource_host_delete = _brief("wasmtime_component_resource_host_delete", None, c_void_p)
resource_host_to_any = _brief(
    "wasmtime_component_resource_host_to_any", c_void_p, c_void_p, c_void_p, c_void_p
)
resource_any_to_host = _brief(
    "wasmtime_component_resource_any_to_host", c_void_p, c_void_p, c_void_p, c_void_p
)

FUNC_SIZE = ctypes.sizeof(stock.wasmtime_component_func_t)
INSTANCE_SIZE = ctypes.sizeof(stock.wasmtime_component_instance_t)


def address(pointer: Any) -> int:
    """Return the address that a ctypes pointer object holds."""
    return ctypes.cast(pointer, c_void_p).value or 0


def new_struct(size: int) -> Any:
    """Return zeroed memory for a C structure of `size` bytes, aligned to words."""
    return (c_uint64 * (size // 8))()


def take_error(error: int) -> tuple[str, int | None]:
    """Return the message and WASI exit status of a `wasmtime_error_t` and free it."""
    vec = (c_uint64 * 2)()
    status = c_int(0)
    try:
        exited = error_exit_status(error, ctypes.byref(status))
        error_message(error, ctypes.addressof(vec))
        message = string_at(vec[1], vec[0]).decode("utf-8", "replace")
        byte_vec_delete(ctypes.addressof(vec))
    finally:
        error_delete(error)
    return message, status.value if exited else None


def check_layout() -> None:
    """Refuse to run on a wasmtime whose C structures this module was not written for.

    Raises:
        RuntimeError: another version is installed, or a structure has another size.
    """
    installed = version("wasmtime")
    sizes = {
        "wasmtime_component_val_t": (ctypes.sizeof(stock.wasmtime_component_val_t), VAL.size),
        "wasmtime_component_valrecord_entry": (
            ctypes.sizeof(stock.wasmtime_component_valrecord_entry),
            ENTRY.size,
        ),
        "wasm_byte_vec_t": (ctypes.sizeof(stock.wasm_byte_vec_t), NAME.size),
        "offset of a value's union": (stock.wasmtime_component_val_t.of.offset, 8),
    }
    probe = b"content"
    sizes["offset of a bytes object's content"] = (
        _typed(ctypes.pythonapi["PyBytes_AsString"], c_void_p, py_object)(probe) - id(probe),
        _BYTES_HEADER,
    )
    wrong = [
        f"{name} is {found} bytes, not {wanted}" for name, (found, wanted) in sizes.items() if found != wanted
    ]
    if installed != PINNED_VERSION or wrong:
        raise RuntimeError(
            f"PRX is built for wasmtime {PINNED_VERSION}, found {installed}"
            f"{' (' + '; '.join(wrong) + ')' if wrong else ''}: install wasmtime=={PINNED_VERSION}"
        )
