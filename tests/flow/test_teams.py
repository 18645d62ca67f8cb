"""A team sees only its own; a test key reaches only the sandbox."""

import contextlib
import re
import sqlite3
from typing import Any

import httpx
import pytest

from relay.api.call import ID_PREFIXES
from relay.api.operations import Operation
from relay.api.table import OPERATIONS
from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings
from tests.flow.conftest import OpenWorld
from tests.flow.hooks import Reply
from tests.flow.world import Limits, World, add_embedded_sandbox, until

MOBILE = "13800131234"
RING = "k1:QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE="


async def test_a_test_key_reaches_only_the_sandbox_and_a_live_key_only_the_provider(worlds: OpenWorld) -> None:
    async with worlds() as world, SandboxServer(Sandbox(SandboxSettings(report_delay_ms=0))) as inside:
        await add_embedded_sandbox(world, inside)
        test = await world.add_key(world.team["id"], "orders", mode="test")

        tried = await world.send(MOBILE, api=test)
        real = await world.send("13800131235")

        await world.message_when(tried["id"], "delivered")
        await world.message_when(real["id"], "delivered")
        assert [record.mobiles for record in inside.sandbox.ledger.sends] == [[MOBILE]]
        assert [record.mobiles for record in world.sends] == [["13800131235"]]


@pytest.mark.parametrize(("mode", "says"), [("live", "/v1/admin/accounts"), ("test", "sandbox is off")])
async def test_in_production_a_key_without_an_account_is_told_what_is_missing(
    mode: str, says: str, worlds: OpenWorld
) -> None:
    async with worlds(env="production", keyring=RING) as world, SandboxServer() as inside:
        if mode == "live":
            # A sandbox there is, and it is not for live keys.
            await add_embedded_sandbox(world, inside)
        team, api = await world.add_team("lonely")
        key = api if mode == "live" else await world.add_key(team["id"], "lonely", mode="test")
        if mode == "live":
            await _disable_every_real_account(world)

        answer = await key.post("/v1/messages", json={"to": MOBILE, "text": "hello"})

        assert (answer.status_code, answer.json()["code"]) == (409, "no_account")
        assert says in answer.json()["detail"]
        assert world.rows("SELECT * FROM messages") == []


async def _disable_every_real_account(world: World) -> None:
    # No API disables an account yet.
    with contextlib.closing(sqlite3.connect(world.directory / "relay.db")) as connection:
        connection.execute("UPDATE accounts SET disabled = 1 WHERE sandbox = 0")
        connection.commit()
    await world.gateway.accounts.refresh()


TEAM_OPERATIONS = [operation for operation in OPERATIONS if operation.scope not in (None, "admin")]
BY_ID = [operation for operation in TEAM_OPERATIONS if "{" in operation.path]
LISTS = [operation for operation in TEAM_OPERATIONS if operation.method == "GET" and "{" not in operation.path]
PROBES: dict[str, str] = {
    "message_id": "SELECT hex(id) FROM messages",
    "inbound_id": "SELECT hex(id) FROM inbound",
    "event_id": "SELECT hex(id) FROM events",
    "endpoint_id": "SELECT hex(id) FROM endpoints",
    "suppression_id": "SELECT hex(id) FROM suppressions",
    "delivery_id": "SELECT hex(id) FROM deliveries UNION ALL SELECT hex(id) FROM delivery_history",
}


async def _live_through_everything(world: World) -> dict[str, list[str]]:
    """One of everything that a team can own; the ids by parameter."""
    await world.add_endpoint("/hook")
    await world.add_endpoint("/failing", event_types=["message.submitted"])
    world.hooks.script("/failing", Reply(status=500))
    message = await world.send(MOBILE)
    await world.message_when(message["id"], "delivered")
    await world.answer_back(MOBILE, "TD", "101")
    await world.hooks_when("/hook", 3)
    await until(lambda: len(world.rows("SELECT 1 FROM attempts")) == 4)
    return {name: [ID_PREFIXES[name] + row[0].lower() for row in world.rows(sql)] for name, sql in PROBES.items()}


def _path(operation: Operation, ids: dict[str, list[str]]) -> list[str]:
    (name,) = re.findall(r"{(\w+)}", operation.path)
    assert ids[name], name
    return [operation.path.replace(f"{{{name}}}", found) for found in ids[name]]


async def _ask(client: httpx.AsyncClient, operation: Operation, path: str) -> httpx.Response:
    body: Any = next(iter(operation.body_examples.values()), None)
    return await client.request(operation.method, path, json=body)


async def test_no_operation_shows_or_changes_what_belongs_to_another_team(world: World) -> None:
    ids = await _live_through_everything(world)
    _, stranger = await world.add_team("strangers")

    for operation in BY_ID:
        for path in _path(operation, ids):
            assert (await _ask(stranger, operation, path)).status_code == 404, (operation.id, path)
    for operation in LISTS:
        if operation.id == "getBalance":
            continue  # balances are of accounts, which teams share
        answer = await stranger.get(operation.path)
        assert (answer.status_code, answer.json()["data"]) == (200, []), operation.id
    for operation in sorted(BY_ID, key=lambda operation: operation.method == "DELETE"):
        for path in _path(operation, ids):
            assert (await _ask(world.api, operation, path)).status_code in (200, 204), (operation.id, path)


async def test_filters_by_the_ids_of_another_team_find_nothing(world: World) -> None:
    ids = await _live_through_everything(world)
    _, stranger = await world.add_team("strangers")

    for query in (
        {"endpoint_id": ids["endpoint_id"][0]},
        {"event_id": ids["event_id"][0]},
    ):
        assert (await stranger.get("/v1/deliveries", params=query)).json()["data"] == []
        assert (await world.api.get("/v1/deliveries", params=query)).json()["data"] != []
    assert (await stranger.get("/v1/messages", params={"to": MOBILE})).json()["data"] == []


async def test_a_cursor_of_one_team_shows_another_nothing_of_it(world: World) -> None:
    await _live_through_everything(world)
    _, stranger = await world.add_team("strangers")
    page = (await world.api.get("/v1/events", params={"limit": 1})).json()

    answer = await stranger.get("/v1/events", params={"cursor": page["next_cursor"]})

    assert answer.json()["data"] == []


async def test_every_operation_of_a_team_is_walked() -> None:
    assert {name for operation in BY_ID for name in re.findall(r"{(\w+)}", operation.path)} == set(PROBES)
    assert all(len(re.findall(r"{(\w+)}", operation.path)) == 1 for operation in BY_ID)


async def test_a_team_names_the_accounts_that_it_uses_in_order_of_preference(worlds: OpenWorld) -> None:
    async with worlds() as world:
        second = await world.add_account("second", "second", Limits())
        _, api = await world.add_team("choosy", accounts=[second["id"], world.account["id"]])

        message = await world.send(MOBILE, api=api, wait=10)

        assert message["submissions"][0]["account_id"] == second["id"]
        assert [row["account_id"] for row in (await api.get("/v1/balance")).json()["data"]] == [
            second["id"],
            world.account["id"],
        ]
