"""Keys, scopes, rates, draining: before any handler runs."""

from typing import Any

import pytest

from relay.api.operations import Operation
from relay.api.table import OPERATIONS, PUBLIC

KEYED = [operation for operation in OPERATIONS if operation.scope is not None]


def path_of(operation: Operation) -> str:
    """A path of the operation, with ids of nothing."""
    names = {"message": "msg", "inbound": "in", "event": "evt", "endpoint": "ep", "delivery": "dlv", "account": "acct"}
    path = operation.path
    for name in ("message", "inbound", "event", "endpoint", "delivery", "account", "team", "key"):
        path = path.replace(f"{{{name}_id}}", f"{names.get(name, name)}_{'0' * 32}")
    return path


def test_every_operation_without_a_key_is_public_on_purpose() -> None:
    assert {operation.id for operation in OPERATIONS if operation.scope is None} == PUBLIC


@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.id)
async def test_no_operation_answers_without_a_key(gateway: Any, operation: Operation) -> None:
    answer = await gateway.with_key("").request(operation.method, path_of(operation))

    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("operation", KEYED, ids=lambda operation: operation.id)
async def test_no_operation_answers_a_key_of_the_other_side(gateway: Any, operation: Operation) -> None:
    client = gateway.client if operation.scope == "admin" else gateway.admin

    answer = await client.request(operation.method, path_of(operation))

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")


@pytest.mark.parametrize(
    "operation", [operation for operation in KEYED if operation.scope != "admin"], ids=lambda operation: operation.id
)
async def test_no_operation_answers_a_key_without_its_scope(gateway: Any, operation: Operation) -> None:
    others = tuple(
        scope
        for scope in ("messages:send", "messages:read", "events:read", "webhooks:manage", "balance:read")
        if scope != operation.scope
    )
    client = gateway.with_key(await gateway.key(gateway.team_id, others))

    answer = await client.request(operation.method, path_of(operation))

    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert str(operation.scope) in answer.json()["detail"]


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer ", "rk_live_x", "Bearer rk_live_x", "Bearer \xe9"])
async def test_what_is_no_known_key_is_401(gateway: Any, header: str) -> None:
    answer = await gateway.with_key("").get("/v1/messages", headers={"authorization": header.encode("latin-1")})

    assert answer.status_code == 401


async def test_the_scheme_may_be_written_in_any_case(gateway: Any) -> None:
    secret = await gateway.key(gateway.team_id, ("messages:read",))

    answer = await gateway.with_key("").get("/v1/messages", headers={"authorization": f"bearer {secret}"})

    assert answer.status_code == 200


async def test_an_expired_key_is_401(gateway: Any) -> None:
    secret = await gateway.key(gateway.team_id, ("messages:read",), expires_ms=gateway.clock.now_ms() + 1000)
    gateway.clock.ms += 1000

    assert (await gateway.with_key(secret).get("/v1/messages")).status_code == 401


async def test_a_team_with_a_rate_sees_it_and_is_stopped_by_it(gateway: Any) -> None:
    team_id = await gateway.team("limited", requests_per_s=2)
    client = gateway.with_key(await gateway.key(team_id, ("messages:read",)))

    answers = [await client.get("/v1/messages") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert [answer.headers["ratelimit-policy"] for answer in answers] == ['"requests";q=2;w=1'] * 3
    assert [answer.headers["ratelimit"] for answer in answers] == [
        '"requests";r=1;t=1',
        '"requests";r=0;t=1',
        '"requests";r=0;t=1',
    ]
    assert (answers[2].json()["code"], answers[2].headers["retry-after"]) == ("rate_exceeded", "1")


async def test_a_team_without_a_rate_sees_none(gateway: Any) -> None:
    assert "ratelimit" not in (await gateway.client.get("/v1/messages")).headers


async def test_while_draining_nothing_is_created_and_everything_can_be_read(gateway: Any) -> None:
    gateway.services.readiness.draining = True

    sent = await gateway.client.post("/v1/messages", json={"to": "13800130001", "text": "hello"})
    read = await gateway.client.get("/v1/messages")
    ready = await gateway.client.get("/readyz")
    alive = await gateway.client.get("/livez")

    assert (sent.status_code, sent.json()["code"], sent.headers["retry-after"]) == (503, "draining", "2")
    assert (read.status_code, ready.status_code, alive.status_code) == (200, 503, 200)
