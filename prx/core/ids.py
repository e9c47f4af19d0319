"""Ids and times as the API shows them."""

import secrets
from datetime import UTC, datetime


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 96 random bits, URL-safe."""
    return f"{prefix}_{secrets.token_urlsafe(12)}"


def iso_utc(moment: datetime) -> str:
    """Return `moment` in ISO 8601 with `Z`, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def now_utc() -> datetime:
    """Return the time now, with its zone."""
    return datetime.now(UTC)
