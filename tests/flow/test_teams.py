"""A team sees only its own; a test key reaches only the sandbox."""

import contextlib
import sqlite3

import httpx
import pytest

from relay.provider.sandbox import Sandbox, SandboxServer, SandboxSettings
from relay.services.authenticate import FRESH_S
from tests.flow.clocks import MovableClock
from tests.flow.conftest import OpenWorld
from tests.flow.opening import add_embedded_sandbox
from tests.flow.world import Limits, World

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
            await _remove_every_real_account(world)

        answer = await key.post("/v1/messages", json={"to": MOBILE, "text": "hello"})

        assert (answer.status_code, answer.json()["code"]) == (409, "no_account")
        assert says in answer.json()["detail"]
        assert world.rows("SELECT * FROM messages") == []


async def _remove_every_real_account(world: World) -> None:
    with contextlib.closing(sqlite3.connect(world.directory / "relay.db")) as connection:
        connection.execute("DELETE FROM accounts WHERE sandbox = 0")
        connection.commit()
    await world.gateway.accounts.refresh()


async def test_a_code_goes_to_one_number_once_a_minute_unless_the_team_says_otherwise(worlds: OpenWorld) -> None:
    clock = MovableClock()
    async with worlds(clock=clock) as world:

        async def send(to: str = MOBILE, category: str = "otp") -> httpx.Response:
            return await world.api.post("/v1/messages", json={"to": to, "text": "code 1", "category": category})

        first, second, third = await send(), await send(), await send("13800131235")
        assert [first.status_code, second.status_code, third.status_code] == [202, 429, 202]
        assert second.json()["code"] == "recipient_limit_exceeded"
        assert 1 <= int(second.headers["retry-after"]) <= 60
        assert (await send(category="notice")).status_code == 202

        none = {"per_minute": None, "per_hour": None, "per_day": None}
        await world.admin.patch(f"/v1/admin/teams/{world.team['id']}", json={"recipient_limits": {"otp": none}})
        clock.move(FRESH_S + 0.001)

        assert [(await send()).status_code for _ in range(2)] == [202, 202]


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
