"""JSON in, JSON out: request bodies and queries checked by a model, answers as bytes."""

import json
import re
from functools import cache
from typing import Annotated, Any, Final, TypeVar, get_origin

from aiohttp import web
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
    field_validator,
    with_config,
)
from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

# The standard library's own carries no configuration for pydantic before Python 3.12.
from typing_extensions import TypedDict

from prx.api.errors import UnsupportedMediaTypeError, of_validation
from prx.core.errors import BadRequestError

_Body = TypeVar("_Body", bound=BaseModel)
_DIGITS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
# Anything that might lie beyond the range of a double, at the price of a few numbers that do not.
_MAYBE_INFINITE: Final = re.compile(rb"[eE]\+?[0-9]{3}|[0-9]{200}")


def _whole_number(value: Any) -> Any:
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise ValueError("a whole number of at most nine digits is expected")
    return value


def _true_or_false(value: Any) -> Any:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError('must be "true" or "false"')
    return value


# Bounds stand before the validator: behind it, they would be missing in the JSON Schema.
WholeNumber = Annotated[int, Field(ge=0, le=999_999_999), BeforeValidator(_whole_number)]
"""A parameter of a query that is 0 or more."""
PageLimit = Annotated[int, Field(ge=1, le=500), BeforeValidator(_whole_number)]
"""How many rows of a list to return at most."""
Flag = Annotated[bool, BeforeValidator(_true_or_false)]
"""A parameter of a query that is `true` or `false`."""


Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time of an answer: UTC in ISO 8601, as `prx.core.ids.iso_utc` writes it."""


class Body(BaseModel):
    """A request's JSON: these fields, of just these types, and no others."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    @field_validator("*", mode="before")
    @classmethod
    def _take_whole_numbers(cls, value: Any) -> Any:
        """Read 2.0 as 2: to JSON and its schemas they are the same number."""
        return int(value) if isinstance(value, float) and value.is_integer() else value


class Parameters(BaseModel):
    """A request's query. A parameter whose field is a list may be given several times."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@with_config(ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Answer(TypedDict):
    """An answer's JSON: these fields and no others. At run time it is a plain dict, which nothing checks but tests."""


@with_config(ConfigDict(extra="allow", use_attribute_docstrings=True))
class OpenAnswer(TypedDict):
    """An answer's JSON: these fields, and others whose names are not known before."""


def read_query(request: web.Request, model: type[_Body]) -> _Body:
    """Return the parameters of the request's query as `model`; those that it does not know are passed over.

    Raises:
        BadRequestError: one does not fit, or is given twice; `details.errors` lists each and why.
    """
    given: dict[str, Any] = {}
    lists = _lists_of(model)
    for name in request.query:
        values = request.query.getall(name)
        if len(values) > 1 and name in model.model_fields and name not in lists:
            times = f"given {len(values)} times"
            raise BadRequestError(
                f"The request's query does not fit: {name}: {times}",
                details={"errors": [{"field": name, "message": times}]},
            )
        given[name] = values if name in lists else values[0]
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise of_validation(error, "query") from error


@cache
def _lists_of(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name for name, field in model.model_fields.items() if get_origin(field.annotation) is list
    )


async def read_body(request: web.Request, model: type[_Body]) -> _Body:
    """Return the request's JSON object as `model`.

    Of a key given twice the last value counts; nesting ends at the parser's 200 levels.

    Raises:
        UnsupportedMediaTypeError: it is not declared as JSON in UTF-8.
        BadRequestError: it is not JSON, or does not fit; `details.errors` lists each field and why.
        web.HTTPRequestEntityTooLarge: it is larger than the application accepts.
    """
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise UnsupportedMediaTypeError("Send the body as JSON in UTF-8, with Content-Type: application/json")
    if (size := request.content_length or 0) > request.client_max_size > 0:
        # Without waiting for it.
        raise web.HTTPRequestEntityTooLarge(max_size=request.client_max_size, actual_size=size)
    try:
        return model.model_validate(_parse(await request.read()))
    except ValidationError as error:
        raise of_validation(error) from error
    except web.RequestPayloadError as error:
        raise BadRequestError("The request's body does not match its headers") from error


def _parse(body: bytes) -> Any:
    try:
        value = from_json(body, allow_inf_nan=False)
        if _MAYBE_INFINITE.search(body):
            json.dumps(value, allow_nan=False)
    except ValueError as error:
        raise BadRequestError(f"The request's body is not JSON: {error}") from error
    return value


def reply(body: Any, *, status: int = 200) -> web.Response:
    """Answer with `body` as JSON; see `encoded`."""
    return web.Response(body=encoded(body), status=status, content_type="application/json")


def encoded(body: Any) -> bytes:
    """Return `body` as JSON; NaN and infinity, which JSON cannot say, are null."""
    try:
        return to_json(body, inf_nan_mode="null")
    except PydanticSerializationError:
        # Text that is not Unicode, as in the path of a file whose name is not UTF-8, must not cost the answer.
        plain = to_jsonable_python(body, inf_nan_mode="null")
        return json.dumps(plain, ensure_ascii=False).encode(errors="replace")
