"""64 KB of bytes into a guest and back, beside stock wasmtime-py.

    python -m benchmarks.large_values [--rounds 9] [--kib 64]

A component takes a `list<u8>` and returns it. PRX is given base64 text, as it stands in a request, and returns such
text, its limits and receipt included; the stock way is given bytes and returns bytes.
"""

import argparse
import asyncio
import base64
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from wasmtime import wat2wasm

from benchmarks.callers import Component, Stock
from benchmarks.report import Report
from benchmarks.rounds import alternate, microseconds_each
from benchmarks.subjects import Hosts, Subject, settle
from prx.runtime.allocator import keep_little_freed_memory
from tests.components.corpus import source

_REFERENCE = "stock wasmtime-py"
_CALLS = 5


def main() -> None:
    """Measure and keep the report."""
    options = _options()
    report = Report("large_values", "Large values", str(__doc__).partition("\n")[0])
    keep_little_freed_memory()  # as the daemon does: buffers of this size get pages of their own each time
    blob = Random(1).randbytes(options.kib * 1024)  # noqa: S311  # any bytes will do
    with TemporaryDirectory() as scratch, asyncio.Runner() as runner, Hosts(runner, Path(scratch)) as hosts:
        subject = Subject("bytes", "bytes", _bytes_echo(), "echo", {"text": base64.b64encode(blob).decode()})
        warm = hosts.load(subject, "warm")
        stock = Stock(Component(subject.wasm, warm.binding.function), warm.binding, {"text": blob})
        call = warm.run(subject.arguments)
        assert stock.warm() == blob
        assert call().output == subject.arguments["text"]
        settle()
        measured = alternate(
            {"PRX": microseconds_each(call, _CALLS), _REFERENCE: microseconds_each(stock.warm, 1)},
            options.rounds,
        )
    report.say(f"`list<u8>` of {options.kib} KiB.\n")
    report.compare(measured, _REFERENCE, "us")
    report.target("PRX over stock wasmtime-py", measured["PRX"].over(measured[_REFERENCE]), 0.1)
    report.keep()


def _bytes_echo() -> bytes:
    """Return the echo of the corpus with bytes in place of text: the guest sees the same address and length."""
    text = '(func (export "echo") (param "text" string) (result string)'
    assert text in source("echo")
    return bytes(wat2wasm(source("echo").replace(text, text.replace("string", "(list u8)"))))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--kib", type=int, default=64, help="size of the value")
    return parser.parse_args()


if __name__ == "__main__":
    main()
