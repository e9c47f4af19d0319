"""Bodies that come when they are asked for: what is refused by its headers need not be sent at all."""

from typing import Final

from aiohttp import hdrs, web
from aiohttp.http import HttpVersion11

from prx.api.errors import UnsupportedMediaTypeError

_EXPECTED: Final = "100-continue"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


async def known_expectation(request: web.Request) -> None:
    """Refuse an expectation that nobody knows; the known one is met by `ask_for_body`. For aiohttp's routes.

    Raises:
        web.HTTPExpectationFailed: it is another one.
    """
    if request.headers.get(hdrs.EXPECT, "").lower() != _EXPECTED:
        raise web.HTTPExpectationFailed


async def ask_for_body(request: web.Request) -> None:
    """Have the body of an admitted request sent, where its sender waits to be asked.

    Raises:
        UnsupportedMediaTypeError: it is compressed: a few bytes could cost seconds.
    """
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Send the body as it is, without Content-Encoding")
    if hdrs.EXPECT in request.headers and request.version >= HttpVersion11:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer has not begun by that
