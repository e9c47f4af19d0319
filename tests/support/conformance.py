"""Whether what the API answers is what its OpenAPI document says."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from prx.api.app import PREFIX, ROUTES
from prx.api.openapi import describe

_NO_ROUTE = {404, 405}
"""How a request to no route at all is answered, which is no operation's business, beside what meets every request."""
_BEFORE_ROUTES = {400, 403, 429, 500, 503}


class Conformance:
    """Holds answers against one document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self._operations = {
            re.compile(re.sub(r"\{\w+\}", "[^/]+", path)): (path, operations)
            for path, operations in document["paths"].items()
        }
        self._validator = cache(self._compiled)

    def check(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes | None
    ) -> None:
        """Fail on an answer that is not as documented; `body` is None where the answer is a stream."""
        if method == "OPTIONS" or not path.startswith(f"{PREFIX}/"):
            return  # a browser's question, or none of the API's paths
        operation = self._operation(method, path.partition("?")[0].removeprefix(PREFIX))
        response: dict[str, Any]
        if operation is None:
            assert status in _NO_ROUTE | _BEFORE_ROUTES, f"{method} {path}: {status} without an operation"
            response = self.document["components"]["responses"]["NotFound"]
        else:
            responses = operation["responses"]
            assert str(status) in responses, f"{method} {path}: {status} is not documented"
            response = self._resolved(responses[str(status)])
        self._check_headers(f"{method} {path}: {status}", response, headers)
        content = response.get("content")
        if content is None:
            assert not body, f"{method} {path}: {status} has a body"
            return
        kind = headers["Content-Type"].partition(";")[0]
        assert kind in content, f"{method} {path}: {status} is {kind}, documented {list(content)}"
        if method != "HEAD" and body is not None and kind == "application/json":
            faults = [
                f"{'/'.join(map(str, fault.instance_path))}: {fault.message}"
                for fault in self._validator(json.dumps(content[kind]["schema"])).iter_errors(
                    json.loads(body)
                )
            ]
            assert not faults, f"{method} {path}: {status} does not fit its schema: {faults}"

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        wanted = "get" if method == "HEAD" else method.lower()
        fitting = [found for pattern, found in self._operations.items() if pattern.fullmatch(path)]
        # A path without a variable counts before those that have one.
        fitting.sort(key=lambda found: found[0].count("{"))
        return next((operations[wanted] for _, operations in fitting if wanted in operations), None)

    def _check_headers(self, what: str, response: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        for name, described in response["headers"].items():
            header = self._resolved(described)
            value = headers.get(name)
            assert value is not None or not header["required"], f"{what} lacks {name}"
            if value is not None and header["schema"] == {"type": "integer"}:
                assert value.isdecimal(), f"{what}: {name} is {value!r}"

    def _resolved(self, part: dict[str, Any]) -> dict[str, Any]:
        if "$ref" not in part:
            return part
        found: Any = self.document
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        resolved: dict[str, Any] = found
        return resolved

    def _compiled(self, schema: str) -> jsonschema_rs.Validator:
        whole = {**json.loads(schema), "components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


DOCUMENTED = Conformance(describe(ROUTES))
