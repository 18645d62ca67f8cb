"""The error table, and that every error has the same shape."""

from typing import Any

import pytest

from relay.api.problems import TABLE, InternalError
from relay.domain import errors
from relay.domain.errors import Refusal, RelayError, SchemaMissing, StoreUnavailable

FIELDS = {"type", "title", "status", "detail", "instance", "code", "request_id", "retryable", "errors", "provider"}


def descendants(kind: type[RelayError]) -> set[type[RelayError]]:
    """All subclasses, theirs too."""
    return {kind} | {below for child in kind.__subclasses__() for below in descendants(child)}


def test_every_refusal_has_a_row() -> None:
    wanted = descendants(Refusal) - {Refusal} | {StoreUnavailable, SchemaMissing, InternalError}

    assert set(TABLE) == wanted


def test_the_tree_in_the_docstring_names_every_error() -> None:
    for kind in descendants(RelayError):
        if kind.__module__ == errors.__name__:
            assert kind.__name__ in (errors.__doc__ or ""), kind


def test_slugs_are_distinct_and_titles_are_sentences_without_a_stop() -> None:
    assert len({kind.slug for kind in TABLE.values()}) == len(TABLE)
    assert all(kind.title and not kind.title.endswith(".") for kind in TABLE.values())


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "code"),
    [
        ("GET", "/nowhere", {}, b"", 404, "not_found"),
        ("GET", "/v1/messages/msg_1", {}, b"", 404, "not_found"),
        ("GET", "/v1/messages/msg_" + "0" * 32, {}, b"", 404, "not_found"),
        ("GET", "/v1/messages/msg_" + "0" * 32 + "/recipients", {}, b"", 404, "not_found"),
        ("GET", "/v1/inbound/in_" + "0" * 32, {}, b"", 404, "not_found"),
        ("GET", "/v1/events/evt_" + "0" * 32, {}, b"", 404, "not_found"),
        ("GET", "/v1/deliveries/dlv_" + "0" * 32, {}, b"", 404, "not_found"),
        ("DELETE", "/v1/webhook-endpoints/ep_" + "0" * 32, {}, b"", 404, "not_found"),
        ("PATCH", "/v1/messages", {}, b"", 405, "method_not_allowed"),
        ("BREW", "/v1/messages", {}, b"", 405, "method_not_allowed"),
        ("HEAD", "/callbacks/token/report", {}, b"", 405, "method_not_allowed"),
        ("GET", "/v1/messages", {"accept": "text/html"}, b"", 406, "not_acceptable"),
        ("GET", "/v1/messages", {"accept": "application/json;q=0"}, b"", 406, "not_acceptable"),
        ("POST", "/v1/messages", {}, b"{", 400, "body_unreadable"),
        ("POST", "/v1/messages", {"content-length": "99999999"}, b"", 413, "body_too_large"),
        ("POST", "/v1/messages", {"content-type": "text/xml"}, b"{}", 415, "media_type_unsupported"),
        ("POST", "/v1/messages", {}, b"{}", 422, "body_invalid"),
        ("POST", "/v1/messages?to=1", {}, b"{}", 422, "query_invalid"),
        ("GET", "/v1/messages?limit=0", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?limit=1&limit=2", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?reference=%00", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?reference=%ff", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?to=12", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?status=gone", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages?created_after=1700000000", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/deliveries?endpoint_id=1", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/events?wait=31", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/events?event_types=message.read", {}, b"", 422, "query_invalid"),
        ("GET", "/v1/messages", {"host": "a b"}, b"", 400, "request_malformed"),
        ("POST", "/v1/messages", {"idempotency-key": "a b"}, b'{"to":"1","text":"x"}', 400, "idempotency_key_invalid"),
    ],
)
async def test_every_error_is_a_problem(
    gateway: Any, method: str, path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    answer = await gateway.client.request(
        method, path, content=body, headers={"content-type": "application/json", **headers}
    )

    problem = answer.json() if method != "HEAD" else None
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    if problem is not None:
        assert set(problem) == FIELDS
        assert (problem["status"], problem["code"], problem["instance"]) == (status, code, path.partition("?")[0])
        assert problem["request_id"] == answer.headers["x-request-id"]


async def test_a_405_says_what_is_allowed(gateway: Any) -> None:
    answer = await gateway.client.put("/v1/messages")

    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"


async def test_curl_is_told_how_to_send_json(gateway: Any) -> None:
    answer = await gateway.client.post("/v1/messages", data={"to": "13800130001"})

    assert "Content-Type: application/json" in answer.json()["detail"]


async def test_a_store_that_is_away_is_503_with_retry_after(gateway: Any) -> None:
    gateway.store.broken = StoreUnavailable("secret path of the database")

    answer = await gateway.client.get("/v1/messages")

    assert (answer.status_code, answer.headers["retry-after"], answer.json()["retryable"]) == (503, "1", True)
    assert "secret" not in answer.text
