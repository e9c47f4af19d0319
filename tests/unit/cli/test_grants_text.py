"""What `prx plugin grants` prints of the daemon's answer."""

from prx.cli.plugin.grants import grants_text


def test_every_part_of_the_answer_is_told() -> None:
    denial = {
        "operation": "env TOKEN", "count": 2, "last": "2026-01-01T00:00:00Z", "allow_with": "prx plugin grant x env"
    }  # fmt: skip
    found = {
        "required": ["http-outbound", "env"],
        "optional": [],
        "granted": ["log"],
        "covered": {"http-outbound": ["https://a.example/"]},
        "waiting": {"http-outbound": ["https://b.example/"], "memory": []},
        "allow_with": "prx plugin grant x http-outbound memory",
        "denials": [denial],
    }
    assert grants_text(found).splitlines() == [
        "Requires: http-outbound, env",
        "Would like: nothing",
        "May use: log",
        "http-outbound covers: https://a.example/",
        "Not granted: http-outbound for https://b.example/",
        "Not granted: memory",
        "Grant all of it with: prx plugin grant x http-outbound memory",
        "Refused env TOKEN 2 times, last 2026-01-01T00:00:00Z: prx plugin grant x env",
    ]
