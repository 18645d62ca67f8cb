"""The document and the page that shows it. Swagger UI comes from the package ``swagger-ui-py``: no internet needed."""

import hashlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any, Final

from relay.api.call import Call
from relay.api.exchange import Answer, Headers
from relay.api.operations import Operation, Respond
from relay.api.preferences import matches_tag
from relay.domain.errors import NotFound

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Relay API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" type="image/png" href="/docs/favicon-32x32.png">
</head>
<body>
<div id="docs"><noscript>The page needs JavaScript; the document itself is at /openapi.json.</noscript></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_START: Final = """window.ui = SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null,
  displayOperationId: true,
  displayRequestDuration: true,
  defaultModelsExpandDepth: 0,
  docExpansion: "list",
  persistAuthorization: false,
  presets: [SwaggerUIBundle.presets.apis],
});
"""
_TYPES: Final = {
    "swagger-ui.css": b"text/css; charset=utf-8",
    "swagger-ui-bundle.js": b"text/javascript; charset=utf-8",
    "favicon-32x32.png": b"image/png",
    "start.js": b"text/javascript; charset=utf-8",
}
# React writes style attributes through the DOM, which a policy for styles lets pass; images are inlined in the CSS.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS: Final[Headers] = [
    (b"content-security-policy", _POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]


@cache
def _document() -> tuple[bytes, str]:
    # Imported here: the document is made of the table, and the table holds this module's operations.
    from relay.api.openapi import document

    body = document()
    return body, _tag(body)


async def openapi(call: Call) -> Answer:
    """The very bytes that are committed as openapi/relay.json."""
    body, tag = _document()
    return _tagged(call, body, tag, b"application/json", [])


async def docs(call: Call) -> Answer:
    """The page."""
    body = _PAGE.encode()
    return _tagged(call, body, _tag(body), b"text/html; charset=utf-8", _PAGE_HEADERS)


async def docs_asset(call: Call) -> Answer:
    """What the page needs."""
    name = call.parameter("asset")
    if name not in _TYPES:
        raise NotFound("There is no such file.")
    body, tag = _asset(name)
    return _tagged(call, body, tag, _TYPES[name], [])


async def root(call: Call) -> Answer:
    """To the documentation."""
    return Answer(307, b"", [(b"location", b"/docs")])


def _tagged(call: Call, body: bytes, tag: str, media_type: bytes, headers: Headers) -> Answer:
    headers = [*headers, (b"etag", tag.encode()), (b"cache-control", b"no-cache")]
    if matches_tag(call.header(b"if-none-match"), tag):
        return Answer(304, b"", headers)
    return Answer(200, body, headers, media_type)


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'


@cache
def _asset(name: str) -> tuple[bytes, str]:
    body = _START.encode() if name == "start.js" else (_static() / name).read_bytes()
    return body, _tag(body)


def _static() -> Path:
    # Found, not imported: the package would bring a template engine and framework adapters with it.
    found = importlib.util.find_spec("swagger_ui")
    assert found is not None and found.origin is not None  # noqa: S101, PT018 - a declared dependency
    return Path(found.origin).parent / "static"


OPERATIONS: Final = (
    Operation(
        id="openapi",
        method="GET",
        path="/openapi.json",
        tag="Operations",
        summary="This document",
        scope=None,
        run=openapi,
        any_query=True,
        reads_store=False,
        answers=(
            Respond(status=200, description="OpenAPI 3.1.", body=dict[str, Any], headers=("ETag",)),
            Respond(status=304, description="Unchanged since the tag in If-None-Match.", headers=("ETag",)),
        ),
    ),
    Operation(
        id="docs",
        method="GET",
        path="/docs",
        tag="Operations",
        summary="Documentation page",
        scope=None,
        run=docs,
        any_query=True,
        reads_store=False,
        answers=(Respond(status=200, description="The page.", media_type="text/html"),),
        documented=False,
    ),
    Operation(
        id="docsAsset",
        method="GET",
        path="/docs/{asset}",
        tag="Operations",
        summary="What the documentation page needs",
        scope=None,
        run=docs_asset,
        any_query=True,
        reads_store=False,
        answers=(Respond(status=200, description="The file.", media_type="application/octet-stream"),),
        documented=False,
    ),
    Operation(
        id="root",
        method="GET",
        path="/",
        tag="Operations",
        summary="To the documentation",
        scope=None,
        run=root,
        any_query=True,
        reads_store=False,
        answers=(Respond(status=307, description="The documentation.", headers=("Location",)),),
        documented=False,
    ),
)
