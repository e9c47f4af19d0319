"""The tool router: every callable name in one place, whoever brings it, and every call on one way."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import jsonschema_rs

from prx.core.errors import BadRequestError, ConflictError, NotFoundError, PrxError
from prx.core.metric import Metric
from prx.core.tool import CallContext, Tool, ToolResult, ToolSpec, Veto
from prx.runtime.bus import Bus
from prx.runtime.changes import Changes
from prx.runtime.schemas import expanded_size

_MAX_REPORTED_ERRORS = 20
_MAX_SUBSCHEMAS = 100_000
# By what a schema says of itself; MCP servers in JavaScript write them.
_OLDER_DRAFTS = {
    "http://json-schema.org/draft-06/schema": jsonschema_rs.Draft6Validator,
    "http://json-schema.org/draft-07/schema": jsonschema_rs.Draft7Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
}

Explain = Callable[[str], PrxError | None]
"""Returns why a tool of this name is not offered, or None where that is nothing out of the ordinary."""

BEFORE_EXECUTE = "prx.tool.before_execute"
AFTER_EXECUTE = "prx.tool.after_execute"


@dataclass(frozen=True, slots=True)
class Offer:
    """A tool that is offered, from `ToolRouter.offer` on."""

    tool: Tool
    validator: jsonschema_rs.Validator


class ToolRouter:
    """Tools by name. Offering is a block: all names or none, withdrawn when the block ends.

    Whoever offers and withdraws many, each by itself, does so without one: a block costs a kilobyte for each tool.
    """

    def __init__(self, bus: Bus) -> None:
        """Start with no tools; `bus` hears of every call."""
        self._bus = bus
        self._vetoes: tuple[Veto, ...] = ()
        self._offers: dict[str, Offer] = {}
        self._withheld: dict[str, str] = {}
        self._explain: list[Explain] = []
        self.changes = Changes()
        """Of what `specs` returns."""

    def specs(self) -> list[ToolSpec]:
        """Return what can be called now, by name."""
        return [self._offers[name].tool.spec for name in sorted(self._offers)]

    def metrics(self) -> list[Metric]:
        """Return how many tools there are; see `MetricSource`."""
        count = Counter(offer.tool.spec.source for offer in self._offers.values())
        samples = [((source,), number) for source, number in sorted(count.items())]
        return [
            Metric("prx_tools", "gauge", "Tools that can be called, by who brings them", ("source",), samples)
        ]

    def spec(self, name: str) -> ToolSpec | None:
        """Return the tool `name` as it can be called now, or None where nobody offers it."""
        offer = self._offers.get(name)
        return None if offer is None else offer.tool.spec

    @contextmanager
    def offering(self, tools: Iterable[Tool]) -> Iterator[None]:
        """Offer `tools` for the length of the block, all or none.

        Raises:
            ConflictError: one of the names is taken, or a tool's schema is not a JSON Schema.
        """
        offers = {tool.spec.name: Offer(tool, _compiled(tool.spec)) for tool in tools}
        for name in offers:
            self._check_free(name)
        self._offers.update(offers)
        self.changes.mark()
        try:
            yield
        finally:
            for offer in offers.values():
                self._drop(offer)
            self.changes.mark()

    def offer(self, tool: Tool) -> Offer:
        """Offer one tool until it is given to `withdraw`; raises as `offering`."""
        name, offer = tool.spec.name, Offer(tool, _compiled(tool.spec))
        self._check_free(name)
        self._offers[name] = offer
        self.changes.mark()
        return offer

    def withdraw(self, offer: Offer) -> None:
        """Offer that no more."""
        self._drop(offer)
        self.changes.mark()

    def _drop(self, offer: Offer) -> None:
        name = offer.tool.spec.name
        if self._offers.get(name) is offer:
            del self._offers[name]

    @contextmanager
    def withholding(self, names: Iterable[str], reason: str) -> Iterator[None]:
        """Answer calls to `names` with 409 and `reason` for the length of the block, where nobody offers them."""
        withheld = dict.fromkeys(names, reason)
        self._withheld.update(withheld)
        try:
            yield
        finally:
            for name in withheld:
                self._withheld.pop(name, None)

    @contextmanager
    def explaining(self, explain: Explain) -> Iterator[None]:
        """Ask `explain` for the length of the block why a tool that is called is missing; for who cannot list names."""
        self._explain.append(explain)
        try:
            yield
        finally:
            self._explain.remove(explain)

    @contextmanager
    def consulting(self, veto: Veto) -> Iterator[None]:
        """Ask `veto` before each call for the length of the block; several are asked in the order of their names."""
        self._vetoes = tuple(sorted((*self._vetoes, veto), key=lambda each: each.name))
        try:
            yield
        finally:
            self._vetoes = tuple(each for each in self._vetoes if each is not veto)

    async def call(self, name: str, arguments: Mapping[str, Any], context: CallContext) -> ToolResult:
        """Check `arguments`, ask whoever may veto, and run the tool.

        Raises:
            NotFoundError: no such tool.
            BadRequestError: the arguments do not fit; `details.errors` lists each field and why.
            ForbiddenError: the call was vetoed.
            ConflictError: the tool is withheld: its plugin is disabled or quarantined, its MCP server disabled.
            UnavailableError: too many calls wait for it already, or its MCP server is not connected.
        """
        tool = self._checked(name, arguments)
        if vetoes := self._vetoes:
            for veto in vetoes:
                await veto.before_execute(tool.spec, arguments, context)
            # Asking took its time: a newer version may have taken its place.
            tool = self._checked(name, arguments)
        spec = tool.spec
        self._publish(BEFORE_EXECUTE, spec, context)
        result = await tool.call(arguments, context)
        error = None if result.error is None else result.error.code
        self._publish(AFTER_EXECUTE, spec, context, success=result.success, error=error)
        return result

    def _check_free(self, name: str) -> None:
        if (taken := self._offers.get(name)) is not None:
            holder = taken.tool.spec.source
            raise ConflictError(
                f'tool "{name}" is already offered by {holder}', details={"tool": name, "holder": holder}
            )

    def _checked(self, name: str, arguments: Mapping[str, Any]) -> Tool:
        """Return the tool `name` if it takes `arguments`."""
        offer = self._offers.get(name)
        if offer is None:
            self._raise_missing(name)
        try:
            if not offer.validator.is_valid(arguments):
                raise _argument_errors(name, offer.validator, arguments)
        except ValueError as error:  # nested too deeply for the validator, or half a surrogate pair
            raise BadRequestError(f'Tool "{name}": arguments: {error}') from error
        return offer.tool

    def _publish(self, topic: str, spec: ToolSpec, context: CallContext, **facts: object) -> None:
        if not self._bus.wanted(topic):
            return
        about = {
            "tool": spec.name,
            "source": spec.source,
            "request_id": context.request_id,
            "session_id": context.session_id,
        }
        self._bus.publish(topic, about | facts, depth=context.depth)

    def _raise_missing(self, name: str) -> NoReturn:
        if (reason := self._withheld.get(name)) is not None:
            raise ConflictError(reason)
        for explain in self._explain:
            if (error := explain(name)) is not None:
                raise error
        raise NotFoundError(f'Tool "{name}" not found; GET /api/v1/tools lists what there is')


def _compiled(spec: ToolSpec) -> jsonschema_rs.Validator:
    try:
        if expanded_size(spec.parameters) > _MAX_SUBSCHEMAS:
            raise ValueError(f"with its references followed it has more than {_MAX_SUBSCHEMAS} parts")  # noqa: TRY301
        # What was sent is not repeated: it may be a secret in the wrong place.
        return _validator(spec.parameters, mask="the value")
    except jsonschema_rs.ValidationError as error:
        raise _unfit(spec, _fault(spec.parameters)) from error
    except (jsonschema_rs.ReferencingError, ValueError) as error:
        raise _unfit(spec, str(error)) from error


def _validator(parameters: Mapping[str, Any], mask: str | None = None) -> jsonschema_rs.Validator:
    draft = _OLDER_DRAFTS.get(
        str(parameters.get("$schema")).removesuffix("#"), jsonschema_rs.Draft202012Validator
    )
    # It is kept: a copy is made only of what the library would not take.
    schema = parameters if isinstance(parameters, dict) else dict(parameters)
    return draft(schema, mask=mask, retriever=_refuse_reference)


def _fault(parameters: Mapping[str, Any]) -> str:
    """Say what is wrong with a schema, which is no secret, in words that are not masked."""
    try:
        _validator(parameters)
    except jsonschema_rs.ValidationError as error:
        return str(error)
    return "it is refused"


def _unfit(spec: ToolSpec, reason: str) -> ConflictError:
    first = reason.partition("\n")[0]
    return ConflictError(
        f'tool "{spec.name}": its parameters are not a JSON Schema: {first}', details={"tool": spec.name}
    )


def _refuse_reference(uri: str) -> NoReturn:
    # A schema comes from a guest: following its references would fetch whatever address it names.
    raise ValueError(f"reference to {uri}: only references inside the schema are followed")


def _argument_errors(
    name: str, validator: jsonschema_rs.Validator, arguments: Mapping[str, Any]
) -> BadRequestError:
    errors = [
        {"field": ".".join(["arguments", *map(str, error.instance_path)]), "message": error.message}
        for error, _ in zip(validator.iter_errors(arguments), range(_MAX_REPORTED_ERRORS), strict=False)
    ]
    first = errors[0]
    return BadRequestError(f'Tool "{name}": {first["field"]}: {first["message"]}', details={"errors": errors})
