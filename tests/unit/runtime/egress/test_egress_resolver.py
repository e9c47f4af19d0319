"""From a name to a connection: looked up once, checked in full, pinned."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prx.core.egress.addresses import Address
from prx.core.egress.errors import EgressError, EgressRefusedError
from prx.core.egress.policy import AnyTarget
from prx.core.egress.target import Target
from prx.runtime.egress.resolver import PinnedResolver, SystemNames, checked_addresses, pinned_host

KEY = "hooks.allow_private_targets"
STRICT, LAX = AnyTarget(allow_private=False, key=KEY), AnyTarget(allow_private=True, key=KEY)
NAMED = Target.parse("https://name.example/x?token=hunter2")


class Answer:
    """Names that all stand for the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = [ip_address(address) for address in addresses]

    async def addresses(self, name: str) -> Sequence[Address]:
        assert name == "name.example"
        return self._addresses


@given(st.lists(st.ip_addresses(), min_size=1, max_size=16))
def test_what_is_pinned_is_what_is_connected_to(addresses: list[IPv4Address | IPv6Address]) -> None:
    results = asyncio.run(PinnedResolver().resolve(pinned_host(addresses), 443))
    assert [ip_address(result["host"]) for result in results] == addresses
    assert {result["port"] for result in results} == {443}
    assert all(result["flags"] & socket.AI_NUMERICHOST for result in results)


async def test_a_name_that_was_not_checked_is_never_looked_up() -> None:
    with pytest.raises(EgressRefusedError, match="was not checked"):
        await PinnedResolver().resolve("localhost", 80)


async def test_public_addresses_are_taken_in_their_order() -> None:
    found = await checked_addresses(NAMED, Answer("2606:4700::1111", "1.1.1.1"), STRICT)
    assert [str(address) for address in found] == ["2606:4700::1111", "1.1.1.1"]


async def test_a_mapped_address_is_judged_and_connected_to_as_what_it_maps() -> None:
    assert await checked_addresses(NAMED, Answer("::ffff:1.1.1.1"), STRICT) == [IPv4Address("1.1.1.1")]
    with pytest.raises(EgressRefusedError, match=r"stands for 127\.0\.0\.1, a loopback address"):
        await checked_addresses(NAMED, Answer("::ffff:127.0.0.1"), STRICT)


@pytest.mark.parametrize("place", range(3))
async def test_one_private_address_among_public_ones_refuses_them_all(place: int) -> None:
    answer = ["1.1.1.1", "8.8.8.8"]
    answer.insert(place, "10.0.0.1")
    with pytest.raises(EgressRefusedError) as refused:
        await checked_addresses(NAMED, Answer(*answer), STRICT)
    assert refused.value.message == (
        "https://name.example is refused: name.example stands for 10.0.0.1, a private address; "
        "an operator allows such targets with hooks.allow_private_targets = true"
    )


async def test_a_refused_address_hides_behind_no_number_of_others() -> None:
    with pytest.raises(EgressRefusedError):
        await checked_addresses(NAMED, Answer(*(f"1.1.1.{last}" for last in range(200)), "127.0.0.1"), STRICT)


@pytest.mark.parametrize("address", ["10.0.0.1", "127.0.0.1", "169.254.1.1", "fd00::1", "::1"])
async def test_a_name_may_stand_for_a_private_address_where_the_operator_allows_it(address: str) -> None:
    assert await checked_addresses(NAMED, Answer(address), LAX) == [ip_address(address)]


@pytest.mark.parametrize("address", ["169.254.169.254", "fd00:ec2::254", "0.0.0.1", "224.0.0.1", "240.0.0.1"])
async def test_what_no_name_may_stand_for_is_reached_by_its_address_alone(address: str) -> None:
    with pytest.raises(EgressRefusedError, match="reached only by a URL with the address itself"):
        await checked_addresses(NAMED, Answer(address), LAX)
    literal = Target.parse(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    assert await checked_addresses(literal, Answer(), LAX) == [ip_address(address)]
    with pytest.raises(EgressRefusedError, match=f"{KEY} = true"):
        await checked_addresses(literal, Answer(), STRICT)


async def test_a_name_that_stands_for_nothing_is_an_error() -> None:
    with pytest.raises(EgressError, match="stands for no address"):
        await checked_addresses(NAMED, Answer(), STRICT)


async def test_the_system_knows_localhost() -> None:
    names = SystemNames()
    try:
        assert {address.is_loopback for address in await names.addresses("localhost")} == {True}
    finally:
        names.close()


class Slow:
    """A resolver that answers nothing before it is told to, and keeps the questions."""

    def __init__(self, answer: list[Address] | socket.gaierror) -> None:
        self.asked: list[str] = []
        self._answer = answer
        self._go = threading.Event()

    def __call__(self, name: str) -> list[Address]:
        self.asked.append(name)
        assert self._go.wait(30)
        if isinstance(self._answer, socket.gaierror):
            raise self._answer
        return self._answer

    @contextmanager
    def names(self) -> Iterator[SystemNames]:
        names = SystemNames(self)
        try:
            yield names
        finally:
            self._go.set()
            names.close()

    def answer(self) -> None:
        self._go.set()


async def test_who_asks_at_the_same_time_shares_one_lookup_and_may_stop_waiting() -> None:
    slow = Slow([IPv4Address("1.1.1.1")])
    with slow.names() as names:
        askers = [asyncio.ensure_future(names.addresses("a.example")) for _ in range(100)]
        await asyncio.wait(askers, timeout=0)
        askers[0].cancel()
        slow.answer()
        assert await asyncio.gather(*askers[1:]) == [[IPv4Address("1.1.1.1")]] * 99
        assert slow.asked == ["a.example"]
        await names.addresses("a.example")
        assert slow.asked == ["a.example"] * 2


async def test_a_name_that_does_not_resolve_is_an_error_that_names_it() -> None:
    slow = Slow(socket.gaierror(socket.EAI_NONAME, "Name or service not known"))
    slow.answer()
    with slow.names() as names, pytest.raises(EgressError) as failed:
        await names.addresses("a.example")
    assert failed.value.message == "the name a.example does not resolve: Name or service not known"


async def test_names_that_hang_are_bounded_and_more_are_refused() -> None:
    slow = Slow([IPv4Address("1.1.1.1")])
    with slow.names() as names:
        hanging = [asyncio.ensure_future(names.addresses(f"n{number}.example")) for number in range(64)]
        await asyncio.wait(hanging, timeout=0)
        with pytest.raises(EgressError, match="64 names are being looked up already"):
            await names.addresses("one.more.example")
        slow.answer()
        await asyncio.gather(*hanging)
        assert len(slow.asked) == 64
