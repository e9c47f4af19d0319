"""What a webhook may be: which events it asks for, where it leads, and what its deliveries are signed with.

The configuration and the API ask the same questions here, so that both refuse the same things in the same words.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from typing import Final

from prx.core.egress.errors import EgressRefusedError
from prx.core.egress.policy import AnyTarget
from prx.core.egress.target import Target

EVENTS: Final = (
    "session.created",
    "session.terminated",
    "message.received",
    "message.sent",
    "tool.executed",
    "plugin.loaded",
    "plugin.error",
    "plugin.quarantined",
    "channel.connected",
    "channel.disconnected",
    "mcp.connected",
    "mcp.disconnected",
    "config.changed",
    "error.occurred",
)
ALL: Final = "*"
ALIASES: Final[Mapping[str, str]] = {"session.completed": "session.terminated"}
"""Other names under which an event may be asked for; what is sent has its own name."""

SIGNED_HEADERS: Final = ("webhook-id", "webhook-timestamp", "webhook-signature")
SECRET_PREFIX: Final = "whsec_"  # noqa: S105  # begins every secret
_MAX_SECRET_BYTES: Final = 512
_WHAT_A_SECRET_IS: Final = (
    f'a secret is "{SECRET_PREFIX}" and 1 to {_MAX_SECRET_BYTES} bytes in base64, such as `openssl rand -base64 32` '
    "gives"
)
_MAX_URL_CHARS: Final = 2048


def canonical(name: str) -> str:
    """Return the event's own name.

    Raises:
        ValueError: nothing is called so; says what there is.
    """
    name = ALIASES.get(name, name)
    if name not in EVENTS and name != ALL:
        raise ValueError(f"no such event; the events are {', '.join((*EVENTS, *ALIASES))}, or {ALL} for all")
    return name


def targets(*, allow_private: bool) -> AnyTarget:
    """Return the rule for where webhooks may lead."""
    return AnyTarget(allow_private=allow_private, key="hooks.allow_private_targets")


def target_of(url: str, *, allow_private: bool) -> Target:
    """Return where `url` leads, unless it says itself that nothing would be delivered to it; nothing is looked up.

    Raises:
        ValueError: it is no http or https URL, or an address where webhooks may not lead; says what would allow it.
    """
    if len(url) > _MAX_URL_CHARS:
        raise ValueError(f"a URL of {len(url)} characters: {_MAX_URL_CHARS} are allowed")
    try:
        target = Target.parse(url)
        if not isinstance(target.host, str):
            targets(allow_private=allow_private).admit_address(target, target.host)
    except EgressRefusedError as error:
        raise ValueError(error.message) from error
    return target


def key_of(secret: str) -> bytes:
    """Return what `secret` signs with.

    Raises:
        ValueError: it is no secret; says what one is, and never repeats it.
    """
    encoded = secret.removeprefix(SECRET_PREFIX).rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(_WHAT_A_SECRET_IS) from None
    if not secret.startswith(SECRET_PREFIX) or not 1 <= len(key) <= _MAX_SECRET_BYTES:
        raise ValueError(_WHAT_A_SECRET_IS)
    return key


def signature(secret: str, message_id: str, second: str, body: bytes) -> str:
    """Return what proves, in the header `webhook-signature`, that who knows `secret` sent `body` in this second."""
    signed = f"{message_id}.{second}.".encode(errors="replace") + body
    return f"v1,{base64.b64encode(hmac.digest(key_of(secret), signed, 'sha256')).decode()}"


def is_signed(secret: str, message_id: str, second: str, body: bytes, signatures: str) -> bool:
    """Tell whether one of several signatures, with spaces in between, is right; how much of one is takes no time."""
    right = signature(secret, message_id, second, body).encode()
    found = [hmac.compare_digest(right, each.encode(errors="replace")) for each in signatures.split(" ")]
    return any(found)
