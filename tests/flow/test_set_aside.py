"""What was set aside comes to its owner, in a whole gateway; and what a stop keeps of the use of keys."""

import contextlib
import sqlite3
from typing import Any

from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.world import World, as_json, until_shown

MOBILE = "13800131234"


async def _admin(world: World, path: str, body: dict[str, object] | None = None) -> dict[str, Any]:
    answer = await (world.admin.get(path) if body is None else world.admin.post(path, json=body))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_assigned_orphan_is_posted_to_the_team_at_once(world: World) -> None:
    await world.add_endpoint("/hook", event_types=["inbound.received"])
    assert await world.answer_back(MOBILE, "谁", "999") == [200]
    (orphan,) = (await _admin(world, "/v1/admin/orphans"))["data"]

    await _admin(world, f"/v1/admin/orphans/{orphan['id']}/assign", {"team_id": world.team["id"]})

    (hook,) = await world.hooks_when("/hook", 1)
    assert (hook.event["data"]["text"], hook.event["data"]["matched_by"]) == ("谁", "assigned")


async def test_a_body_that_cannot_be_read_stays_until_it_is_dismissed(world: World) -> None:
    row = {"mobile": MOBILE, "content": "好", "times": "2026-11-23 09:30:00", "extNo": 101}
    answer = await world.call_back("mo", as_json([row, 7]), "application/json")
    assert answer.status_code == 200
    (body,) = (await _admin(world, "/v1/admin/quarantine"))["data"]
    path = f"/v1/admin/quarantine/{body['id']}"

    again = await _admin(world, f"{path}/reprocess", {})

    assert (again["state"], again["already_applied"], again["rows"], again["unreadable"]) == ("quarantined", 1, {}, 1)
    assert (await _admin(world, path))["text"] == as_json([row, 7]).decode()
    assert len((await world.api.get("/v1/inbound")).json()["data"]) == 1
    assert (await _admin(world, f"{path}/dismiss", {}))["state"] == "dismissed"


async def test_what_waits_for_a_person_is_in_the_metrics(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        await world.answer_back(MOBILE, "谁", "999")
        await world.call_back("mo", b"garbage", "text/plain")
        clock.move(6)

        async def gauges() -> set[str]:
            lines = (await world.admin.get("/metrics")).text.splitlines()
            return {line for line in lines if line.startswith(("relay_orphans_open", "relay_quarantine_bodies"))}

        await until_shown(gauges, lambda lines: lines == {"relay_orphans_open 1.0", "relay_quarantine_bodies 1.0"})


async def test_a_running_gateway_stores_when_keys_were_used_every_minute(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:
        await world.api.get("/v1/messages")
        clock.move(61)

        await until_shown(lambda: _used(world), bool)


async def _used(world: World) -> list[Any]:
    return world.rows("SELECT id FROM api_keys WHERE last_used_ms IS NOT NULL")


async def test_a_stop_stores_when_keys_were_used(worlds: OpenWorld) -> None:
    async with worlds() as world:
        await world.api.get("/v1/messages")
        directory = world.directory

    (database,) = directory.rglob("relay.db")
    with contextlib.closing(sqlite3.connect(database)) as connection:
        used = connection.execute("SELECT COUNT(*) FROM api_keys WHERE last_used_ms IS NOT NULL").fetchone()
    assert used == (2,)
