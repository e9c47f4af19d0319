"""The JSON Schema of WIT types, as plain components show them to callers.

Names become snake_case; 64-bit integers beyond 2^53 are strings; `list<u8>` is base64; tuples are fixed arrays; an
option is null or absent, one inside another is `{"some": v}`; a variant is `{"case": payload}` or the bare case name;
a result inside a value is `{"ok": v}` or `{"err": e}`; not-a-number and the infinities are strings.
"""

from typing import Any

from prx.plugins.abi import wit
from prx.plugins.abi.lift import MAX_SAFE_INTEGER
from prx.plugins.abi.wit import Prim, WitType, snake

Schema = dict[str, Any]

_BITS = {
    Prim.S8: (-(2**7), 2**7 - 1),
    Prim.U8: (0, 2**8 - 1),
    Prim.S16: (-(2**15), 2**15 - 1),
    Prim.U16: (0, 2**16 - 1),
    Prim.S32: (-(2**31), 2**31 - 1),
    Prim.U32: (0, 2**32 - 1),
}


def parameters_schema(function: wit.FuncType) -> Schema:
    """Return the schema of the arguments object of `function`."""
    return _object(function.params)


def schema_of(wit_type: WitType) -> Schema:
    """Return the schema of a value of `wit_type`."""
    match wit_type:
        case Prim():
            return _primitive(wit_type)
        case wit.ListType(element=Prim.U8):
            return {"type": "string", "contentEncoding": "base64"}
        case wit.ListType(element=element):
            return {"type": "array", "items": schema_of(element)}
        case wit.RecordType(fields=fields):
            return _object(fields)
        case wit.TupleType(elements=elements):
            size = len(elements)
            items = [schema_of(element) for element in elements]
            return {"type": "array", "prefixItems": items, "minItems": size, "maxItems": size}
        case wit.VariantType(cases=cases):
            return {"oneOf": [_case(name, payload) for name, payload in cases]}
        case wit.EnumType(cases=names):
            return {"type": "string", "enum": [snake(name) for name in names]}
        case wit.FlagsType(names=names):
            return {"type": "array", "items": schema_of(wit.EnumType(names)), "uniqueItems": True}
        case wit.OptionType(payload=payload):
            inner = schema_of(payload)
            wrapped = _single("some", inner) if isinstance(payload, wit.OptionType) else inner
            return {"anyOf": [wrapped, {"type": "null"}]}
        case wit.ResultType(ok=ok, err=err):
            return {"oneOf": [_single("ok", _payload(ok)), _single("err", _payload(err))]}
        case wit.Handle():
            raise TypeError(f"{wit_type} has no JSON form")


def _primitive(prim: Prim) -> Schema:
    if prim in _BITS:
        low, high = _BITS[prim]
        return {"type": "integer", "minimum": low, "maximum": high}
    match prim:
        case Prim.BOOL:
            return {"type": "boolean"}
        case Prim.S64 | Prim.U64:
            low = 0 if prim is Prim.U64 else -MAX_SAFE_INTEGER
            pattern = "^[0-9]{1,20}$" if prim is Prim.U64 else "^-?[0-9]{1,19}$"
            return {
                "anyOf": [
                    {"type": "integer", "minimum": low, "maximum": MAX_SAFE_INTEGER},
                    {"type": "string", "pattern": pattern},
                ]
            }
        case Prim.F32 | Prim.F64:
            return {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
        case Prim.CHAR:
            return {"type": "string", "minLength": 1, "maxLength": 1}
        case _:
            return {"type": "string"}


def _object(fields: tuple[tuple[str, WitType], ...]) -> Schema:
    return {
        "type": "object",
        "properties": {snake(name): schema_of(field) for name, field in fields},
        "required": [snake(name) for name, field in fields if not isinstance(field, wit.OptionType)],
        "additionalProperties": False,
    }


def _case(name: str, payload: WitType | None) -> Schema:
    return {"const": snake(name)} if payload is None else _single(snake(name), schema_of(payload))


def _single(key: str, value: Schema) -> Schema:
    return {"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": False}


def _payload(wit_type: WitType | None) -> Schema:
    return {"type": "null"} if wit_type is None else schema_of(wit_type)
