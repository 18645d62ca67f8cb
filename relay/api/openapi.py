"""The OpenAPI 3.1 document, made of the table of operations and of the Structs that decode and encode.

Decision: built here and not by Litestar, whose document overwrites components, loses ``additionalProperties: false``
and discriminators, and cannot describe headers of further answers. The bytes served are the bytes committed.
"""

import json
import re
from typing import Any, Final

import msgspec

from relay.api.bodies import MERGE_PATCH
from relay.api.call import ID_PREFIXES
from relay.api.openapi_schemas import Schemas
from relay.api.openapi_words import HEADERS, INFO, PARAMETERS, PROBLEM_HEADERS, RATE_HEADERS, TAGS, webhooks
from relay.api.operations import JSON, Operation, Respond, refusals_of
from relay.api.payloads import EVENT_PAYLOADS, Event
from relay.api.problems import PROBLEM_JSON, TABLE, Problem, ProblemKind
from relay.api.table import OPERATIONS

Json = dict[str, Any]
_BEARER: Final = "bearer"


def document() -> bytes:
    """The document, pretty-printed, the same bytes every time."""
    documented = [operation for operation in OPERATIONS if operation.documented]
    schemas = Schemas(
        [Problem, Event, *EVENT_PAYLOADS.values()]
        + [operation.query for operation in documented]
        + [operation.body for operation in documented if operation.body is not None]
        + [answer.body for operation in documented for answer in operation.answers if answer.body is not None]
    )
    paths: dict[str, Json] = {}
    for operation in documented:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, schemas)
    whole = {
        "openapi": "3.1.0",
        "info": INFO,
        "servers": [{"url": "/"}],
        "tags": TAGS,
        "paths": paths,
        "webhooks": webhooks(schemas),
        "components": {
            "schemas": schemas.components(),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "examples": {kind.slug: _problem_example(kind) for kind in TABLE.values()},
            "securitySchemes": {
                _BEARER: {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key: `rk_live_…` or `rk_test_…` of a team, `rk_admin_…` of the platform.",
                }
            },
        },
    }
    return (json.dumps(whole, indent=2, ensure_ascii=False) + "\n").encode()


def _operation(operation: Operation, schemas: Schemas) -> Json:
    made: Json = {"operationId": operation.id, "summary": operation.summary, "tags": [operation.tag]}
    needs = "" if operation.scope is None else f"Needs a key with the scope `{operation.scope}`."
    description = "\n\n".join(part for part in (operation.description, needs) if part)
    if description:
        made["description"] = description
    made["security"] = [] if operation.scope is None else [{_BEARER: [operation.scope]}]
    parameters = _parameters(operation, schemas)
    if parameters:
        made["parameters"] = parameters
    if operation.body is not None:
        made["requestBody"] = {"required": True, "content": _contents(operation, schemas)}
    elif operation.any_body and operation.method == "POST":
        made["requestBody"] = {
            "description": "JSON, a form, or anything else: every body is taken.",
            "content": {"*/*": {"schema": {}}},
        }
    made["responses"] = _responses(operation, schemas)
    return made


def _contents(operation: Operation, schemas: Schemas) -> Json:
    body = _body(operation, schemas)
    return {JSON: body, MERGE_PATCH: body} if operation.method == "PATCH" else {JSON: body}


def _body(operation: Operation, schemas: Schemas) -> Json:
    content: Json = {"schema": schemas.of(operation.body)}
    if operation.body_examples:
        content["examples"] = {name: {"value": value} for name, value in operation.body_examples.items()}
    return content


def _parameters(operation: Operation, schemas: Schemas) -> list[Json]:
    made: list[Json] = []
    for name in re.findall(r"{(\w+)}", operation.path):
        schema: Json = {"type": "string"}
        if name in ID_PREFIXES:
            schema |= {"pattern": f"^{ID_PREFIXES[name]}[0-9a-f]{{32}}$"}
        made.append({"name": name, "in": "path", "required": True, "schema": schema})
    made += [_query_parameter(name, schema) for name, schema in schemas.properties(operation.query).items()]
    names = ["RequestId"]
    if operation.creates:
        names.append("IdempotencyKey")
    if operation.versioned:
        names.append("IfMatch")
    if operation.prefers_wait:
        names.append("Prefer")
    return made + [{"$ref": f"#/components/parameters/{name}"} for name in names]


def _query_parameter(name: str, schema: Json) -> Json:
    description = schema.pop("description", None)
    arms = [arm for arm in schema.pop("anyOf", []) if arm != {"type": "null"}]
    if len(arms) == 1:
        schema |= arms[0]
    if schema.get("default", ...) is None:
        del schema["default"]
    description = description or schema.pop("description", None)
    made: Json = {"name": name, "in": "query", "required": False}
    if description:
        made["description"] = description
    made["schema"] = schema
    if schema.get("type") == "array":
        made |= {"style": "form", "explode": False}
    return made


def _responses(operation: Operation, schemas: Schemas) -> Json:
    made: Json = {}
    for answer in operation.answers:
        response = made.setdefault(str(answer.status), {"description": answer.description, "headers": {}})
        for name in ("X-Request-Id", *answer.headers, *_rates(operation)):
            response["headers"][name] = {"$ref": f"#/components/headers/{name}"}
        content = _content(answer, schemas)
        if content:
            response.setdefault("content", {}).update(content)
    kinds: dict[int, list[ProblemKind]] = {}
    for refusal in refusals_of(operation):
        kinds.setdefault(TABLE[refusal].status, []).append(TABLE[refusal])
    for status in sorted(kinds):
        made[str(status)] = _problem_response(operation, status, kinds[status])
    return made


def _content(answer: Respond, schemas: Schemas) -> Json:
    if answer.body is not None:
        content: Json = {"schema": schemas.of(answer.body)}
        if answer.example is not None:
            content["example"] = answer.example
        return {answer.media_type: content}
    if answer.media_type != JSON:
        return {answer.media_type: {"schema": {"type": "string"}}}
    return {}


def _problem_response(operation: Operation, status: int, kinds: list[ProblemKind]) -> Json:
    lines = [f"- `{kind.type}`: {kind.title}." for kind in kinds]
    names = ["X-Request-Id", *PROBLEM_HEADERS.get(status, ())]
    if status not in (401, 403, 406):
        names += _rates(operation)
    return {
        "description": "\n".join(lines),
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind.slug: {"$ref": f"#/components/examples/{kind.slug}"} for kind in kinds},
            }
        },
    }


def _rates(operation: Operation) -> tuple[str, ...]:
    return RATE_HEADERS if operation.scope not in (None, "admin") else ()


def _problem_example(kind: ProblemKind) -> Json:
    errors = [{"pointer": "/to", "detail": "This field is required."}] if kind.slug == "body-invalid" else []
    if kind.slug == "query-invalid":
        errors = [{"pointer": "/limit", "detail": "Expected int <= 200."}]
    problem = Problem(
        type=kind.type,
        title=kind.title,
        status=kind.status,
        detail=f"{kind.title}.",
        instance="/v1/messages",
        code=kind.code,
        request_id="req_0193a1b2c3d47e8f9a0b1c2d3e4f5a6b",
        retryable=kind.retryable,
        errors=msgspec.convert(errors, Problem.__annotations__["errors"]),
        provider=None,
    )
    return {"summary": kind.title, "value": msgspec.to_builtins(problem)}
