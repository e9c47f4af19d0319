"""`docs/configuration.md`, made from the schema: `python -m tests.unit.docs.configuration_reference` writes it anew."""

import json
from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from prx.config.channels import PLATFORMS, ChannelConfig, PlatformConfig, table_of
from prx.config.schema import Config
from prx.config.words import bare, described, is_table
from tests.unit.docs.documents import DOCS

TARGET: Final = DOCS / "configuration.md"

_INTRODUCTION: Final = """\
# Configuration

Every key of `prx.toml`, made from the schema that checks it. How files, environment and flags are put together, and
what a reload does, stands in [operators.md](operators.md#configuration).

`hot` keys take effect within two seconds of an edit, or at once with `prx config set` and the API; `restart` keys when
the daemon starts again. A key in the environment has two underscores for each dot: `gateway.port` is
`PRX__GATEWAY__PORT`. An unknown key is an error.
"""


def reference() -> str:
    """Return the whole document."""
    return "\n".join([_INTRODUCTION, *_table("", Config, "")])


def _table(path: str, table: type[BaseModel], about: str) -> Iterator[str]:
    """Yield the lines of one table and of those inside it."""
    rows, inner = [], []
    for name, field in table.model_fields.items():
        if issubclass(table, PlatformConfig) and name in ChannelConfig.model_fields:
            continue
        key = f"{path}.{name}".lstrip(".")
        nested, suffix = nested_table(field.annotation)
        if nested is not None:
            inner.append((key + suffix, nested, field.description or ""))
        if nested is None or suffix:
            rows.append(
                f"| `{name}` | {_type(field)} | {_default(field)} | {_reload(field)} | {field.description} |"
            )
    if path:
        yield f"## `{path}`\n"
        yield f"{(about or table.__doc__ or '').strip()}\n"
    if rows and path:
        yield "| key | type | default | takes effect | meaning |\n| --- | --- | --- | --- | --- |"
        yield from rows
        yield ""
    for key, nested, description in inner:
        yield from _table(key, nested, nested.__doc__ or description)
    if table is ChannelConfig:
        for kind in sorted(PLATFORMS):
            own = table_of(kind)
            yield from _table(f'{path}` with `type = "{kind}"', own, own.__doc__ or "")


def nested_table(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the table that a key holds, if any, and what stands for its name: nothing, `<name>` or `[]`."""
    annotation = bare(annotation)
    if is_table(annotation):
        return annotation, ""
    of, suffix = (get_args(annotation) or (None,)), ""
    if get_origin(annotation) is dict:
        of, suffix = get_args(annotation)[1:], ".<name>"
    elif get_origin(annotation) is tuple:
        suffix = "[]"
    if suffix and is_table(of[0]):
        return of[0], suffix
    return None, ""


def _type(field: FieldInfo) -> str:
    return described(field.annotation, field.metadata).replace("|", "\\|")


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the platform's"
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return "unset"
    return f"`{json.dumps(field.default)}`"


def _reload(field: FieldInfo) -> str:
    declared = field.json_schema_extra
    return str(declared["reload"]) if isinstance(declared, dict) else ""


if __name__ == "__main__":
    TARGET.write_text(reference(), encoding="utf-8")
