"""A Python guest whose requests go through wasi:http, on the event loop that componentize-py brings for it."""

import asyncio
import sys

import poll_loop
import wit_world
from componentize_py_types import Err
from wit_world.imports import types


class WitWorld(wit_world.WitWorld):
    def texts(self, authority: str, paths: list[str]) -> list[str]:
        loop = poll_loop.PollLoop()
        asyncio.set_event_loop(loop)
        try:
            return loop.run_until_complete(read_all(authority, paths))
        except Err as error:
            sys.stderr.write(f"failed: {error.value}\n")
            raise Err(type(error.value).__name__) from None


async def read_all(authority: str, paths: list[str]) -> list[str]:
    return list(await asyncio.gather(*(text_of(authority, path) for path in paths)))


async def text_of(authority: str, path: str) -> str:
    request = types.OutgoingRequest(types.Fields.from_list([("accept", b"text/plain")]))
    request.set_scheme(types.Scheme_Http())
    request.set_authority(authority)
    request.set_path_with_query(path)
    response = await poll_loop.send(request)
    stream = poll_loop.Stream(response.consume())
    pieces = []
    while (piece := await stream.next()) is not None:
        pieces.append(piece)
    return b"".join(pieces).decode()
