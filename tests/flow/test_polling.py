"""Events for teams that cannot host a webhook."""

import asyncio
import time
from typing import Any

from tests.flow.conftest import OpenWorld
from tests.flow.world import World, until

MOBILE = "13800131234"


async def poll(world: World, cursor: str | None, **query: Any) -> dict[str, Any]:
    """One page of events."""
    answer = await world.api.get("/v1/events", params={**query, **({"cursor": cursor} if cursor else {})})
    assert answer.status_code == 200, answer.text
    page: dict[str, Any] = answer.json()
    return page


async def test_a_poll_that_waits_is_answered_when_the_event_comes(world: World) -> None:
    waiting = asyncio.create_task(poll(world, None, wait=20, event_types="inbound.received"))
    await asyncio.sleep(0)

    started_s = time.monotonic()
    await world.answer_back(MOBILE, "收到", "101")
    page = await waiting

    assert [event["type"] for event in page["data"]] == ["inbound.received"]
    assert time.monotonic() - started_s < 5


async def test_a_poll_that_waits_in_vain_is_answered_after_its_time_with_a_cursor(world: World) -> None:
    started_s = time.monotonic()

    page = await poll(world, None, wait=1)

    assert 1.0 <= time.monotonic() - started_s < 4
    assert (page["data"], page["has_more"]) == ([], False)
    assert page["next_cursor"]


async def test_a_poller_sees_every_event_once_while_many_are_made(world: World) -> None:
    mobiles = [f"1380013{number}" for number in range(3000, 3060)]
    seen: list[str] = []

    async def follow() -> None:
        cursor: str | None = None
        while len(seen) < 120:
            page = await poll(world, cursor, wait=5, limit=7)
            cursor = page["next_cursor"]
            seen.extend(event["id"] for event in page["data"])

    following = asyncio.create_task(follow())
    await asyncio.gather(*(world.send(mobile) for mobile in mobiles))
    await asyncio.wait_for(following, 30)

    assert len(set(seen)) == 120
    assert seen == [event["id"] for event in await world.events()]


async def test_events_of_other_types_are_passed_over_and_not_read_again(worlds: OpenWorld) -> None:
    async with worlds() as world:
        await world.send(MOBILE)
        await until(lambda: world.rows("SELECT 1 FROM events WHERE type = 'message.delivered'"))
        first = await poll(world, None, event_types="inbound.received")

        everything_after = await poll(world, first["next_cursor"])

        assert (first["data"], everything_after["data"]) == ([], [])
