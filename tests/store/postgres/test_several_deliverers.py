"""Several processes on one database: events and deliveries."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

import msgspec
import pytest

from relay.domain.endpoints import DeliveryWork
from relay.ports import FinishedDelivery, NewEndpoint
from tests.faults.polling import until
from tests.store import builders
from tests.store.builders import LEASE_MS, NOW_MS, mobiles, report, task_of
from tests.store.conformance.world import World
from tests.store.postgres.several import POOLED_TOO, Several

Thing = Callable[[World], Coroutine[Any, Any, Any]]
LATER_MS: Final = NOW_MS + 60_000
SECONDS: Final = 20.0


async def _told(three: Several, count: int) -> list[Thing]:
    """Reports that make one event each, of as many messages."""
    messages = [await three.worlds[0].accept(mobiles(1)) for _ in range(count)]

    def thing(task: str) -> Thing:
        return lambda world: world.report(report(task, mobiles(1)[0]))

    return [thing(task_of(message)) for message in messages]


@POOLED_TOO
async def test_a_delivery_is_leased_by_one(three: Several) -> None:
    endpoints = [await three.worlds[0].endpoint() for _ in range(3)]
    await three.all_well(await _told(three, 30))
    leases: list[Thing] = [
        partial(_lease, endpoints=endpoints, room=three.chance.randrange(1, 6), claim=b"claim %d" % number)
        for number in range(30)
    ]
    works = [work for leased in await three.all_well(leases) for work in leased]
    assert len(works) == len({work.id for work in works}) == 90
    results = await three.all_well([partial(_finish, work=work) for work in works])
    assert [result.fenced for result in results] == [False] * 90
    assert three.execute("SELECT count(*) FROM delivery_history WHERE status = 'delivered'") == [(90,)]
    assert three.execute("SELECT count(*) FROM deliveries") == [(0,)]
    assert three.deadlocks() == 0


async def _lease(world: World, *, endpoints: list[NewEndpoint], room: int, claim: bytes) -> list[DeliveryWork]:
    return await world.lease(*((endpoint, room) for endpoint in endpoints), claim=claim, now_ms=LATER_MS)


async def _finish(world: World, *, work: DeliveryWork, status: int = 200) -> FinishedDelivery:
    return await world.store.finish_delivery(work, builders.attempt_record(work, status, at_ms=LATER_MS))


@pytest.mark.parametrize("status", [200, 500])
async def test_of_two_who_think_that_they_have_a_delivery_one_does(three: Several, status: int) -> None:
    endpoint = await three.worlds[0].endpoint()
    await three.all_well(await _told(three, 10))
    first = await three.worlds[0].lease((endpoint, 10), now_ms=LATER_MS)
    second = await three.worlds[1].lease((endpoint, 10), now_ms=LATER_MS + LEASE_MS, claim=b"another")
    assert {work.id for work in first} == {work.id for work in second}
    # Who has it tells twice, as after an answer that was lost.
    works = (*first, *second, *second)
    results = await three.all_well([partial(_finish, work=work, status=status) for work in works])
    fenced = [result.fenced for result in results]
    assert fenced[:10] == [True] * 10
    assert [sorted(pair) for pair in zip(fenced[10:20], fenced[20:], strict=True)] == [[False, True]] * 10
    assert three.execute("SELECT count(*) FROM attempts") == [(10,)]


async def test_endpoints_that_fail_and_recover_in_turn_make_no_deadlock(three: Several) -> None:
    endpoints = [await three.worlds[0].endpoint() for _ in range(4)]
    await three.all_well(await _told(three, 40))
    works = await _lease(three.worlds[0], endpoints=endpoints, room=40, claim=b"claim")

    things = [partial(_finish, work=work, status=three.chance.choice((200, 500))) for work in works]
    assert [result.fenced for result in await three.all_well(things)] == [False] * 160
    assert three.execute("SELECT count(*) FROM attempts") == [(160,)]
    assert three.deadlocks() == 0


async def test_nothing_is_left_pending_for_an_endpoint_that_is_deleted_beside_events(three: Several) -> None:
    for _ in range(4):
        endpoint = await three.worlds[0].endpoint()
        things: list[Thing] = [*await _told(three, 20), partial(_delete, endpoint=endpoint)]
        await three.all_well(things)
        await three.worlds[1].sweep(NOW_MS + 1)
        assert three.execute("SELECT count(*) FROM deliveries") == [(0,)]


async def _delete(world: World, *, endpoint: NewEndpoint) -> bool:
    return await world.store.delete_endpoint(world.team.id, endpoint.view.id, NOW_MS)


async def test_an_event_is_never_seen_before_one_of_a_smaller_number(three: Several) -> None:
    """One commit is held up; whoever commits another event of the team has to wait for it."""
    first, second = await _told(three, 2)
    team = three.worlds[0].team.id
    held, released = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        held.set()
        await released.wait()

    async with three.proxied() as (proxy, through):
        proxy.cut("never", meanwhile=hold)
        slow = asyncio.create_task(first(through))
        await held.wait()
        quick = asyncio.create_task(second(three.worlds[1]))
        await until(lambda: quick.done() or three.waiting() > 0, SECONDS, "the other one waits")
        before = await three.stores[2].events(team, position=None, limit=9, event_types=())
        released.set()
        await asyncio.gather(slow, quick)
        after = await three.stores[2].events(team, position=before.next_position, limit=9, event_types=())
    assert len(before.data + after.data) == 2


@POOLED_TOO
async def test_who_follows_the_events_while_others_write_misses_none_and_sees_none_twice(three: Several) -> None:
    things = await _told(three, 300)
    team = three.worlds[0].team.id
    followed: list[bytes] = []
    position: str | None = None
    done = False

    async def follow() -> None:
        nonlocal position
        while True:
            last = done
            page = await three.stores[2].events(team, position=position, limit=7, event_types=())
            followed.extend(page.data)
            position = page.next_position
            if last and len(page.data) < 7:
                return

    following = asyncio.create_task(follow())
    await three.all_well(things)
    done = True
    await following
    everything = (await three.stores[0].events(team, position=None, limit=1000, event_types=())).data
    assert followed == everything
    assert len(everything) == 300
    tasks = [msgspec.json.decode(payload)["data"]["message_id"] for payload in everything]
    assert len(set(tasks)) == 300
