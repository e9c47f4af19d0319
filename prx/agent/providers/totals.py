"""What was asked of providers, and what it came to."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from prx.core.metric import Metric
from prx.core.provider import ChatAnswer

_MAX_NAMES: Final = 64
_REST: Final = "other"
"""Whose numbers those are that came after so many names: a configuration may be changed for ever."""


class Totals:
    """Counts by provider, as the configuration calls it."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._names: set[str] = set()
        self._answers: Counter[tuple[str, str]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._cost_usd: dict[str, float] = {}

    def answered(self, name: str, answer: ChatAnswer) -> None:
        """Count an answer."""
        name = self._label(name)
        self._answers[name, "answered"] += 1
        self._tokens[name, "input"] += answer.usage.input
        self._tokens[name, "output"] += answer.usage.output
        self._tokens[name, "cached"] += answer.cached_tokens
        if answer.cost_usd is not None:
            self._cost_usd[name] = self._cost_usd.get(name, 0.0) + answer.cost_usd

    def ended(self, name: str, how: Literal["failed", "given_up"]) -> None:
        """Count a request without an answer: the provider's fault, or nobody waited any longer."""
        self._answers[self._label(name), how] += 1

    def metrics(self) -> Sequence[Metric]:
        """Return the counts; see `MetricSource`."""
        return [
            Metric(
                "prx_provider_answers",
                "counter",
                "Requests to language models by how they ended",
                ("provider", "outcome"),
                list(self._answers.items()),
            ),
            Metric(
                "prx_provider_tokens",
                "counter",
                "Tokens of language models; cached ones are among the input",
                ("provider", "kind"),
                list(self._tokens.items()),
            ),
            Metric(
                "prx_provider_cost_usd",
                "counter",
                "US dollars that answers cost, where the price is known",
                ("provider",),
                [((name,), cost) for name, cost in self._cost_usd.items()],
            ),
        ]

    def _label(self, name: str) -> str:
        if name not in self._names and len(self._names) >= _MAX_NAMES:
            return _REST
        self._names.add(name)
        return name
