"""What a route takes and what it answers, said once: requests are read by it, and `GET /openapi.json` is made of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypedDict

from pydantic import BaseModel

_OF_A_BODY: Final = frozenset({400, 413, 415})
_OF_A_QUERY: Final = frozenset({400})


class Header(NamedTuple):
    """A header of the request that a route looks at."""

    meaning: str
    pattern: str | None = None
    """What its value has to match, as the route itself makes sure of."""


class Promises(TypedDict, total=False):
    """The arguments of a route's declaration that tell what it answers; see `Contract`."""

    answer: Any
    status: int | tuple[int, ...]
    streams: Mapping[str, Any]
    headers: Mapping[str, Header]
    sends: Mapping[str, str]
    refuses: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """One route's half of the agreement; what holds for every route, such as a token, comes with the guard."""

    body: type[BaseModel] | None = None
    """The model that reads the request's JSON."""
    body_required: bool = True
    """Whether a request without a body is refused; otherwise it counts as the model's defaults."""
    query: type[BaseModel] | None = None
    """The model that reads the request's query."""
    upload: int | None = None
    """How many bytes of files are taken, as multipart/form-data."""
    headers: Mapping[str, Header] = field(default_factory=dict)
    """Headers of the request that the route looks at."""
    answer: Any = None
    """The shape of the answer's JSON, an `Answer` of `prx.api.bodies`."""
    streams: Mapping[str, Any] = field(default_factory=dict)
    """The events of the stream that is answered, instead of JSON or beside it: each with the shape of its data."""
    statuses: tuple[int, ...] = (200,)
    """The statuses of answers that are no refusals."""
    sends: Mapping[str, str] = field(default_factory=dict)
    """Headers of the answer beside those that every answer has, each with its meaning."""
    refuses: frozenset[int] = frozenset()
    """The statuses of refusals for reasons of the route's own."""

    @classmethod
    def of(
        cls, *, status: int | tuple[int, ...] | None = None, refuses: tuple[int, ...] = (), **declared: Any
    ) -> "Contract":
        """Return what the arguments of a declaration say; one without answer and streams promises 204."""
        if status is None:
            status = 200 if "answer" in declared or "streams" in declared else 204
        statuses = status if isinstance(status, tuple) else (status,)
        return cls(statuses=statuses, refuses=frozenset(refuses), **declared)

    def models(self) -> list[Any]:
        """Return what a schema is to be made of."""
        found = [self.body, self.answer, *self.streams.values()]
        return [model for model in found if model is not None]

    @property
    def refusals(self) -> frozenset[int]:
        """The statuses of refusals for the route's own reasons, and for a body or query that does not fit."""
        found = self.refuses
        if self.body is not None or self.upload is not None:
            found |= _OF_A_BODY
        if self.query is not None:
            found |= _OF_A_QUERY
        return found
