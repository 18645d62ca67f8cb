"""The audit by the API: filtered, and exported."""

import asyncio
import json
from typing import Any

import msgspec
import pytest

from tests.store.builders import entry

EXPORT = "/v1/admin/audit.jsonl"


async def _actions(gateway: Any, **params: object) -> list[str]:
    answer = await gateway.admin.get("/v1/admin/audit", params=params)
    assert answer.status_code == 200, answer.text
    return [found["action"] for found in answer.json()["data"]]


async def test_the_list_is_filtered_by_action_actor_target_and_time(gateway: Any) -> None:
    made = await gateway.admin.post("/v1/admin/teams", json={"name": "shop"})
    admin = (await gateway.admin.get("/v1/admin/audit?limit=1")).json()["data"][0]["actor"]
    gateway.clock.ms += 1000
    await gateway.admin.post("/v1/admin/erasures", json={"number": "13800130001"})

    assert await _actions(gateway, action="erasure.*") == ["erasure.done", "erasure.started"]
    assert await _actions(gateway, action="erasure.done") == ["erasure.done"]
    assert await _actions(gateway, target=made.json()["id"]) == ["team.created"]
    assert await _actions(gateway, actor=admin) == ["erasure.done", "erasure.started", "team.created"]
    assert await _actions(gateway, actor=admin, before="2026-11-18T11:06:41Z") == ["team.created"]
    assert await _actions(gateway, after="2026-11-18T11:06:40.500Z", limit=1) == ["erasure.done"]


@pytest.mark.parametrize(
    ("query", "pointer"),
    [("action=key.eaten", "/action"), ("after=yesterday", "/after"), ("actor=" + "x" * 65, "/actor"), ("x=1", "/x")],
)
@pytest.mark.parametrize("path", ["/v1/admin/audit", EXPORT])
async def test_a_filter_that_cannot_be_is_pointed_at(gateway: Any, path: str, query: str, pointer: str) -> None:
    answer = await gateway.admin.get(f"{path}?{query}")

    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


async def test_the_export_has_every_entry_on_a_line_of_its_own_oldest_first(gateway: Any) -> None:
    entries = [msgspec.structs.replace(entry(), target=f"target {number}") for number in range(1100)]
    await asyncio.gather(*(gateway.store.add_audit(each, None) for each in entries))

    answer = await gateway.admin.get(EXPORT, params={"action": "team.created"}, headers={"accept": "application/*"})

    lines = [json.loads(line) for line in answer.text.splitlines()]
    targets = [line["target"] for line in lines if line["target"].startswith("target ")]
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert targets == [f"target {number}" for number in range(1100)]
    assert list(lines[0]) == ["id", "at", "actor", "action", "target", "detail", "from_address", "request_id"]
    rest = await gateway.admin.get(EXPORT, params={"action": "team.created", "after_id": lines[-2]["id"]})
    assert [json.loads(line) for line in rest.text.splitlines()] == lines[-1:]


async def test_an_export_that_is_empty_is_empty(gateway: Any) -> None:
    answer = await gateway.admin.get(EXPORT, params={"action": "keyring.*"})

    assert (answer.status_code, answer.content) == (200, b"")


async def test_the_export_is_no_plain_json(gateway: Any) -> None:
    answer = await gateway.admin.get(EXPORT, headers={"accept": "application/json"})

    assert (answer.status_code, answer.json()["code"]) == (406, "not_acceptable")
