"""Files that come as multipart/form-data: handed on piece by piece, within a bound of their own."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http import HttpProcessingError

from prx.api.errors import PayloadTooLargeError, UnsupportedMediaTypeError
from prx.core.errors import BadRequestError
from prx.plugins.installer import Part

_PIECE: Final = 256 * 1024


async def parts_of(request: web.Request, most: int) -> AsyncGenerator[Part, None]:
    """Give the files of the request as they arrive, each to be read before the next; `most` bytes in all.

    Raises:
        UnsupportedMediaTypeError: it is not declared as multipart/form-data.
        PayloadTooLargeError: it has more than `most` bytes.
        BadRequestError: it is damaged, or a part of it is no file.
    """
    if request.content_type != "multipart/form-data":
        raise UnsupportedMediaTypeError(
            "Send the file as multipart/form-data: curl -F file=@weather.prxplugin"
        )
    if (request.content_length or 0) > most:
        raise _too_large(most)
    bound = _Bound(most)
    with _readable():
        reader = await request.multipart()
    while True:
        with _readable():
            part = await reader.next()
        if part is None:
            return
        if not isinstance(part, BodyPartReader) or part.filename is None:
            raise BadRequestError("A part of the request is no file: send files alone, each with its name")
        yield Part(part.filename, bound.pieces_of(part))


class _Bound:
    """What all parts together may still have."""

    def __init__(self, most: int) -> None:
        self._most = self._left = most

    async def pieces_of(self, part: BodyPartReader) -> AsyncIterator[bytes]:
        while True:
            with _readable():
                piece = await part.read_chunk(_PIECE)
            if not piece:
                return
            self._left -= len(piece)
            if self._left < 0:
                raise _too_large(self._most)
            yield piece


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (ValueError, web.RequestPayloadError, HttpProcessingError) as error:
        raise BadRequestError("The request's body is not whole multipart/form-data") from error


def _too_large(most: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(f"The upload has more than {most} bytes, which no plugin needs")
