"""Why a server was not reached is told with what to look at."""

import socket
import ssl

import pytest

from prx.channels.reach import unreachable


@pytest.mark.parametrize(
    ("error", "tls", "words"),
    [
        (TimeoutError(), True, "did not answer in time: is the address right, and does it speak TLS there at once?"),
        (TimeoutError(), False, "did not answer in time: is the address right, and does it speak without TLS there?"),
        (ConnectionResetError(), True, "closed the connection: is the port right, and does it speak TLS"),
        (ConnectionResetError(), False, "closed the connection: is the port right, and does it speak without TLS"),
        (ConnectionRefusedError(), False, "takes no connections: is the server running, is the port right?"),
        (ssl.SSLError("[SSL: WRONG_VERSION_NUMBER] wrong version number"), True, "does not speak TLS at once"),
        (OSError(113, "No route to host"), False, "no connection to one.example:7: [Errno 113] No route to host"),
        (socket.gaierror(-2, "Name or service not known"), True, 'no address is known for "one.example": Name or'),
    ],
)  # fmt: skip
def test_each_way_of_not_reaching_a_server_says_what_to_look_at(
    error: BaseException,
    tls: bool,  # noqa: FBT001  # a parameter of the test
    words: str,
) -> None:
    assert words in unreachable("one.example", 7, error, tls=tls).message
