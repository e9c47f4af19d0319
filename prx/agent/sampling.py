"""Answers of the model to others than the agent's users: off unless configured, within budgets, and counted."""

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Self

from prx.agent.budgets import BudgetError, Budgets
from prx.agent.compaction import CHARS_PER_TOKEN, tokens_in
from prx.agent.providers.known import BUILTIN
from prx.agent.stages import Stages
from prx.config.schema import ProviderConfig
from prx.core.errors import PrxError, UnavailableError
from prx.core.metric import Metric
from prx.core.provider import (
    ChatAnswer,
    ChatProvider,
    ChatRequest,
    ProviderConfigurationError,
    ProviderError,
)
from prx.core.session import TokenUsage
from prx.core.tool import CallContext
from prx.runtime.logging import get_logger
from prx.runtime.pipeline import Pipeline
from prx.runtime.store import Store

_MAX_AT_ONCE: Final = 4
"""Answers that are made for one source at the same time."""
_MAX_TEXT_CHARS: Final = 1 << 20
_TOKENS_PER_IMAGE: Final = 1600

_log = get_logger("agent::sampling")


class Sampling:
    """See `prx.core.sampling.Sampler`."""

    def __init__(
        self,
        provider: ChatProvider,
        budgets: Budgets,
        middleware: Pipeline,
        store: Store,
        config: Callable[[], ProviderConfig],
        clock: Callable[[], datetime],
    ) -> None:
        """Use `open`, which knows what was used before.

        Args:
            provider: who answers.
            budgets: of the agent, which this counts against, too.
            middleware: sees what goes to the model and what comes back, as in a turn.
            store: keeps what was used.
            config: names the model.
            clock: tells the day.
        """
        self._provider = provider
        self._budgets = budgets
        self._middleware = middleware
        self._store = store
        self._config = config
        self._used = _Used(clock)
        self._outcomes: Counter[str] = Counter()

    @classmethod
    async def open(
        cls,
        provider: ChatProvider,
        budgets: Budgets,
        middleware: Pipeline,
        store: Store,
        config: Callable[[], ProviderConfig],
        clock: Callable[[], datetime],
    ) -> Self:
        """Begin with what the store knows of today.

        Raises:
            UnavailableError: the store cannot be read.
        """
        sampling = cls(provider, budgets, middleware, store, config, clock)
        await store.run(sampling._used.restore)
        return sampling

    async def sample(self, source: str, request: ChatRequest, tokens_per_day: int) -> ChatAnswer:
        """See `Sampler.sample`."""
        try:
            answer = await self._sample(source, request, tokens_per_day)
        except PrxError as error:
            self._outcomes[error.code] += 1
            _log.warning("no model answers", source=source, code=error.code, reason=error.message)
            raise
        self._outcomes["answered"] += 1
        _log.info(
            "a model answered",
            source=source,
            provider=answer.provider,
            model=answer.model,
            used_today=self._used.today(source),
            **answer.usage._asdict(),
        )
        return answer

    def metrics(self) -> Sequence[Metric]:
        """Return what was asked and what it took; see `MetricSource`."""
        return [
            Metric(
                "prx_sampling_answers",
                "counter",
                "Questions of MCP servers to the model by how they ended",
                ("outcome",),
                [((outcome,), times) for outcome, times in self._outcomes.items()],
            ),
            Metric(
                "prx_sampling_tokens_today",
                "gauge",
                "Tokens that the model spent on MCP servers today",
                ("source",),
                [((source,), tokens) for source, tokens in self._used.all_today().items()],
            ),
        ]

    async def _sample(self, source: str, request: ChatRequest, tokens_per_day: int) -> ChatAnswer:
        if self._provider.name == BUILTIN:
            raise ProviderConfigurationError(
                "no language model is configured, which could answer: set provider.name and provider.model"
            )
        self._budgets.check_day()
        config = self._config()
        request = replace(
            request,
            model=request.model or config.model,
            temperature=config.temperature if request.temperature is None else request.temperature,
        )
        wanted = request.max_tokens or 1
        context = CallContext()
        # Nobody's session: middleware knows it by its channel.
        about = {"session_id": "", "message_id": "", "channel": source, "user_id": ""}
        stages = Stages(self._middleware, about, context)
        request = await stages.request(request)
        with self._used.reserving(
            source, _estimate(request), min(wanted, request.max_tokens or wanted), tokens_per_day
        ) as most:
            answer = await self._answered(source, replace(request, max_tokens=most), context)
        return replace(await stages.response(answer), model=answer.model or request.model)

    async def _answered(self, source: str, request: ChatRequest, context: CallContext) -> ChatAnswer:
        """Ask the model, and count what that took, whatever came of it."""
        said, is_refused = 0, False
        answer: ChatAnswer | None = None
        try:
            async with aclosing(self._provider.chat(request, context)) as answering:
                async for piece in answering:
                    if isinstance(piece, ChatAnswer):
                        answer = piece
                        break
                    said += len(piece)
                    if said > _MAX_TEXT_CHARS:
                        break
        except ProviderError:
            is_refused = not said
            raise
        finally:
            # A request that was broken off tells no usage, nor do some providers: it is estimated.
            told = TokenUsage() if answer is None else answer.usage
            if not is_refused:
                estimate = TokenUsage(_estimate(request), said // CHARS_PER_TOKEN)
                cost_usd = None if answer is None else answer.cost_usd
                self._count(source, told if any(told) else estimate, cost_usd)
        if answer is None:
            raise ProviderError(
                f'provider "{self._provider.name}" gave no answer of at most {_MAX_TEXT_CHARS} characters'
            )
        return answer

    def _count(self, source: str, usage: TokenUsage, cost_usd: float | None) -> None:
        self._budgets.note(usage, cost_usd)
        self._used.note(source, sum(usage))

        def job(db: sqlite3.Connection) -> None:
            self._budgets.keep(db, usage, cost_usd)
            self._used.keep(db, source, sum(usage))

        try:
            self._store.queue(job)
        except UnavailableError as error:
            _log.warning("what a model was used for is not kept", source=source, reason=error.message)


class _Used:
    """Tokens that each source used today, and those that may come to it. A day is one of UTC."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        """Start with nothing used; `restore` knows better."""
        self._clock = clock
        self._day = self._now()
        self._tokens: Counter[str] = Counter()
        self._reserved: Counter[str] = Counter()
        self._running: Counter[str] = Counter()

    def all_today(self) -> Counter[str]:
        """Return what was used, by source."""
        if self._day != self._now():
            self._day, self._tokens = self._now(), Counter()
        return self._tokens

    def today(self, source: str) -> int:
        """Return what one source used."""
        return self.all_today()[source]

    def restore(self, db: sqlite3.Connection) -> None:
        """Begin with what the store knows of today. Runs in the store's thread, before anything is used."""
        rows = db.execute("SELECT source, tokens FROM sampling_usage WHERE day = ?", (self._day,))
        self._tokens = Counter(dict(rows))

    def note(self, source: str, tokens: int) -> None:
        """Count tokens as used."""
        self.all_today()[source] += tokens

    def keep(self, db: sqlite3.Connection, source: str, tokens: int) -> None:
        """Add to what the store knows of today, and of no other day. Runs in the store's thread."""
        db.execute(
            "INSERT INTO sampling_usage VALUES (?, ?, ?) "
            "ON CONFLICT (day, source) DO UPDATE SET tokens = tokens + excluded.tokens",
            (self._now(), source, tokens),
        )
        db.execute("DELETE FROM sampling_usage WHERE day < ?", (self._now(),))

    @contextmanager
    def reserving(self, source: str, asked: int, most: int, tokens_per_day: int) -> Iterator[int]:
        """Set aside what a request may take, and give how many tokens the answer may have.

        Args:
            source: who asks.
            asked: about how many tokens the request has.
            most: how many the answer may have in any case.
            tokens_per_day: what the source may use.

        Raises:
            BudgetError: nothing is left for an answer.
            UnavailableError: too many answers are being made.
        """
        if self._running[source] >= _MAX_AT_ONCE:
            raise UnavailableError(f"{_MAX_AT_ONCE} answers are being made for {source} already")
        used = self.today(source)
        most = min(most, tokens_per_day - used - self._reserved[source] - asked)
        if most < 1:
            raise BudgetError(
                f"{source} has used {used} of the {tokens_per_day} tokens that the model may spend on it today, and "
                f"this takes about {asked} before there is an answer: wait for midnight UTC, or raise "
                "sampling.tokens_per_day"
            )
        self._running[source] += 1
        self._reserved[source] += asked + most
        try:
            yield most
        finally:
            self._running[source] -= 1
            self._reserved[source] -= asked + most

    def _now(self) -> str:
        return self._clock().astimezone(UTC).date().isoformat()


def _estimate(request: ChatRequest) -> int:
    """Return about how many tokens a request is to the model."""
    images = sum(len(message.images) for message in request.messages)
    return (
        1
        + tokens_in(request.system, *(each.content for each in request.messages))
        + images * _TOKENS_PER_IMAGE
    )
