"""Addresses over http and https, checked when the configuration is read rather than when they are used."""

import re
from typing import Annotated, Final

from pydantic import AfterValidator

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.target import Target

_USER: Final = re.compile(r"\A([^/?#]*://)[^/?#]*@")
_AUTHORITY: Final = re.compile(r"\A[^/?#]*://([^/?#]*)")


def _http_url(text: str) -> str:
    # Who logs in as a user says so here; neither name nor password is repeated.
    plain = _USER.sub(r"\1", text)
    try:
        target = Target.parse(plain)
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    if (authority := _AUTHORITY.match(plain)) is not None and not authority[1].isascii():
        # Who connects reads such letters in another way.
        raise ValueError(f"the URL's host has other letters than ASCII: write {target.host}")
    return text


def _base_url(text: str) -> str:
    if "?" in text or "#" in text:
        raise ValueError("paths are put behind this URL: it can have neither ? nor #")
    return text


HttpUrl = Annotated[str, AfterValidator(_http_url)]
"""An absolute URL over http or https, as it was written; there may be a user and a password in it."""

BaseUrl = Annotated[HttpUrl, AfterValidator(_base_url)]
"""One that the paths of an API are put behind."""
