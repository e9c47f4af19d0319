"""The examples of `docs/webhooks.md` accept what PRX sends, with every spelling of a secret, and nothing else."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prx.core.ids import now_utc
from prx.webhooks.outbox import Happening, body_of
from prx.webhooks.signing import new_secret, signed_headers
from tests.unit.docs.documents import DOCS, blocks, sections

EXAMPLES = {
    block.language: block.text
    for block in blocks(sections((DOCS / "webhooks.md").read_text(), 2)["Verify it"])
}
SECRETS = ["whsec_xxxxxxxxxxx", "whsec_AAAAAA==", "whsec_AAAAAA", new_secret()]
BODY = body_of(
    "evt_1", Happening("message.received", {"content": "naïve \u2028 $HOME `x` 'y' \"z\""}, now_utc())
)

PYTHON = """
import json, sys
secret, headers, body = json.load(sys.stdin)
event = event_of(secret, headers, body.encode())
print("invalid" if event is None else event["id"])
"""
JAVASCRIPT = """
const [secret, headers, body] = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const event = eventOf(secret, headers, body);
console.log(event === null ? "invalid" : event.id);
"""


def told(command: list[str], given: str = "", **environment: str) -> str:
    done = subprocess.run(
        command, input=given, env={"PATH": os.environ["PATH"], **environment},
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def verdict(language: str, scratch: Path, secret: str, headers: dict[str, str], body: bytes) -> str:
    """Return what an example says of a delivery: `valid` or `invalid`."""
    given = json.dumps([secret, headers, body.decode()])
    if language == "python":
        said = told([sys.executable, "-c", EXAMPLES["python"] + PYTHON], given)
    elif language == "js":
        if shutil.which("node") is None:
            pytest.skip("Node.js is not installed")
        file = scratch / "example.js"
        file.write_text(EXAMPLES["js"] + JAVASCRIPT)
        said = told(["node", str(file)], given)
    else:
        if shutil.which("openssl") is None:
            pytest.skip("OpenSSL is not installed")
        return told(
            ["sh", "-c", EXAMPLES["sh"]],
            SECRET=secret, ID=headers["webhook-id"], SENT_AT=headers["webhook-timestamp"],
            SIGNATURE=headers["webhook-signature"], BODY=body.decode(),
        )  # fmt: skip
    return "valid" if said == "evt_1" else said


@pytest.mark.parametrize("language", ["python", "js", "sh"])
@pytest.mark.parametrize("secret", SECRETS, ids=["of the reference", "padded", "unpadded", "made by PRX"])
def test_an_example_accepts_a_delivery(language: str, secret: str, tmp_path: Path) -> None:
    headers = dict(signed_headers("evt_1", BODY, [secret], now_utc()))
    assert verdict(language, tmp_path, secret, headers, BODY) == "valid"


@pytest.mark.parametrize("language", ["python", "js", "sh"])
def test_an_example_accepts_either_secret_while_two_overlap(language: str, tmp_path: Path) -> None:
    headers = dict(signed_headers("evt_1", BODY, SECRETS[-2:], now_utc()))
    for secret in SECRETS[-2:]:
        assert verdict(language, tmp_path, secret, headers, BODY) == "valid"


@pytest.mark.parametrize("language", ["python", "js", "sh"])
def test_an_example_refuses_what_was_changed_or_signed_by_somebody_else(
    language: str, tmp_path: Path
) -> None:
    secret = new_secret()
    headers = dict(signed_headers("evt_1", BODY, [secret], now_utc()))
    changed = BODY.replace(b"message.received", b"session.created")
    assert verdict(language, tmp_path, secret, headers, changed) == "invalid"
    assert verdict(language, tmp_path, new_secret(), headers, BODY) == "invalid"
    assert verdict(language, tmp_path, secret, headers | {"webhook-id": "evt_2"}, BODY) == "invalid"


def test_the_page_has_the_examples() -> None:
    assert set(EXAMPLES) == {"python", "js", "sh"}
