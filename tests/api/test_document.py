"""The OpenAPI document and the page that shows it."""

import json
import re
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from litestar import Litestar
from openapi_spec_validator import validate

from relay.api.app import litestar_path
from relay.api.openapi import document
from relay.api.payloads import EVENT_PAYLOADS, Event
from relay.api.table import OPERATIONS
from relay.domain.events import EVENT_TYPES, EndpointTest, encode
from relay.domain.ids import EventId
from tests.api.samples import ask

COMMITTED = Path(__file__).parents[2] / "openapi" / "relay.json"
DOCUMENT: dict[str, Any] = json.loads(document())
DESCRIBED = [
    (path, method, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def test_the_committed_document_is_the_one_that_the_code_makes() -> None:
    assert COMMITTED.read_bytes() == document(), "run: relay openapi > openapi/relay.json"


def test_the_document_is_valid_openapi() -> None:
    validate(DOCUMENT)


def test_the_routes_of_the_app_are_the_operations_of_the_table(gateway: Any) -> None:
    router = cast(Litestar, gateway.app._app)
    routed = {(route.path, method) for route in router.routes for method in getattr(route, "methods", ())}

    assert routed == {
        (litestar_path(operation.path), method) for operation in OPERATIONS for method in (operation.method, "OPTIONS")
    }


def test_every_operation_is_described_once_but_the_pages_for_people() -> None:
    described = {operation["operationId"] for _, _, operation in DESCRIBED}

    assert len(DESCRIBED) == len(described)
    assert {operation.id for operation in OPERATIONS} - described == {"docs", "docsAsset", "root"}


def test_every_event_type_has_a_payload_and_a_webhook() -> None:
    assert tuple(EVENT_PAYLOADS) == EVENT_TYPES == tuple(DOCUMENT["webhooks"])
    assert [payload.__struct_config__.tag for payload in EVENT_PAYLOADS.values()] == list(EVENT_TYPES)


def test_an_event_as_it_is_sent_is_one_as_it_is_described() -> None:
    data = EndpointTest(endpoint_id="ep_1", note="hello")

    event = msgspec.json.decode(encode(EventId("evt_1"), "endpoint.test", 0, data), type=Event)

    assert (type(event), event.data) == (EVENT_PAYLOADS["endpoint.test"], data)


def test_every_reference_leads_somewhere() -> None:
    for reference in re.findall(r'"\$ref": "#/([^"]+)"', document().decode()):
        found: Any = DOCUMENT
        for part in reference.split("/"):
            found = found[part]


def test_inputs_are_closed_and_times_are_times() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    inputs = {name: schema for name, schema in schemas.items() if name.endswith("Input")}

    assert {operation.body.__name__ for operation in OPERATIONS if operation.body} <= inputs.keys()
    assert all(schema["additionalProperties"] is False for schema in inputs.values())
    assert schemas["Message"]["properties"]["created_at"] == {"type": "string", "format": "date-time"}
    assert schemas["Event"]["discriminator"]["propertyName"] == "type"
    assert {schema["title"] for schema in schemas.values()} == set(schemas)


@pytest.mark.parametrize(("path", "method", "operation"), DESCRIBED, ids=lambda value: str(value)[:40])
def test_every_operation_says_its_answers_with_their_headers_and_problems(
    path: str, method: str, operation: dict[str, Any]
) -> None:
    assert operation["summary"]
    assert operation["tags"]
    assert {"500"} <= set(operation["responses"])
    if operation["security"]:
        assert {"401", "403", "406", "422"} <= set(operation["responses"])
    if "{" in path:
        assert "404" in operation["responses"]
    if {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", []):
        assert {"400", "409", "422", "503"} <= set(operation["responses"])
    if "requestBody" in operation and operation["security"]:
        assert {"400", "413", "415", "422"} <= set(operation["responses"])
    for status, response in operation["responses"].items():
        assert "X-Request-Id" in response["headers"]
        if int(status) >= 400:
            assert list(response["content"]) == ["application/problem+json"]


@pytest.mark.parametrize("operation", [operation for operation in OPERATIONS if operation.body], ids=lambda op: op.id)
async def test_every_example_of_a_body_is_taken(gateway: Any, operation: Any) -> None:
    assert operation.body_examples
    for example in operation.body_examples:
        answer = await ask(gateway, operation, example)

        assert answer.status_code in {answer.status for answer in operation.answers}, answer.text


async def test_the_document_is_served_with_a_strong_tag(gateway: Any) -> None:
    first = await gateway.with_key("").get("/openapi.json")
    again = await gateway.with_key("").get(
        "/openapi.json", headers={"if-none-match": f'"x", W/{first.headers["etag"]}'}
    )

    assert (first.status_code, first.content) == (200, document())
    assert first.headers["etag"].startswith('"')
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])


async def test_the_page_needs_nothing_but_this_server(gateway: Any) -> None:
    client = gateway.with_key("")

    root = await client.get("/")
    page = await client.get(root.headers["location"])
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assets = [await client.get(address) for address in addresses]

    assert (root.status_code, page.status_code) == (307, 200)
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    assert "'unsafe-eval'" not in page.headers["content-security-policy"]
    assert addresses
    assert all(address.startswith("/docs/") for address in addresses)
    assert all(asset.status_code == 200 and asset.content for asset in assets)
    assert not re.search(r"<script(?! src=)|<style| on\w+=", page.text)


@pytest.mark.parametrize("name", ["nothing.js", "..%2f__init__.py", "swagger-ui.js"])
async def test_no_other_file_is_served(gateway: Any, name: str) -> None:
    assert (await gateway.client.get(f"/docs/{name}")).status_code == 404


async def test_health_needs_no_key_and_metrics_speak_both_formats(gateway: Any) -> None:
    client = gateway.with_key("")

    answers = [await client.get(path) for path in ("/livez", "/readyz", "/metrics")]
    openmetrics = await client.get("/metrics", headers={"accept": "application/openmetrics-text"})

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert [answer.json() for answer in answers[:2]] == [{"status": "ok"}, {"status": "ready"}]
    assert openmetrics.headers["content-type"].startswith("application/openmetrics-text")
