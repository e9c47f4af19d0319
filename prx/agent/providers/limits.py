"""How long an answer may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one request to one provider."""

    first_token_secs: float
    next_token_secs: float
    answer_secs: float
    begins_by: float
    """When the answer has to have begun, on the clock of the event loop: `first_token_secs` from the first try on."""
