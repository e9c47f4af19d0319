"""The envelope of every failure."""

from typing import Annotated, Any

from pydantic import WithJsonSchema

from prx.api.bodies import Answer
from prx.api.errors import STATUS


class ErrorContent(Answer):
    """What is wrong."""

    code: Annotated[str, WithJsonSchema({"type": "string", "enum": sorted(STATUS)})]
    """Stable, for programs; goes with the status."""
    message: str
    """What, why and what to do."""
    details: dict[str, Any] | None
    """More, for programs: `errors` with the `field` and `message` of each value that does not fit, say."""


class ErrorAnswer(Answer):
    """A refusal or a failure."""

    error: ErrorContent
