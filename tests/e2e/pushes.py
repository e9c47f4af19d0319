"""Messages that a program posts to a webhook channel of a real daemon."""

import json
import time
import urllib.error
import urllib.request
from typing import Any

from prx.core.webhook import SIGNED_HEADERS, signature
from tests.e2e.daemon_process import WAIT_SECS

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105  # the specification's own example


def pushed(url: str, message_id: str, text: str, secret: str = SECRET) -> tuple[int, Any]:
    """Post a signed message; return the status and what was answered."""
    body, second = json.dumps({"user": "ada", "text": text}).encode(), str(int(time.time()))
    request = urllib.request.Request(url, data=body, method="POST")  # noqa: S310
    for name, value in zip(
        SIGNED_HEADERS, (message_id, second, signature(secret, message_id, second, body)), strict=True
    ):
        request.add_header(name, value)
    try:
        with urllib.request.urlopen(request, timeout=WAIT_SECS) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
