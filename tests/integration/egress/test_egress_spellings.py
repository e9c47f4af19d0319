"""Every spelling of this machine's address, against a server that really listens there."""

import asyncio
import ipaddress

import pytest

from prx.core.egress.errors import EgressError, EgressRefusedError
from prx.core.egress.policy import AnyTarget
from prx.core.egress.target import Target
from prx.runtime.egress.client import EgressClient
from tests.integration.egress.servers import LAX, STRICT, Zone, fetch, ok, serving
from tests.support.servers.ports import reserved_port

# Reached where private targets are allowed: the guard and the connection mean the same address.
LOOPBACK = [
    *("127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.000.000.001", "0177.0.0.1", "00000177.1", "0177.0x0.0.01"),
    *("2130706433", "017700000001", "0x7f000001", "0X7F.1", "0x7f.0x0.0x0.0x1"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:1]", "[::FFFF:7F00:0001]"),
    *("\uff11\uff12\uff17.\uff10.\uff10.\uff11", "\u2460\u2461\u2466.0.0.1", "127\u30020\uff0e0\uff611"),
    *("127.0.0.1\u00ad", "localhost", "LOCALHOST", "localhost.", "\uff4cocalhost", "loc\u00adalhost"),
]  # fmt: skip
# Other roads to this machine and its network, and what a cloud would answer on.
ELSEWHERE = [
    *("0", "0x0", "0.0.0.1", "[::]", "[::127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:0]", "[fec0::1]", "[fc00::1]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[fe80::5efe:127.0.0.1]"),
    *("[2001:0:7f00:1::]", "[2001::80ff:fffe]", "255.255.255.255", "224.0.0.1", "169.254.169.254", "[fd00:ec2::254]"),
    *("[fe80::1]", "10.0.0.1", "192.168.0.1", "172.16.0.1", "100.64.0.1", "168.63.129.16", "100.100.100.200"),
]  # fmt: skip
# What parsers disagree on is refused before anybody has to agree.
TRICKS = [
    *("http://allowed.example@127.0.0.1:{}/", "http://127.0.0.1:{}\\@allowed.example/", "http://127.0.0.1%2f:{}/"),
    *("http://127.0.0.1%00.allowed.example:{}/", "http://%31%32%37.0.0.1:{}/", "http://127.0.0.1 :{}/"),
    *("http://[::1%25lo]:{}/", "http://[::1%lo]:{}/", "http://127.0.0.1\t:{}/", "\thttp://127.0.0.1:{}/"),
    *("http://\n127.0.0.1:{}/", "http:\\\\127.0.0.1:{}/", "http:/\\127.0.0.1:{}/", "http:127.0.0.1:{}/", "http:///127.0.0.1:{}/"),
    *("//127.0.0.1:{}/", "http://127.0.0.1:{}:80/"),
    *("http://127.0.0.1#@allowed.example:{}/x\\", "http://127.0.0.1:+{}/", "http://::1:{}/"),
    *("http://127.0.0.1.0:{}/", "http://127.0.0.256:{}/", "http://0x7f.0.0.0x1g.1:{}/", "http://1.127.0.0.1:{}/"),
    *("ftp://127.0.0.1:{}/", "file://127.0.0.1:{}/etc/passwd", "gopher://127.0.0.1:{}/", "data:,x", "unix:/x:{}"),
]  # fmt: skip


@pytest.mark.parametrize("host", LOOPBACK)
async def test_a_spelling_of_loopback_is_refused_and_names_no_other_place_where_allowed(
    host: str, client: EgressClient
) -> None:
    async with serving(ok(b"inside")) as server:
        url = f"http://{host}:{server.port}/"
        with pytest.raises(EgressRefusedError, match=r"a loopback address; an operator allows .* = true"):
            await fetch(client, url, policy=STRICT)
        assert server.connections == 0
        assert (await fetch(client, url, policy=LAX)).body == b"inside"


@pytest.mark.parametrize("host", ELSEWHERE)
async def test_no_other_road_leads_to_this_machine_or_its_network(host: str, client: EgressClient) -> None:
    async with serving(ok(b"inside")) as server:
        with pytest.raises(EgressRefusedError, match="an operator allows such targets"):
            await fetch(client, f"http://{host}:{server.port}/", policy=STRICT)
        assert server.connections == 0


@pytest.mark.parametrize("url", TRICKS)
async def test_a_url_that_parsers_disagree_on_is_refused_whatever_is_allowed(
    url: str, client: EgressClient
) -> None:
    async with serving(ok(b"inside")) as server:
        with pytest.raises(EgressRefusedError):
            await fetch(client, url.format(server.port), policy=LAX)
        assert server.connections == 0


async def test_ipv6_loopback_is_refused_and_reached_where_allowed(client: EgressClient) -> None:
    async with serving(ok(b"inside"), host="::1") as server:
        for host in ("[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]"):
            with pytest.raises(EgressRefusedError, match="::1 is a loopback address"):
                await fetch(client, server.url(host=host), policy=STRICT)
            assert (await fetch(client, server.url(host=host))).body == b"inside"
        assert server.received[0].values("Host") == [f"[::1]:{server.port}"]


async def test_a_redirect_to_any_spelling_is_refused_as_the_first_request_is(client: EgressClient) -> None:
    class OnlyOnePort:
        """Lets one port of this machine through, as if it were public."""

        def __init__(self, port: int) -> None:
            self._port = port

        def admit(self, target: Target) -> None:
            pass

        def admit_address(
            self, target: Target, address: ipaddress.IPv4Address | ipaddress.IPv6Address
        ) -> None:
            if target.port != self._port:
                STRICT.admit_address(target, address)

    locations: list[str] = []

    async def to_the_next(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: {locations.pop()}\r\n\r\n".encode())

    async with serving(ok(b"inside")) as inside, serving(to_the_next) as outside:
        policy = OnlyOnePort(outside.port)
        for host in LOOPBACK:
            locations.append(f"http://{host}:{inside.port}/")
            with pytest.raises(EgressRefusedError, match="a loopback address"):
                await fetch(client, outside.url(), policy=policy)
        for trick in TRICKS:
            location = trick.format(inside.port)
            if "\n" not in location:
                locations.append(location)
                with pytest.raises(EgressError):
                    await fetch(client, outside.url(), policy=policy)
        assert inside.connections == 0


async def test_a_name_that_answers_otherwise_the_second_time_is_never_asked_a_second_time() -> None:
    zone = Zone(rebind=[["127.0.0.2"], ["127.0.0.1"]])

    class NotTheFirst(AnyTarget):
        """Refuses 127.0.0.1 alone, so that the test can tell which of the answers was used."""

        def admit_address(self, target: Target, address: object) -> None:
            if str(address) == "127.0.0.1":
                STRICT.admit_address(target, ipaddress.IPv4Address("127.0.0.1"))

    policy = NotTheFirst(allow_private=True, key="k")
    with reserved_port() as port:
        async with (
            EgressClient(zone) as client,
            serving(ok(b"outside"), host="127.0.0.2", port=port) as outside,
            serving(ok(b"inside"), host="127.0.0.1", port=port) as inside,
        ):
            url = f"http://rebind.example:{port}/"
            assert (await fetch(client, url, policy=policy)).body == b"outside"
            assert zone.asked == ["rebind.example"]
            with pytest.raises(EgressRefusedError, match=r"stands for 127\.0\.0\.1, a loopback address"):
                await fetch(client, url, policy=policy)
            assert (inside.connections, outside.connections) == (0, 1)
            assert outside.received[0].values("Host") == [f"rebind.example:{port}"]
