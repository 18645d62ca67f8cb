"""POST and GET /v1/messages."""

import asyncio
import json
from typing import Any

import pytest

from relay.domain.errors import StoreUnavailable
from relay.ports import Replay

ONE = {"to": "13800130001", "text": "hello"}


async def test_a_message_is_accepted_with_its_address(gateway: Any) -> None:
    answer = await gateway.client.post(
        "/v1/messages", json=ONE | {"reference": "order-77", "metadata": {"a": "b"}, "category": "otp"}
    )

    message = answer.json()
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/v1/messages/{message['id']}"
    assert answer.headers["content-type"] == "application/json"
    assert message["created_at"] == "2026-11-18T11:06:40Z"
    assert (message["reference"], message["metadata"], message["category"], message["to_count"]) == (
        "order-77",
        {"a": "b"},
        "otp",
        1,
    )
    assert (await gateway.client.get(answer.headers["location"])).json() == message
    assert [work.mobiles for work in gateway.submissions.started] == [[13800130001]]


async def test_numbers_that_cannot_be_sent_to_do_not_fail_the_others(gateway: Any) -> None:
    answer = await gateway.client.post("/v1/messages", json={"to": ["13800130001", "12", ""], "text": "hello"})

    assert answer.status_code == 202
    assert answer.json()["refused"] == [{"to": "12", "reason": "malformed"}, {"to": "", "reason": "malformed"}]


async def test_no_number_left_is_422_with_a_pointer_each(gateway: Any) -> None:
    answer = await gateway.client.post("/v1/messages", json={"to": ["12"], "text": "hello"})

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "no_recipient_left")
    assert [error["pointer"] for error in problem["errors"]] == ["/to/0"]


@pytest.mark.parametrize(
    ("more", "pointers"),
    [
        ({"text": " \n\u3000"}, ["/text"]),
        ({"send_at": "1969-01-01T00:00:00Z"}, ["/send_at"]),
        (
            {"send_at": "2026-12-01T00:00:00Z", "expires_at": "2026-11-30T00:00:00Z", "text": " "},
            ["/text", "/expires_at"],
        ),
        ({"expires_at": "2020-01-01T00:00:00Z"}, ["/expires_at"]),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, ["/expires_at"]),
        ({"send_at": "9999-12-31T23:59:59-23:59"}, ["/send_at"]),
        ({"send_at": "9999-12-31T23:59:59Z"}, ["/send_at"]),
    ],
)
async def test_what_a_schema_cannot_say_is_422_too(gateway: Any, more: dict[str, str], pointers: list[str]) -> None:
    answer = await gateway.client.post("/v1/messages", json=ONE | more)

    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers


async def test_the_same_key_and_body_get_the_same_bytes_and_one_message(gateway: Any) -> None:
    headers = {"idempotency-key": "order-77"}

    first = await gateway.client.post("/v1/messages", json=ONE, headers=headers)
    again = await gateway.client.post("/v1/messages", json=ONE, headers={"idempotency-key": '"order-77"'})

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(gateway.submissions.started) == 1


async def test_the_same_key_with_another_body_is_422(gateway: Any) -> None:
    headers = {"idempotency-key": "order-77"}
    await gateway.client.post("/v1/messages", json=ONE, headers=headers)

    answer = await gateway.client.post("/v1/messages", json=ONE | {"text": "other"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_replay_is_answered_also_when_expires_at_has_passed(gateway: Any) -> None:
    body = ONE | {"expires_at": "2026-11-18T11:06:41Z"}
    first = await gateway.client.post("/v1/messages", json=body, headers={"idempotency-key": "k"})
    gateway.clock.ms += 5000

    again = await gateway.client.post("/v1/messages", json=body, headers={"idempotency-key": "k"})

    assert (again.status_code, again.content) == (202, first.content)


async def test_the_same_key_while_the_first_still_runs_is_409(gateway: Any) -> None:
    entered = asyncio.Event()
    leave = asyncio.Event()

    async def send(*args: object) -> Replay:
        entered.set()
        await leave.wait()
        return Replay(status=202, answer=b'{"id":"msg_1"}')

    gateway.services.accept.send = send
    headers = {"idempotency-key": "k"}
    first = asyncio.create_task(gateway.client.post("/v1/messages", json=ONE, headers=headers))
    await entered.wait()

    second = await gateway.client.post("/v1/messages", json=ONE, headers=headers)
    leave.set()

    assert (second.status_code, second.json()["code"]) == (409, "idempotency_key_in_use")
    assert second.headers["retry-after"] == "1"
    assert (await first).status_code == 202


async def test_a_refused_request_does_not_use_its_key_up(gateway: Any) -> None:
    headers = {"idempotency-key": "k"}

    refused = await gateway.client.post("/v1/messages", json={"to": "12", "text": "hello"}, headers=headers)
    accepted = await gateway.client.post("/v1/messages", json=ONE, headers=headers)

    assert (refused.status_code, accepted.status_code) == (422, 202)


@pytest.mark.parametrize(
    ("header", "applied"),
    [
        ("wait=0", "wait=0"),
        ('respond-async, Wait = "0"; x=1', "wait=0"),
        ("wait=x", None),
        ("wait=-1", None),
        ("return=minimal", None),
        ("", None),
    ],
)
async def test_prefer_wait_is_read_leniently(gateway: Any, header: str, applied: str | None) -> None:
    answer = await gateway.client.post("/v1/messages", json=ONE, headers={"prefer": header})

    assert answer.status_code == (202 if applied is None else 200)
    assert answer.headers.get("preference-applied") == applied
    assert answer.headers["location"] == f"/v1/messages/{answer.json()['id']}"


async def test_what_was_waited_for_is_what_a_replay_gets(gateway: Any) -> None:
    headers = {"idempotency-key": "k", "prefer": "wait=0"}

    first = await gateway.client.post("/v1/messages", json=ONE, headers=headers)
    again = await gateway.client.post("/v1/messages", json=ONE, headers=headers)

    assert (again.status_code, again.content) == (200, first.content)


async def test_a_store_that_goes_away_while_waiting_does_not_unsay_the_acceptance(gateway: Any) -> None:
    gateway.store.broken = StoreUnavailable("gone")

    answer = await gateway.client.post("/v1/messages", json=ONE, headers={"idempotency-key": "k", "prefer": "wait=0"})

    assert answer.status_code == 202
    assert "preference-applied" not in answer.headers


async def test_a_list_is_walked_by_its_link_to_the_end(gateway: Any) -> None:
    sent = []
    for number in range(5):
        gateway.clock.ms += 1
        answer = await gateway.client.post("/v1/messages", json=ONE | {"reference": f"r {number % 2}"})
        sent.append(answer.json()["id"])

    found, url, pages = [], "/v1/messages?limit=2", 0
    while url:
        page = await gateway.client.get(url)
        body = page.json()
        found += [message["id"] for message in body["data"]]
        pages += 1
        assert body["has_more"] == (body["next_cursor"] is not None) == ("next" in page.links)
        url = page.links["next"]["url"] if "next" in page.links else ""
    filtered = await gateway.client.get("/v1/messages", params={"reference": "r 1", "to": "+86 138 0013 0001"})

    assert (found, pages) == (sent[::-1], 3)
    assert [message["id"] for message in filtered.json()["data"]] == [sent[3], sent[1]]


async def test_the_link_keeps_the_other_parameters(gateway: Any) -> None:
    for _ in range(2):
        await gateway.client.post("/v1/messages", json=ONE | {"reference": "r 1"})

    page = await gateway.client.get("/v1/messages", params={"reference": "r 1", "limit": 1})

    assert page.headers["link"].startswith("</v1/messages?reference=r+1&limit=1&cursor=")


async def test_a_cursor_of_another_list_or_none_at_all_is_422(gateway: Any) -> None:
    for _ in range(2):
        await gateway.client.post("/v1/messages", json=ONE)
    cursor = (await gateway.client.get("/v1/messages?limit=1")).json()["next_cursor"]

    for url in (
        f"/v1/inbound?cursor={cursor}",
        "/v1/messages?cursor=abc",
        "/v1/messages?cursor=",
        f"/v1/messages?cursor=A{cursor}",
    ):
        answer = await gateway.client.get(url)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/cursor")


async def test_recipients_are_listed_with_what_became_of_them(gateway: Any) -> None:
    sent = await gateway.client.post("/v1/messages", json={"to": ["13800130001", "13900130002"], "text": "hello"})

    page = await gateway.client.get(sent.headers["location"] + "/recipients?limit=1")

    assert page.json()["has_more"] is True
    assert [recipient["to"] for recipient in page.json()["data"]] == ["13800130001"]
    assert set(page.json()["data"][0]) == {
        "to",
        "status",
        "final",
        "reason",
        "provider_status",
        "submitted_at",
        "final_at",
        "segments",
        "reports",
    }


async def test_another_team_sees_nothing_of_it(gateway: Any) -> None:
    sent = await gateway.client.post("/v1/messages", json=ONE)
    other = gateway.with_key(await gateway.key(await gateway.team("other"), ("messages:read",)))

    assert (await other.get(sent.headers["location"])).status_code == 404
    assert (await other.get(sent.headers["location"] + "/recipients")).status_code == 404
    assert (await other.get("/v1/messages")).json()["data"] == []


async def test_ten_thousand_numbers_are_one_message(gateway: Any) -> None:
    body = json.dumps({"to": [f"1380013{number:04}" for number in range(10_000)], "text": "hello"})

    answer = await gateway.client.post("/v1/messages", content=body, headers={"content-type": "application/json"})

    assert (answer.status_code, answer.json()["to_count"]) == (202, 10_000)
