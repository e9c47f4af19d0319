"""The providers of the configuration as one: the first that answers, with those in `fallback` behind it."""

import asyncio
import math
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from prx.agent.providers.endpoints import Link, chain_of, check_installed, endpoint_of, is_configured
from prx.agent.providers.known import BUILTIN
from prx.agent.providers.library import Library
from prx.agent.providers.limits import Limits
from prx.agent.providers.retries import Answer, Retries
from prx.agent.providers.totals import Totals
from prx.config.schema import ProviderConfig
from prx.core.errors import NotFoundError
from prx.core.ids import now_utc
from prx.core.metric import Metric
from prx.core.provider import (
    ChatAnswer,
    ChatProvider,
    ChatRequest,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
)
from prx.core.tool import CallContext
from prx.core.unit import Problem
from prx.runtime.logging import get_logger
from prx.runtime.registry import Registry
from prx.runtime.tasks import Tasks

_PATIENCE_SECS: Final = 10.0
"""How long a pause is worth it where another provider may be asked instead."""
_CORRECT: Final = "correct the configuration; the next message goes by it: docs/providers.md"
_ASK_AGAIN: Final = "it is asked again with the next message"

_log = get_logger("agent::providers")


class Providers:
    """A `ChatProvider` that is whatever the configuration says at the moment of a request."""

    def __init__(
        self,
        config: Callable[[], ProviderConfig],
        offered: Registry[ChatProvider],
        retries: Retries | None = None,
    ) -> None:
        """Ask those that are `offered`, which plugins bring, and those of the configuration."""
        self._config = config
        self._offered = offered
        self._retries = retries or Retries()
        self.library = Library()
        self._totals = Totals()
        self._failed: dict[Link, Problem] = {}
        self._unusable: dict[Link, str] = {}
        self._since = now_utc()
        self._tasks = Tasks(_log, lambda: None)

    @property
    def name(self) -> str:
        """What `[provider] name` is now."""
        return self._config().name

    async def chat(self, request: ChatRequest, context: CallContext) -> Answer:
        """See `ChatProvider.chat`; `request.model` is the first provider's, the others have their own."""
        config = self._config()
        first, *others = chain_of(config)
        links = [first._replace(model=request.model), *others]
        failures: list[ProviderError] = []
        for link in links:
            has_begun, is_last = False, link is links[-1]
            try:
                async with aclosing(self._ask(config, link, request, context, is_last=is_last)) as answer:
                    async for piece in answer:
                        has_begun = True
                        yield piece
            except ProviderError as error:
                self._note(config, link, error)
                if has_begun:
                    raise
                failures.append(error)
            else:
                return
        raise _nobody_answered(failures)

    def reconfigured(self) -> None:
        """Follow the configuration: forget the old one's keys and failures, and load what the new one needs."""
        self.library.forget()
        self._failed.clear()
        self._unusable.clear()
        self._since = now_utc()
        self._tasks.start(self._prepare(self._config()))

    def problems(self) -> list[Problem]:
        """Return which of the configured providers cannot be used, or could not the last time."""
        config = self._config()
        found: list[Problem] = []
        for link in chain_of(config):
            if (fault := self._fault(config, link)) is not None:
                found.append(Problem(f"provider.{link.name}", fault, self._since, _CORRECT))
            elif link in self._failed:
                found.append(self._failed[link])
        return found

    def metrics(self) -> Sequence[Metric]:
        """Return what was asked and what it cost; see `MetricSource`."""
        return self._totals.metrics()

    async def aclose(self) -> None:
        """Close every connection to a provider."""
        await self._tasks.aclose()
        await self.library.aclose()

    async def _ask(
        self,
        config: ProviderConfig,
        link: Link,
        request: ChatRequest,
        context: CallContext,
        *,
        is_last: bool,
    ) -> Answer:
        """Yield the answer of one provider, which may be asked more than once for it."""
        name, ended = link.name, False
        try:
            ask = await self._request(config, link, request, context)
            begins_by = asyncio.get_running_loop().time() + config.first_token_timeout_secs
            again = self._retries.of(
                lambda: ask(begins_by),
                most=config.max_retries,
                begins_by=begins_by,
                patience_secs=math.inf if is_last else _PATIENCE_SECS,
            )
            async with aclosing(again) as answer:
                async for piece in answer:
                    if isinstance(piece, ChatAnswer):
                        ended = True
                        self._failed.pop(link, None)
                        self._totals.answered(name, piece)
                        _log.debug(
                            "a provider answered", provider=name, model=piece.model, **piece.usage._asdict()
                        )
                        yield replace(
                            piece,
                            provider=piece.provider or name,
                            model=piece.model or link.model or request.model,
                        )
                    else:
                        yield piece
        except ProviderError:
            ended = True
            self._totals.ended(name, "failed")
            raise
        finally:
            if not ended:
                self._totals.ended(name, "given_up")

    async def _request(
        self, config: ProviderConfig, link: Link, request: ChatRequest, context: CallContext
    ) -> Callable[[float], Answer]:
        """Return what makes one request to a provider, whose answer has to begin by a time.

        Raises:
            ProviderConfigurationError: the provider cannot be used as it is configured.
        """
        own = replace(request, model=link.model or request.model)
        if not is_configured(config, link.name):
            provider = self._offer(config, link)
            return lambda _: provider.chat(own, context)
        endpoint = endpoint_of(config, link)
        asked = await self.library.model(endpoint, own.model)

        def ask(begins_by: float) -> Answer:
            limits = Limits(
                first_token_secs=config.first_token_timeout_secs,
                next_token_secs=config.next_token_timeout_secs,
                answer_secs=config.answer_timeout_secs,
                begins_by=begins_by,
            )
            return asked.chat(own, limits)

        return ask

    def _offer(self, config: ProviderConfig, link: Link) -> ChatProvider:
        try:
            return self._offered.get(link.name)
        except NotFoundError:
            endpoint_of(config, link)  # says how to configure one of this name
            raise

    def _note(self, config: ProviderConfig, link: Link, error: ProviderError) -> None:
        """Remember what an operator should know; a refused request is the request's fault, not the provider's."""
        _log.warning("a provider gave no answer", provider=link.name, code=error.code, reason=error.message)
        concerns = isinstance(error, ProviderConfigurationError | ProviderUnavailableError)
        if concerns and link in chain_of(config) and config is self._config():
            action = _CORRECT if isinstance(error, ProviderConfigurationError) else _ASK_AGAIN
            self._failed[link] = Problem(f"provider.{link.name}", error.message, now_utc(), action)

    def _fault(self, config: ProviderConfig, link: Link) -> str | None:
        """Return why a provider cannot be used, as far as that shows without asking it."""
        if link.name == BUILTIN:
            return None
        try:
            if is_configured(config, link.name):
                endpoint_of(config, link)
            else:
                self._offer(config, link)
        except ProviderConfigurationError as error:
            return error.message
        return self._unusable.get(link)

    async def _prepare(self, config: ProviderConfig) -> None:
        """Find what is not installed, and load what the first message would wait for."""
        chain = [link for link in chain_of(config) if is_configured(config, link.name)]
        for link in chain:
            try:
                endpoint = endpoint_of(config, link)
                await asyncio.to_thread(check_installed, endpoint)
                if link == Link(config.name, config.model):
                    await self.library.model(endpoint, config.model)
            except ProviderError as error:
                if config is self._config():
                    self._unusable[link] = error.message


def _nobody_answered(failures: Sequence[ProviderError]) -> ProviderError:
    """Return the failures as one, which says whether it is worth it to ask again."""
    if len(failures) == 1:
        return failures[0]
    said = "no provider answered: " + "; ".join(failure.message for failure in failures)
    waits = [failure for failure in failures if isinstance(failure, ProviderUnavailableError)]
    if waits:
        soonest = min(
            (wait.retry_after_secs for wait in waits if wait.retry_after_secs is not None), default=None
        )
        return ProviderUnavailableError(said, retry_after_secs=soonest)
    kinds = {type(failure) for failure in failures}
    return (kinds.pop() if len(kinds) == 1 else ProviderError)(said)
