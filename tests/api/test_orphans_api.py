"""Orphans and the quarantine by the API."""

import base64
from typing import Any

import pytest

from relay.domain.provider import Reading
from tests.api.samples import SAMPLES
from tests.store import builders

ORPHANS, QUARANTINE = "/v1/admin/orphans", "/v1/admin/quarantine"


async def _orphan(gateway: Any) -> str:
    return f"{ORPHANS}/{await SAMPLES['orphan_id'](gateway)}"


async def _body(gateway: Any) -> str:
    return f"{QUARANTINE}/{await SAMPLES['raw_id'](gateway)}"


async def test_an_orphan_is_looked_up_assigned_and_then_settled(gateway: Any) -> None:
    path = await _orphan(gateway)
    orphan = (await gateway.admin.get(path)).json()
    headers = {"idempotency-key": "once"}
    body = {"team_id": gateway.team_id}

    assigned = await gateway.admin.post(f"{path}/assign", json=body, headers=headers)
    again = await gateway.admin.post(f"{path}/assign", json=body, headers=headers)
    other = await gateway.admin.post(f"{path}/dismiss")

    (inbound,) = (await gateway.client.get("/v1/inbound")).json()["data"]
    resolution = assigned.json()["resolution"]
    assert (inbound["matched_by"], inbound["text"], inbound["from"]) == ("assigned", "TD", orphan["number"])
    assert resolution == {
        "how": "assigned",
        "team_id": gateway.team_id,
        "inbound_id": inbound["id"],
        "message_id": None,
        "result": None,
    }
    assert (again.status_code, again.content, again.headers["idempotent-replayed"]) == (200, assigned.content, "true")
    assert (other.status_code, other.json()["code"]) == (409, "already_settled")
    assert other.json()["detail"] == f"The orphan was assigned already, to {gateway.team_id}."
    assert [effects.events_by_type for effects in gateway.set_going] == [{"inbound.received": 1}]
    entry = (await gateway.admin.get("/v1/admin/audit?action=orphan.*")).json()["data"][0]
    assert (entry["action"], entry["target"]) == ("orphan.assigned", orphan["id"])
    assert entry["detail"]["after"] == {"status": "resolved", "resolution": resolution}
    assert orphan["number"] not in str(entry)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"team_id": f"team_{'0' * 32}"}, "/team_id"),
        ({"message_id": f"msg_{'0' * 32}"}, "/message_id"),
        ({"submission_id": "sub_1"}, "/submission_id"),
        ({"team_id": f"team_{'0' * 32}", "message_id": f"msg_{'0' * 32}"}, "/message_id"),
    ],
)
async def test_an_assignment_that_cannot_be_is_pointed_at_and_changes_nothing(
    gateway: Any, body: dict[str, str], pointer: str
) -> None:
    path = await _orphan(gateway)

    answer = await gateway.admin.post(f"{path}/assign", json=body)

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert (await gateway.admin.get(path)).json()["status"] == "open"
    assert (await gateway.admin.get("/v1/admin/audit?action=orphan.*")).json()["data"] == []


async def test_orphans_are_filtered_and_paged(gateway: Any) -> None:
    paths = [await _orphan(gateway) for _ in range(3)]
    await gateway.admin.post(f"{paths[1]}/dismiss")
    account_id = (await gateway.admin.get(paths[0])).json()["account_id"]

    async def listed(**params: object) -> list[str]:
        page = (await gateway.admin.get(ORPHANS, params=params)).json()
        return [f"{ORPHANS}/{orphan['id']}" for orphan in page["data"]]

    assert await listed() == paths[::-1]
    assert await listed(status="open", kind="mo") == [paths[2], paths[0]]
    assert await listed(status="resolved") == [paths[1]]
    assert await listed(kind="report") == []
    assert await listed(account_id=account_id) == [paths[0]]
    first = (await gateway.admin.get(ORPHANS, params={"limit": 2})).json()
    assert await listed(limit=2, cursor=first["next_cursor"]) == [paths[0]]


async def test_open_orphans_are_matched_again_a_batch_at_a_time(gateway: Any) -> None:
    for _ in range(3):
        await _orphan(gateway)

    first = (await gateway.admin.post(f"{ORPHANS}/reprocess", json={"limit": 2})).json()
    rest = (await gateway.admin.post(f"{ORPHANS}/reprocess", json={"cursor": first["next_cursor"]})).json()
    wrong = await gateway.admin.post(f"{ORPHANS}/reprocess", json={"cursor": "x"})

    assert (first["examined"], first["matched"]) == (2, 0)
    assert rest == {"examined": 1, "matched": 0, "next_cursor": None}
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/cursor")
    entries = (await gateway.admin.get("/v1/admin/audit?action=orphan.*")).json()["data"]
    assert [entry["detail"]["examined"] for entry in entries] == [1, 2]


async def test_a_body_in_quarantine_is_shown_with_its_bytes(gateway: Any) -> None:
    path = await _body(gateway)

    shown = (await gateway.admin.get(path)).json()
    (listed,) = (await gateway.admin.get(QUARANTINE)).json()["data"]

    assert shown == listed | {"body_base64": base64.b64encode(b"\xff").decode(), "query": "", "text": "\ufffd"}
    assert (listed["state"], listed["why"], listed["size_bytes"]) == ("quarantined", "it broke our code: KeyError", 1)


async def test_a_body_that_breaks_our_code_again_stays_and_one_that_can_be_read_is_applied(gateway: Any) -> None:
    path = await _body(gateway)
    number = 13_800_130_001

    def broken(raw: object) -> Reading[Any]:
        raise LookupError(str(number))

    gateway.provider.read_reports = broken
    stays = await gateway.admin.post(f"{path}/reprocess")
    gateway.provider.read_reports = lambda raw: builders.reading([builders.report("nobody's", number)])
    applied = await gateway.admin.post(f"{path}/reprocess")
    over = await gateway.admin.post(f"{path}/reprocess")

    assert stays.json() == {
        "id": path.rpartition("/")[2],
        "state": "quarantined",
        "why": "it broke our code: LookupError",
        "rows": {},
        "already_applied": 0,
        "unreadable": 1,
    }
    assert (applied.json()["state"], applied.json()["rows"]) == ("applied", {"orphaned": 1})
    assert (over.status_code, over.json()["code"]) == (409, "already_settled")
    assert (await gateway.admin.get(QUARANTINE)).json()["data"] == []
    audit = await gateway.admin.get("/v1/admin/audit?action=quarantine.*")
    assert [entry["detail"]["after"]["state"] for entry in audit.json()["data"]] == ["applied", "quarantined"]
    assert str(number) not in audit.text


async def test_a_dismissed_body_is_still_there_to_look_at(gateway: Any) -> None:
    path = await _body(gateway)

    dismissed = await gateway.admin.post(f"{path}/dismiss")

    assert (dismissed.status_code, dismissed.json()["state"]) == (200, "dismissed")
    assert (await gateway.admin.get(path)).json()["state"] == "dismissed"
    assert (await gateway.admin.get(f"{QUARANTINE}/raw_{'0' * 32}")).status_code == 404
