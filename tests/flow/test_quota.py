"""Units of a day: never overrun, and given back for what was never accepted."""

import asyncio
import itertools
from collections import Counter
from typing import Any

import httpx

from relay.provider.sandbox import Sandbox, SandboxSettings
from tests.flow.conftest import OpenWorld
from tests.flow.opening import joined
from tests.flow.world import World, until_shown

SILENT = SandboxSettings(report_delay_ms=600_000)
QUOTA = 100
_numbers = itertools.count(13800130000)


async def usage(world: World, team_id: str) -> dict[str, Any]:
    """What the team used today."""
    answer = await world.admin.get(f"/v1/admin/teams/{team_id}/usage")
    assert answer.status_code == 200, answer.text
    used: dict[str, Any] = answer.json()
    return used


async def send(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    """One unit, to a number of its own."""
    return await client.post("/v1/messages", json={"to": str(next(_numbers)), "text": "hello"} | more)


async def test_200_sends_at_once_over_two_replicas_get_exactly_100_units(worlds: OpenWorld) -> None:
    async with worlds(replicas=True, sandbox=Sandbox(SILENT)) as one, joined(one) as two:
        team, here = await one.add_team("limited", quota_units_per_day=QUOTA)
        there = two.keep(two.client(one.secrets["live key of limited"]))

        answers = await asyncio.gather(*(send(client) for client in [here, there] * QUOTA))

        assert Counter(answer.status_code for answer in answers) == {202: QUOTA, 429: QUOTA}
        refused = [answer for answer in answers if answer.status_code == 429]
        assert {answer.json()["code"] for answer in refused} == {"quota_exceeded"}
        assert all(1 <= int(answer.headers["retry-after"]) <= 86_400 for answer in refused)
        used = await usage(two, team["id"])
        assert (used["units_used"], used["quota_units_per_day"], used["units_left"]) == (QUOTA, QUOTA, 0)
        assert one.rows("SELECT COUNT(*) FROM messages") == [(QUOTA,)]


async def test_what_the_provider_refused_is_given_back(worlds: OpenWorld) -> None:
    async with worlds(sandbox=Sandbox(SILENT)) as world:
        team, api = await world.add_team("limited", quota_units_per_day=3)
        world.fault(call="send", code="21", times=1)
        assert (await send(api)).status_code == 202
        await until_shown(lambda: usage(world, team["id"]), lambda used: used["units_used"] == 0)

        assert [(await send(api)).status_code for _ in range(4)] == [202, 202, 202, 429]
