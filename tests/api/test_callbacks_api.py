"""The provider's callbacks, and events to poll."""

from typing import Any

import pytest

from relay.domain.errors import StoreUnavailable
from relay.domain.provider import BodyKind, RawBody
from relay.ports import Page

NOW_MS = 1_795_000_000_000


@pytest.mark.parametrize("kind", ["report", "mo"])
async def test_any_body_of_any_type_is_handed_on_byte_by_byte(gateway: Any, kind: BodyKind) -> None:
    body = bytes(range(256)) * 5000

    answer = await gateway.with_key("").post(
        f"/callbacks/{gateway.token}/{kind}", content=body, headers={"content-type": "x/y; z", "accept": "text/html"}
    )

    assert (answer.status_code, answer.content) == (200, b'{"code":"00","message":"ok"}')
    assert gateway.provider.read == [
        RawBody(kind=kind, source="push", content_type="x/y; z", query=b"", body=body, received_ms=NOW_MS)
    ]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_callback_may_come_in_the_query(gateway: Any, method: str) -> None:
    answer = await gateway.with_key("").request(method, f"/callbacks/{gateway.token}/report?sendId=1&status=%D6")

    assert answer.status_code == 200
    assert [raw.query for raw in gateway.provider.read] == [b"sendId=1&status=%D6"]


async def test_callbacks_are_counted_by_what_became_of_them(gateway: Any) -> None:
    client = gateway.with_key("")

    taken = await client.post(f"/callbacks/{gateway.token}/report", content=b"x")
    unknown = await client.post("/callbacks/nobody/mo", content=b"x")
    gateway.store.broken = StoreUnavailable("gone")
    lost = await client.post(f"/callbacks/{gateway.token}/report", content=b"x")

    text = gateway.metrics.render(None)[0].decode()
    assert [answer.status_code for answer in (taken, unknown, lost)] == [200, 404, 503]
    for kind, result in (("report", "stored"), ("mo", "unknown_token"), ("report", "refused")):
        assert f'{{kind="{kind}",result="{result}"}} 1.0' in text


async def test_a_callback_from_a_strange_address_is_403(gateway: Any) -> None:
    body = {
        "name": "strict",
        "base_url": "https://sms.example.com",
        "account": "a",
        "password": "p",
        "callback_allow": ["203.0.113.7"],
        "callback_proxies": 1,
    }
    url = (await gateway.admin.post("/v1/admin/accounts", json=body)).json()["callback_urls"]["report"]
    client = gateway.with_key("")

    strange = await client.post(url, content=b"x", headers={"x-forwarded-for": "198.51.100.1"})
    known = await client.post(url, content=b"x", headers={"x-forwarded-for": "203.0.113.7"})

    assert (strange.status_code, strange.json()["code"]) == (403, "address_not_allowed")
    assert known.status_code == 200


async def test_a_callback_over_its_limit_is_413(gateway: Any) -> None:
    answer = await gateway.with_key("").post(
        f"/callbacks/{gateway.token}/report", content=b"x", headers={"content-length": str(16 * 1024 * 1024 + 1)}
    )

    assert answer.status_code == 413


async def test_callbacks_are_taken_while_draining(gateway: Any) -> None:
    gateway.services.readiness.draining = True

    assert (await gateway.with_key("").post(f"/callbacks/{gateway.token}/report")).status_code == 200


async def test_events_are_given_out_as_they_are_stored_with_a_cursor_to_go_on(gateway: Any) -> None:
    asked = []

    async def events(team_id: str, *, still_allowed: object, **wanted: object) -> Page[bytes]:
        asked.append(wanted)
        return Page(data=[b'{"id": "evt_1",  "spaces": "kept"}'], next_position="7")

    gateway.services.poll.events = events
    first = await gateway.client.get(
        "/v1/events?limit=1&wait=3&event_types=message.*,inbound.received&event_types=balance.low"
    )
    await gateway.client.get("/v1/events", params={"cursor": first.json()["next_cursor"]})

    assert b'{"id": "evt_1",  "spaces": "kept"}' in first.content
    assert first.json()["has_more"] is True
    assert asked == [
        {
            "position": None,
            "limit": 1,
            "event_types": ("message.*", "inbound.received", "balance.low"),
            "wait_s": 3.0,
        },
        {"position": "7", "limit": 50, "event_types": (), "wait_s": 0.0},
    ]


async def test_the_cursor_of_events_is_there_also_when_there_are_none(gateway: Any) -> None:
    answer = await gateway.client.get("/v1/events")

    body = answer.json()
    assert (body["data"], body["has_more"]) == ([], False)
    assert (await gateway.client.get("/v1/events", params={"cursor": body["next_cursor"]})).json() == body
