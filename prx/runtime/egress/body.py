"""The body of an answer: decompressed as it arrives, and never more of it than was asked for."""

import zlib
from typing import Final

from prx.core.egress.errors import EgressError, EgressTooLargeError

_GZIP: Final = 16 + zlib.MAX_WBITS


class BoundedBody:
    """Collects a body in at most `limit` bytes of memory and as many on the wire: a bomb ends where it begins."""

    def __init__(self, coding: str, limit: int) -> None:
        """Take a body in content coding `coding`; empty is none.

        Raises:
            EgressError: it is another coding than gzip, the only one that is asked for.
        """
        if coding not in ("", "identity", "gzip", "x-gzip"):
            raise EgressError(
                f"the answer is in the content coding {coding[:32]!r}, and only gzip was asked for"
            )
        self.compressed = coding in ("gzip", "x-gzip")
        self._limit = limit
        self._received = 0
        self._data = bytearray()
        self._inflate = zlib.decompressobj(_GZIP)

    def add(self, chunk: bytes) -> None:
        """Take the next piece.

        Raises:
            EgressTooLargeError: it exceeds the limit.
            EgressError: it is not what its coding says.
        """
        self._received += len(chunk)
        if self._received > self._limit:
            raise self._too_large()
        if self.compressed:
            try:
                self._decompress(chunk)
            except zlib.error as error:
                raise EgressError("the answer says that it is gzip, and is not") from error
        else:
            self._data += chunk

    def finish(self) -> bytes:
        """Return the whole.

        Raises:
            EgressError: the compressed data ends before its end.
        """
        if self.compressed and self._received and not self._inflate.eof:
            raise EgressError("the answer is cut off: its gzip data has no end")
        return bytes(self._data)

    def beginning(self) -> bytes:
        """Return what there is, whole or not, in at most as many bytes as the limit says."""
        return bytes(self._data[: self._limit])

    def _decompress(self, chunk: bytes) -> None:
        while chunk:
            if self._inflate.eof:  # what follows is another member of the same stream
                self._inflate = zlib.decompressobj(_GZIP)
            self._data += self._inflate.decompress(chunk, self._limit - len(self._data) + 1)
            if len(self._data) > self._limit:
                raise self._too_large()
            chunk = self._inflate.unconsumed_tail or self._inflate.unused_data

    def _too_large(self) -> EgressTooLargeError:
        return EgressTooLargeError(f"the answer is larger than {self._limit} bytes: ask for less at once")
