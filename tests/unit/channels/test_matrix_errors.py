"""What a homeserver, or something else in its place, answers in the words of an operator."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiohttp import ClientConnectorDNSError, ClientResponseError
from nio import LoginError

from prx.channels.adapters.matrix.errors import login_refusal, translated
from prx.core.errors import UnavailableError

HOME = "https://matrix.example"


def raised(error: Exception) -> str:
    with pytest.raises(UnavailableError) as caught, translated(HOME):
        raise error
    return caught.value.message


def test_a_name_that_is_not_known_is_told_as_for_every_platform() -> None:
    about: Any = SimpleNamespace(host="matrix.example", port=443, ssl=True)
    error = ClientConnectorDNSError(about, OSError(None, "Domain name not found"))
    assert raised(error) == 'no address is known for "matrix.example": Domain name not found; check the name'


def test_something_else_at_the_address_is_told() -> None:
    error = ClientResponseError(
        cast(Any, SimpleNamespace(real_url=HOME)), (), status=400, message="Bad status\n!"
    )
    assert raised(error) == f"what answers at {HOME} does not speak HTTP: check the address"
    assert raised(TimeoutError()) == f"{HOME} did not answer in time"
    page = LoginError("unknown error")
    page.transport_response = cast(Any, SimpleNamespace(status=404))
    assert login_refusal(page).message == "what answers is no homeserver: it says 404; check the address"
