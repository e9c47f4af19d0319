"""Events are read as the daemon writes them."""

from prx.api.sse import dropped, frame
from prx.cli.sse import ServerSentEvent, read_events


def test_events_come_back_as_they_were_written_and_comments_do_not() -> None:
    stream = b":\n\n" + frame("log", b'{"message": "a: b"}', 7) + b":\n\n" + dropped(3)
    assert list(read_events(stream.splitlines(keepends=True))) == [
        ServerSentEvent("7", "log", {"message": "a: b"}),
        ServerSentEvent(None, "dropped", {"dropped": 3}),
    ]
