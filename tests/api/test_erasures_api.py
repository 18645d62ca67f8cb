"""Erasing a number by the API, and the audit that tells of it."""

from typing import Any

import pytest

from relay.domain.errors import StoreUnavailable
from relay.domain.provider import Refused
from relay.domain.retention import ERASED

NUMBER = "13800130001"
ERASURES = "/v1/admin/audit?action=erasure.*"


async def sent(gateway: Any, to: Any, text: str = "hello") -> str:
    """A message that the provider refused, so that it is final; its path."""
    answer = await gateway.client.post("/v1/messages", json={"to": to, "text": text})
    assert answer.status_code == 202
    work = gateway.submissions.started[-1]
    await gateway.store.finish_submission(
        work,
        Refused(code="21", message="no", reason="content", scope="task"),
        now_ms=gateway.clock.now_ms(),
        retry_due_ms=0,
        resend=False,
    )
    return str(answer.headers["location"])


async def test_a_number_is_erased_and_what_became_of_it_is_still_shown(gateway: Any) -> None:
    path = await sent(gateway, NUMBER, "private words")

    answer = await gateway.admin.post("/v1/admin/erasures", json={"number": f"+86 {NUMBER}"})

    erasure = answer.json()
    assert answer.status_code == 200
    assert erasure == {
        "id": erasure["id"],
        "number_ends_in": "01",
        "erased": {"events": 1, "recipients": 1},
        "left_open": {},
        "complete": True,
    }
    message = (await gateway.client.get(path)).json()
    recipients = (await gateway.client.get(f"{path}/recipients")).json()["data"]
    events = (await gateway.client.get("/v1/events")).text
    assert (message["text"], message["erased"], message["counts"]) == ("", True, {"failed": 1})
    assert [(found["to"], found["status"]) for found in recipients] == [(ERASED, "failed")]
    assert NUMBER not in events + str(message)


async def test_a_second_erasure_finds_nothing_and_says_so(gateway: Any) -> None:
    await sent(gateway, NUMBER)
    await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER})

    again = (await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER})).json()

    assert (again["erased"], again["left_open"], again["complete"]) == ({}, {}, True)


async def test_what_is_not_final_is_left_and_told(gateway: Any) -> None:
    accepted = await gateway.client.post("/v1/messages", json={"to": NUMBER, "text": "hello"})

    erasure = (await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER})).json()

    assert (erasure["erased"], erasure["left_open"], erasure["complete"]) == ({}, {"recipients": 1}, False)
    assert (await gateway.client.get(accepted.headers["location"])).json()["text"] == "hello"


async def test_a_repetition_under_the_same_key_gets_the_first_answer(gateway: Any) -> None:
    await sent(gateway, NUMBER)
    headers = {"idempotency-key": "forget-me"}

    first = await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER}, headers=headers)
    again = await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER}, headers=headers)
    other = await gateway.admin.post("/v1/admin/erasures", json={"number": "13800130002"}, headers=headers)

    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, first.content, "true")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    entries = (await gateway.admin.get(ERASURES)).json()["data"]
    assert [entry["action"] for entry in entries] == ["erasure.done", "erasure.started"]


@pytest.mark.parametrize("number", ["1380013000", "138****0001", "", "no number"])
async def test_what_is_no_number_is_pointed_at_and_not_audited(gateway: Any, number: str) -> None:
    answer = await gateway.admin.post("/v1/admin/erasures", json={"number": number})

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/number")
    assert (await gateway.admin.get(ERASURES)).json()["data"] == []


async def test_the_audit_says_who_when_from_where_and_what_but_no_number(gateway: Any) -> None:
    await sent(gateway, NUMBER)

    erasure = await gateway.admin.post(
        "/v1/admin/erasures", json={"number": NUMBER}, headers={"x-request-id": "ticket-77"}
    )

    page = await gateway.admin.get(ERASURES)
    keys = (await gateway.admin.get("/v1/admin/keys")).json()["data"]
    done, started = page.json()["data"]
    assert done == {
        "id": erasure.json()["id"],
        "at": "2026-11-18T11:06:40Z",
        "actor": next(key["id"] for key in keys if key["scopes"] == ["admin"]),
        "action": "erasure.done",
        "target": "number ending in 01",
        "detail": {"started": started["id"], "erased": {"events": 1, "recipients": 1}, "left_open": {}},
        "from_address": "127.0.0.1",
        "request_id": "ticket-77",
    }
    assert (started["action"], started["detail"], started["target"]) == ("erasure.started", {}, "number ending in 01")
    assert NUMBER not in page.text


async def test_the_audit_is_listed_newest_first_page_by_page(gateway: Any) -> None:
    for _ in range(2):
        await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER})

    first = await gateway.admin.get(f"{ERASURES}&limit=3")
    rest = await gateway.admin.get(f"{ERASURES}&limit=3&cursor={first.json()['next_cursor']}")

    ids = [entry["id"] for page in (first, rest) for entry in page.json()["data"]]
    assert len(ids) == 4
    assert ids == sorted(ids, reverse=True)
    assert (first.json()["has_more"], rest.json()["has_more"]) == (True, False)


async def test_an_erasure_that_breaks_off_is_in_the_audit_all_the_same(gateway: Any) -> None:
    gateway.store.broken = StoreUnavailable("the disk is full")

    answer = await gateway.admin.post("/v1/admin/erasures", json={"number": NUMBER})

    assert answer.status_code == 503
    entries = (await gateway.admin.get(ERASURES)).json()["data"]
    assert [entry["action"] for entry in entries] == ["erasure.started"]
