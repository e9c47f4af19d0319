"""The component's exports: notebook.py as a tool of the PRX world, its notes in the host's key-value store."""
# ruff: noqa: INP001  # a plugin's directory is what componentize-py puts on the path, not a package

import json

from componentize_py_types import Err
from notebook import SCHEMA, Notebook, NoteError
from wit_world import exports
from wit_world.exports.tool_exports import PluginResult, ToolSpec
from wit_world.imports import kv


class ToolExports(exports.ToolExports):
    """`prx:plugin/tool-exports`."""

    def get_spec(self) -> ToolSpec:
        return ToolSpec(
            name="notes",
            description="Keep short notes that outlive the conversation: add, list, get, search, delete",
            parameters_schema=json.dumps(SCHEMA),
        )

    def execute(self, args: str) -> PluginResult:
        try:
            answer = Notebook(kv).serve(json.loads(args))
        except NoteError as error:
            return _failed(str(error))
        except json.JSONDecodeError as error:
            return _failed(f"the arguments are not JSON: {error}")
        except Err as error:
            # What the host refuses: the storage is full, or it is not granted.
            return _failed(f"the note could not be stored: {error.value}")
        return PluginResult(success=True, output=json.dumps(answer, ensure_ascii=False), error=None)


def _failed(why: str) -> PluginResult:
    return PluginResult(success=False, output="", error=why)
