"""What the client library and the vendors' libraries raise, in words fit for operators. Imports the library."""

from collections.abc import Iterator
from typing import Any, Final

import httpx2
from pydantic_ai.exceptions import (
    AgentRunError,
    ContentFilterError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelContextWindowExceededError,
    ModelHTTPError,
    ModelNotFoundError,
    ModelQuotaExceededError,
    ModelRateLimitError,
    ModelRequestRejectedError,
    ModelServerError,
    ModelUnavailableError,
    UserError,
)

from prx.agent.providers.endpoints import Endpoint
from prx.config.redaction import MASK
from prx.core.provider import (
    ConversationTooLongError,
    ProviderConfigurationError,
    ProviderError,
    ProviderUnavailableError,
)

FOREIGN: Final = (
    AgentRunError,
    UserError,
    httpx2.HTTPError,
    httpx2.InvalidURL,
    # What code raises that reads an answer of another form than it expects.
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    AssertionError,
    RecursionError,
)
"""Whatever comes out of the libraries when something is wrong with an answer."""
_MAX_WORDS: Final = 300
_MAX_CAUSES: Final = 16
_AGAIN: Final = frozenset({408, 409, 425})
"""Beside 429."""
_SERVERS_FAULT: Final = 500


class NotReadError(httpx2.ReadError):
    """We do not read an answer of this kind, or not to its end; says why."""


class Failures:
    """Says what went wrong with one provider and one model."""

    def __init__(self, endpoint: Endpoint, model: str) -> None:
        """Speak of `model` at `endpoint`."""
        self._endpoint = endpoint
        self._model = model

    def of(self, error: Exception) -> ProviderError:
        """Return the failure that `error` is."""
        if (
            unread := next((cause for cause in _causes(error) if isinstance(cause, NotReadError)), None)
        ) is not None:
            return ProviderError(f"{self.who}: {unread}")
        if isinstance(error, ModelAPIError):
            return self._of_answer(error)
        if isinstance(error, ContentFilterError):
            return ProviderError(f"{self.who} answered nothing: its content filter took it")
        if isinstance(error, UserError):
            return ProviderError(f"{self.who} cannot be asked this: {self._words(error)}")
        if isinstance(error, httpx2.InvalidURL):
            return ProviderConfigurationError(f"{self._endpoint.table}.base_url is no address; correct it")
        if isinstance(error, httpx2.HTTPError):
            return self._broken(error)
        return self._unreadable(error)

    def no_answer_within(self, secs: float) -> ProviderUnavailableError:
        """Say that nothing came in time."""
        return ProviderUnavailableError(
            f"{self.who} did not begin to answer within {secs:g} s: see whether it is loaded and at work, or raise "
            "provider.first_token_timeout_secs"
        )

    def paused(self, secs: float) -> ProviderUnavailableError:
        """Say that an answer stopped coming."""
        return ProviderUnavailableError(
            f"{self.who} began to answer and then was silent for {secs:g} s: ask again, or raise "
            "provider.next_token_timeout_secs"
        )

    def endless(self, secs: float) -> ProviderError:
        """Say that an answer took too long as a whole."""
        return ProviderError(
            f"{self.who} was not done within {secs:g} s: ask for less, or raise provider.answer_timeout_secs"
        )

    def cut(self) -> ProviderUnavailableError:
        """Say that an answer ended before its end."""
        return ProviderUnavailableError(f"{self.who} broke off in the middle of its answer: ask again")

    @property
    def who(self) -> str:
        """Whom it speaks of."""
        return f'provider "{self._endpoint.name}" ({self._model} at {self._endpoint.host})'

    def _of_answer(self, error: ModelAPIError) -> ProviderError:
        words = self._words(error)
        status = f" (HTTP {error.status_code})" if isinstance(error, ModelHTTPError) else ""
        if isinstance(error, ModelHTTPError) and (
            error.status_code in _AGAIN or error.status_code >= _SERVERS_FAULT
        ):
            # Whatever else the body says.
            return self._later(f"failed{status}: {words}", error)
        match error:
            case ModelRequestRejectedError():
                return self._of_rejection(error, f"{status}: {words}")
            case ModelQuotaExceededError():
                return ProviderConfigurationError(
                    f"{self.who} has no credit left{status}: {words}; top the account up, or name others in "
                    "provider.fallback"
                )
            case ModelRateLimitError():
                return self._later(f"limits the rate{status}: {words}", error)
            case ModelUnavailableError() | ModelServerError():
                return self._later(f"failed{status}: {words}", error)
            case ModelConnectionError():
                return self._broken(error)
            case ModelHTTPError():
                return ProviderError(f"{self.who} refused the request{status}: {words}")
        return self._unreadable(error)

    def _of_rejection(self, error: ModelRequestRejectedError, said: str) -> ProviderError:
        table = self._endpoint.table
        match error:
            case ModelAuthenticationError():
                return ProviderConfigurationError(
                    f"{self.who} refused the key{said}; set {table}.api_key, or the variable of the environment "
                    "that it is taken from, to one that may use this model"
                )
            case ModelNotFoundError():
                return ProviderConfigurationError(
                    f"{self.who} has no such model{said}; correct the model, or {table}.base_url"
                )
            case ModelContextWindowExceededError():
                return ConversationTooLongError(
                    f"{self.who} takes no conversation of this length{said}; begin a new session, or use a model "
                    "with a larger window"
                )
        return ProviderError(f"{self.who} refused the request{said}")

    def _later(self, what: str, error: ModelAPIError) -> ProviderUnavailableError:
        return ProviderUnavailableError(f"{self.who} {what}", retry_after_secs=error.retry_after)

    def _broken(self, error: Exception) -> ProviderUnavailableError:
        """Say that the connection failed, or was not made."""
        phase = error.phase if isinstance(error, ModelConnectionError) else None
        if phase == "connect" or isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return ProviderUnavailableError(
                f"{self.who} cannot be reached: {self._deepest(error)}; see whether it runs, and whether "
                f"{self._endpoint.table}.base_url is right"
            )
        if phase == "pool":
            return ProviderUnavailableError(
                f"{self.who} is asked too much at once: all connections are in use"
            )
        return ProviderUnavailableError(f"{self.who} broke the connection: {self._deepest(error)}; ask again")

    def _unreadable(self, error: Exception) -> ProviderUnavailableError:
        return ProviderUnavailableError(
            f"{self.who} answered what cannot be read: {self._words(error)}; see whether "
            f"{self._endpoint.table}.base_url leads to its API"
        )

    def _deepest(self, error: Exception) -> str:
        """Return what the innermost cause that says something says."""
        said = [self._clean(str(cause)) for cause in _causes(error)]
        return next((words for words in reversed(said) if words), type(error).__name__)

    def _words(self, error: Exception) -> str:
        """Return what the provider itself says, or else the library."""
        said = _said_in(getattr(error, "body", None)) or str(error) or type(error).__name__
        return self._clean(said)

    def _clean(self, text: str) -> str:
        text = " ".join(text.split())
        if self._endpoint.key:
            # Some servers repeat the key that they refuse.
            text = text.replace(self._endpoint.key, MASK)
        return text if len(text) <= _MAX_WORDS else f"{text[:_MAX_WORDS]}..."


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what led to it."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            return
        yield cause
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)


def _said_in(body: Any) -> str | None:
    """Return the message in the body of an error; the forms of all vendors have one, at one of three places."""
    if isinstance(body, list) and body:
        body = body[0]
    if isinstance(body, dict):
        inner = body.get("error", body)
        said = inner.get("message") if isinstance(inner, dict) else inner
        return said if isinstance(said, str) else None
    return body if isinstance(body, str) and not body.lstrip().startswith("<") else None
